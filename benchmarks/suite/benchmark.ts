// What the benchmark itself costs: how much of the time of timing is not spent in models, and how well two runs agree.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sum } from 'simple-statistics'
import { random } from '../../base/random.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { layOut, memoryWriter, viewsOf } from '../../data/store.ts'
import { storedDataset } from '../../data/stored-dataset.ts'
import { saveModel } from '../../onnx/save.ts'
import { benchmark } from '../benchmark.ts'
import type { Variant } from '../report/report.ts'
import type { Answer, Question } from './question.ts'
import { classes, trainCases } from './train-models.ts'

/** A quick network and one that takes milliseconds. */
const networks = ['cnn', 'resnet20'] as const

/** How often the same is measured. */
const repeats = 2

/** Overhead and repeatability on the CPU and in WebAssembly, with the settings that every run has. */
export const benchmarking: Question = {
  summary: 'overhead of benchmarking over time in the model, and how well two runs agree',
  async *answer() {
    for (const network of networks) {
      const folder = mkdtempSync(join(tmpdir(), 'condense-suite-'))
      try {
        const results: (readonly Variant[])[] = []
        for (let repeat = 0; repeat < repeats; repeat++)
          results.push(await measure(network, folder))
        yield* answersOf(network, results)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }
  },
}

/** Measures a network as teacher, and the same file once more as its variant. */
async function measure(
  network: (typeof networks)[number],
  folder: string,
): Promise<readonly Variant[]> {
  const { model, sample } = trainCases[network]
  const path = join(folder, 'model.onnx')
  await saveModel(model(), path)
  const subject = { path, file: 'model.onnx', stage: 'train' }
  const { teacher, variants } = await benchmark({
    teacher: { ...subject, id: 'teacher', from: null },
    variants: [{ ...subject, id: 'same', from: 'teacher' }],
    data: noise(sample),
    providers: ['cpu', 'wasm'],
    workFolder: join(folder, 'work'),
    seed: 1,
    knowledge: false,
  })
  return [teacher, ...variants]
}

function answersOf(network: string, results: readonly (readonly Variant[])[]): Answer[] {
  return Object.keys(results[0]![0]!.providers).flatMap((provider) => {
    const measured = results.map((models) => models.map((model) => model.providers[provider]!))
    const settings = measured.flat().flatMap(({ measurements = [] }) => measurements)
    const headline = settings.filter(({ batch, threads }) => batch === 1 && threads === 1)
    const overhead = (of: typeof settings) =>
      of.map(({ timeInModel = Number.NaN }) => 1 / timeInModel - 1)
    // Time of all settings together; the runs that count stand for all of a setting's time in the model.
    const together = measured.flat().map(({ measurements = [] }) => {
      const inModel = measurements.map(({ runs, meanMs = Number.NaN }) => runs * meanMs)
      const whole = measurements.map(
        ({ timeInModel = Number.NaN }, at) => inModel[at]! / timeInModel,
      )
      return sum(whole) / sum(inModel) - 1
    })
    // Every model against itself in the other run.
    const apart = measured[0]!.map((first, at) =>
      Math.abs(measured[1]![at]!.p50Ms! / first.p50Ms! - 1),
    )
    const ratios = measured.map(([, same]) => Math.abs(same!.latencyRatio!.value - 1))
    const loads = measured.flat().map(({ noise }) => noise?.otherLoad ?? Number.NaN)
    const what = `${network}, ${provider}: `
    return [
      { what: `${what}overhead, batch 1, one thread`, unit: 'of 1', values: overhead(headline) },
      { what: `${what}overhead, each setting`, unit: 'of 1', values: overhead(settings) },
      { what: `${what}overhead, all together`, unit: 'of 1', values: together },
      { what: `${what}p50 apart between runs`, unit: 'of 1', values: apart },
      { what: `${what}ratio of a file to itself, off 1`, unit: 'of 1', values: ratios },
      { what: `${what}load by others`, unit: 'of 1', values: loads },
    ]
  })
}

/** Samples of noise, as many as a test split has. */
function noise(shape: readonly number[]) {
  const { normal, integer } = random(1, 'benchmark noise')
  const layout = layOut([{ name: 'x', dtype: 'float32', shape }])
  const size = 2000
  const writer = memoryWriter(layout, 'noise', size)
  const [values] = viewsOf(layout, writer.record)
  for (let sample = 0; sample < size; sample++) {
    for (let i = 0; i < values!.length; i++) values![i] = normal()
    writer.next()
  }
  return storedDataset({
    source: 'noise',
    store: writer.finish(),
    indices: Uint32Array.from({ length: size }, (_, index) => index),
    labels: Int32Array.from({ length: size }, () => integer(classes)),
    classes: Array.from({ length: classes }, (_, label) => String(label)),
    group: 1,
    targetNames: [],
    preprocess: preprocessOptions.parse({}),
  })
}
