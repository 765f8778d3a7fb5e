// How long cutting channels takes as models grow (groups, scores and surgery, without recovery), and how much memory.
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { linearRegression, linearRegressionLine, rSquared } from 'simple-statistics'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { saveModel } from '../../onnx/save.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { Answer, Question } from './question.ts'

const run = promisify(execFile)

const runs = 5
const lengths = [16, 32, 64, 128, 256]
const targets = [{ sparsity: 0.3 }, { macs: 0.5 }] as const
const realModel = resolve('..', 'shared', 'models', 'yolox-nano.onnx')

/** Prunes a first model to have all code loaded and compiled, then another one: times in ms, and the growth of memory. */
const script = `
const [first, path, runs, target] = process.argv.slice(2)
const base = process.argv[1]
const { loadModel } = await import(new URL('onnx/load.js', base))
const { prune } = await import(new URL('stages/prune/index.js', base))
const options = prune.options.parse({ stage: 'prune', structure: 'channels', target: JSON.parse(target) })
const cut = async (file) => {
  const model = await loadModel(file)
  const context = {
    teacher: model, variant: async () => model, data: undefined, seed: 1, threads: 1, provider: 'cpu',
    signal: undefined, checkpointDue: () => false, log: () => undefined, progress: () => undefined,
  }
  const start = process.hrtime.bigint()
  await prune.run({ model, facts: {} }, options, context)
  return Number(process.hrtime.bigint() - start) / 1e6
}
await cut(first)
globalThis.gc()
const before = process.memoryUsage().rss
const times = [await cut(path)]
const bytes = process.resourceUsage().maxRSS * 1024 - before
while (times.length < Number(runs)) times.push(await cut(path))
console.log(JSON.stringify({ times, bytes }))
`

/** The time over a growing chain of residual blocks, whether it is linear, and yolox-nano's time and memory. */
export const prune: Question = {
  summary: 'cutting channels: groups, scores and surgery, without recovery',
  async answer() {
    const folder = mkdtempSync(join(tmpdir(), 'condense-suite-'))
    try {
      return await answers(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

async function answers(folder: string): Promise<Answer[]> {
  const first = join(folder, 'first.onnx')
  await saveModel(chain(2, 8), first)
  const measure = async (path: string, target: Readonly<Record<string, number>>) => {
    const base = new URL('../../', import.meta.url).href
    const { stdout } = await run(process.execPath, [
      ...['--expose-gc', '--input-type=module', '-e', script],
      ...[base, first, path, String(runs), JSON.stringify(target)],
    ])
    return JSON.parse(stdout) as { readonly times: number[]; readonly bytes: number }
  }
  const found: Answer[] = []
  for (const target of targets) {
    const [key] = Object.keys(target)
    const points: [number, number][] = []
    for (const length of lengths) {
      const path = join(folder, 'chain.onnx')
      await saveModel(chain(length, 16), path)
      const { times } = await measure(path, target)
      // The best run is the one that other work on the machine disturbed least.
      points.push([length, Math.min(...times)])
      found.push({ what: `${key}, chain of ${length} blocks`, unit: 'ms', values: times })
    }
    const line = linearRegressionLine(linearRegression(points))
    found.push({ what: `${key}, R² over blocks`, unit: 'of 1', values: [rSquared(points, line)] })
  }
  const large = join(folder, 'large.onnx')
  await saveModel(chain(16, 512), large)
  const files: (readonly [what: string, path: string])[] = [['chain of 16 wide blocks', large]]
  if (existsSync(realModel)) files.push(['yolox-nano', realModel])
  else console.log(`  without yolox-nano: ${realModel} is not here`)
  for (const [what, path] of files) {
    const { times, bytes } = await measure(path, targets[0])
    const size = statSync(path).size
    found.push(
      { what: `${what}, ${(size / 1e6).toFixed(1)} MB`, unit: 'ms', values: times },
      { what: `${what}, memory`, unit: 'MB', values: [bytes / 1e6] },
      { what: `${what}, memory`, unit: 'times the file', values: [bytes / size] },
    )
  }
  return found
}

/** So many residual blocks of two 3 x 3 convolutions with norms, between a stem and a head. */
function chain(length: number, width: number): Model {
  const { model, g } = newModel('chain')
  const { normal } = random(1, 'suite')
  const weight = (...dims: number[]) => {
    const deviation = Math.sqrt(2 / sizeOf(dims.slice(1)))
    return tensorOf(
      'float32',
      dims,
      Float32Array.from({ length: sizeOf(dims) }, () => normal() * deviation),
    )
  }
  const vector = (value: number) =>
    tensorOf('float32', [width], new Float32Array(width).fill(value))
  const block = (x: Value, from: number) => {
    const y = g.Conv(x, weight(width, from, 3, 3), { pads: [1, 1, 1, 1] })
    return g.BatchNormalization(y, vector(1), vector(0), vector(0), vector(1))
  }
  let y = g.Relu(block(g.input('x', { dtype: 'float32', shape: ['N', 3, 8, 8] }), 3))
  for (let index = 0; index < length; index++)
    y = g.Relu(g.Add(block(g.Relu(block(y, width)), width), y))
  const scores = g.Gemm(g.Flatten(g.GlobalAveragePool(y)), weight(width, 10))
  g.output('y', scores, { dtype: 'float32', shape: ['N', 10] })
  return model
}
