import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import { loadModel } from '../../../onnx/load.ts'
import { saveModel, serializeModel } from '../../../onnx/save.ts'
import { Tensor } from '../../../onnx/tensor.ts'

it('writes more than 2 GB as two files by itself', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'condense-save-'))
  try {
    const { model } = newModel('large')
    for (let index = 0; index < 23; index++) {
      // Made when asked for, so that the test does not need the 2.3 GB itself.
      const content = () => new Uint8Array(100_000_000).fill(index)
      model.graph.addInitializer('w', new Tensor('uint8', [100_000_000], content))
    }
    const path = join(folder, 'large.onnx')
    expect(() => serializeModel(model)).toThrow(/^internal: /)
    await saveModel(model, path)
    expect(statSync(path).size).toBeLessThan(10_000)
    expect(statSync(`${path}.data`).size).toBeGreaterThan(2.3e9)
    const values = [...(await loadModel(path)).graph.initializers]
    expect(values.map(({ tensor }) => tensor!.freshBytes()[3])).toEqual(
      values.map((_, index) => index),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 300_000)
