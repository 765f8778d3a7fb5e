// How long a large model takes to load, and how much memory: tensors should stay views of the file's bytes.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { newModel } from '../../onnx/build.ts'
import { saveModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import type { Question } from './question.ts'

const run = promisify(execFile)

const layers = 64
const width = 1024

/** Loads in a process of its own and prints the time in ms and the growth of memory in bytes. */
const script = `
const { loadModel } = await import(process.argv[1])
const before = process.memoryUsage().rss
const start = process.hrtime.bigint()
const model = await loadModel(process.argv[2])
const ms = Number(process.hrtime.bigint() - start) / 1e6
console.log(JSON.stringify({ ms, bytes: process.memoryUsage().rss - before, nodes: model.graph.nodes.length }))
`

/** Time and memory of loading a model of 268 MB. */
export const load: Question = {
  summary: `loading a model of ${(layers * width * width * 4) / 1e6} MB`,
  async answer() {
    const folder = mkdtempSync(join(tmpdir(), 'condense-suite-'))
    try {
      const path = join(folder, 'large.onnx')
      await saveModel(largeModel(), path)
      const results = []
      for (let round = 0; round < 5; round++) {
        const entry = new URL('../../onnx/load.js', import.meta.url).href
        const { stdout } = await run(process.execPath, [
          ...['--input-type=module', '-e', script],
          ...[entry, path],
        ])
        results.push(JSON.parse(stdout) as { ms: number; bytes: number })
      }
      const size = statSync(path).size
      return [
        { what: 'time', unit: 'ms', values: results.map(({ ms }) => ms) },
        {
          what: 'memory',
          unit: 'times the file',
          values: results.map(({ bytes }) => bytes / size),
        },
      ]
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function largeModel() {
  const { model, g } = newModel('large')
  let x = g.input('x', { dtype: 'float32', shape: ['N', width] })
  const weights = new Float32Array(width * width).fill(0.01)
  for (let layer = 0; layer < layers; layer++)
    x = g.Relu(g.MatMul(x, g.constant(tensorOf('float32', [width, width], weights), `w${layer}`)))
  g.output('y', x, { dtype: 'float32', shape: ['N', width] })
  return model
}
