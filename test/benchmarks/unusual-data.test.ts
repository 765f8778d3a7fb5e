// Benchmarks of data without labels, and of models with several inputs and outputs.
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type BenchmarkRequest, benchmark } from '../../benchmarks/benchmark.ts'
import type { Dataset } from '../../data/dataset.ts'
import { layOut, memoryWriter, viewsOf } from '../../data/store.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { newModel } from '../../onnx/build.ts'
import { saveModel } from '../../onnx/save.ts'
import { temporaryFolder } from '../support/measured.ts'
import { recipeOf } from '../support/samples.ts'

const folder = temporaryFolder()
const size = 40

/** Samples of columns of four normal numbers each, none with a label. */
function columns(...names: readonly string[]): Dataset {
  const layout = layOut(names.map((name) => ({ name, dtype: 'float32', shape: [4] })))
  const { normal } = random(1, 'columns')
  const writer = memoryWriter(layout, 'columns', size)
  const views = viewsOf(layout, writer.record)
  for (let sample = 0; sample < size; sample++) {
    for (const view of views) (view as Float32Array).set(Float32Array.from(view, () => normal()))
    writer.next()
  }
  return storedDataset(recipeOf(writer.finish(), { labels: new Int32Array(size).fill(-1) }))
}

/** A model of two inputs and two outputs, of different widths. */
async function pairs(id: string, factor: number) {
  const { model, g } = newModel('pairs')
  const float = (width: number) => ({ dtype: 'float32', shape: ['N', width] }) as const
  const [a, b] = [g.input('a', float(4)), g.input('b', float(4))]
  g.output('sum', g.Mul(g.Add(a, b), factor), float(4))
  g.output('largest', g.ReduceMax(g.Mul(a, b), [1], { keepdims: 1 }), float(1))
  const path = join(folder, `${id}.onnx`)
  await saveModel(model, path)
  const from = id === 'teacher' ? null : 'teacher'
  return { id, path, from, stage: 'export', file: `${id}.onnx` }
}

const measure = async (request: Partial<BenchmarkRequest>) =>
  benchmark({
    teacher: await pairs('teacher', 1),
    variants: [],
    data: columns('a', 'b'),
    task: 'match',
    providers: ['cpu'],
    latency: { batches: [1], threads: [1], rounds: 6, runs: 3, seconds: 0.05 },
    workFolder: join(folder, 'work'),
    seed: 1,
    ...request,
  })

it('compares all outputs of a model with several inputs with the teacher, without labels', async () => {
  const variants = [await pairs('same', 1), await pairs('off', 1.1)]
  const { teacher, variants: found } = await measure({ variants, knowledge: { samples: 16 } })
  const [same, off] = found
  expect(same).toMatchObject({ accuracy: { metric: 'fidelity', value: 1 }, macs: 0 })
  expect(off!.accuracy!.value!).toBeLessThan(1)
  expect(off!.accuracy!.value!).toBeGreaterThan(0.9)
  // Both inputs and the factor, the sum, its product; a product, its maximum with the axis.
  expect(teacher.bytesMoved).toBe(4 * (12 + 9) + 4 * (12 + 5) + 8)
  expect(teacher.brotliBytes).toBeGreaterThan(0)
  const cpu = same!.providers.cpu!
  const { times = [], coldStart, noise, latencyRatio, sourceRatio, measurements } = cpu
  expect(times).toEqual([...times].sort((a, b) => a - b))
  expect(times[0]).toBeLessThanOrEqual(cpu.p50Ms!)
  expect(times.at(-1)).toBeGreaterThanOrEqual(cpu.p99Ms!)
  expect(coldStart).toMatchObject({ starts: 6, ratio: { rounds: 6 } })
  expect(noise!.spread).toBeGreaterThanOrEqual(0)
  expect(latencyRatio!.rounds).toBe(6)
  expect(sourceRatio).toEqual(latencyRatio)
  expect(measurements![0]!.latencyRatio).toEqual(latencyRatio)
  expect(measurements![0]!.timeInModel).toBeGreaterThan(0)
  expect('latencyRatio' in teacher.providers.cpu!).toBe(false)
  expect(same!.knowledge).toMatchObject({
    transfer: null,
    robustness: { noise: null, projected: null },
    reasons: {
      transfer: 'the task has no single right class',
      noise: 'the data has 2 inputs of floats',
    },
  })
})

it('refuses data without labels for a task that needs them', async () => {
  await expect(measure({ task: 'classification' })).rejects.toThrow(
    'test data: no sample has a label — use data with labels, or task: match',
  )
})

it('refuses data that lacks an input of the teacher', async () => {
  await expect(measure({ data: columns('a') })).rejects.toThrow(/'?b'?/)
})
