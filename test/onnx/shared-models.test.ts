// The shared models that are quickly opened; the slow tests have all.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { sharedIsPresent, sharedModel } from '../support/shared.ts'
import {
  expectSameBits,
  expectSameCopy,
  expectSameFields,
  files,
  isLarge,
  outputsOf,
  tooOld,
} from './shared-model-checks.ts'

const quick = files.filter((file) => !isLarge(file))

;(sharedIsPresent ? describe : describe.skip)('every shared model (needs ../shared)', () => {
  it.each(quick)('%s says the same after it was loaded and saved, field by field', expectSameFields)

  it.each(quick.filter((file) => file !== tooOld))(
    '%s computes the same bits after it was loaded and saved',
    expectSameBits,
  )

  it.each(quick)('%s has a copy that prints and saves the same', expectSameCopy)

  it('loads the file of 2017, which only running refuses', async () => {
    const model = await loadModel(sharedModel(tooOld))
    expect(model.opsets).toEqual(new Map([['', 1]]))
    await expect(outputsOf(serializeModel(model), tooOld)).rejects.toThrow(/Add\(1\)|opset/i)
  })

  it('keeps the tensors as views of the file', () => {
    const bytes = readFileSync(sharedModel('yolox-nano.onnx'))
    const model = parseModel(bytes)
    const buffers = [...model.graph.initializers].map(({ tensor }) => tensor?.bytes.buffer)
    expect(buffers.length).toBeGreaterThan(100)
    expect(buffers.filter((buffer) => buffer !== bytes.buffer).length).toBeLessThan(5)
  })
})
