// Every recipe that the package brings, from its data to its report, in its quick profile.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mainFigure } from '../../benchmarks/report/metrics.ts'
import { run } from '../../pipeline/run.ts'
import { temporaryFolder } from '../support/folder.ts'
import { sharedData, sharedModel } from '../support/shared.ts'

interface RecipeCase {
  /** Below `recipes/`. */
  readonly file: string
  /** What must be there below the folder of data sets. */
  readonly data?: string
  /** A model of ../shared that is the teacher. */
  readonly model?: string
  /** The least that the task's main figure may be, by variant; all variants must have been measured. */
  readonly atLeast: Readonly<Record<string, number>>
}

/** The bounds are a few points below what was measured. */
const recipes: readonly RecipeCase[] = [
  {
    file: 'fsdd.yaml',
    data: 'fsdd',
    atLeast: { teacher: 0.94, alone: 0.78, distill: 0.78, int8: 0.77 },
  },
  {
    file: 'banking77.yaml',
    data: 'banking77',
    atLeast: { teacher: 0.78, alone: 0.78, distill: 0.76, int8: 0.76, float16: 0.76 },
  },
  {
    file: 'recommender.yaml',
    // A blind guess has 0.045.
    atLeast: { teacher: 0.5, alone: 0.43, distill: 0.47, float16: 0.47 },
  },
  {
    file: 'super-resolution.yaml',
    data: 'cifar-10',
    model: 'super-resolution-10.onnx',
    atLeast: { teacher: 1, distill: 0.86, int8: 0.85 },
  },
  {
    file: 'fashion-mnist.yaml',
    data: 'fashion-mnist',
    atLeast: { teacher: 0.8, alone: 0.78, distill: 0.78, prune: 0.76, int8: 0.75 },
  },
  {
    file: 'cifar10-resnet20.yaml',
    data: 'cifar-10',
    model: 'conv-distiller-resnet20-dense-cifar10.onnx',
    atLeast: { teacher: 0.89, alone: 0.75, distill: 0.72, int8: 0.72 },
  },
  {
    file: 'cifar10-distillation.yaml',
    data: 'cifar-10',
    model: 'conv-distiller-resnet20-dense-cifar10.onnx',
    // Three epochs of 4,000 pictures: guesses have 0.1.
    atLeast: { teacher: 0.89, alone: 0.3, answers: 0.32, features: 0.3 },
  },
  {
    file: 'cifar10-assistant.yaml',
    data: 'cifar-10',
    model: 'conv-distiller-resnet20-dense-cifar10.onnx',
    atLeast: {
      ...{ teacher: 0.89, assistant: 0.3 },
      ...{ alone: 0.27, direct: 0.32, chain: 0.25, both: 0.25 },
    },
  },
  {
    file: 'fashion-ensemble.yaml',
    data: 'fashion-mnist',
    atLeast: {
      ...{ teacher: 0.69, second: 0.68, third: 0.69, ensemble: 0.67, alone: 0.74 },
      ...{ 'of-first': 0.66, 'of-second': 0.65, 'of-third': 0.66 },
    },
  },
  {
    file: 'mnist-hinton.yaml',
    data: 'mnist',
    atLeast: {
      ...{ teacher: 0.92, alone: 0.9, plain: 0.9, jitter: 0.9 },
      ...{ 'without-3': 0.86, corrected: 0.88 },
    },
  },
  {
    file: 'lenet-300-100.yaml',
    data: 'mnist',
    atLeast: { teacher: 0.91, twelfth: 0.89, 'twenty-fourth': 0.87, packed: 0.89 },
  },
  {
    file: 'lenet-5.yaml',
    data: 'mnist',
    atLeast: { teacher: 0.94, twelfth: 0.92, packed: 0.92 },
  },
  {
    file: 'deep-compression-300-100.yaml',
    data: 'mnist',
    atLeast: {
      ...{ teacher: 0.91, longer: 0.91, longest: 0.91 },
      ...{ seventeenth: 0.89, clustered: 0.88 },
    },
  },
  {
    file: 'deep-compression-lenet-5.yaml',
    data: 'mnist',
    atLeast: { teacher: 0.94, longer: 0.94, twentieth: 0.92, fortieth: 0.9, clustered: 0.9 },
  },
  {
    file: 'lenet-5-ternary.yaml',
    data: 'mnist',
    atLeast: { teacher: 0.94, ternary: 0.92 },
  },
  {
    file: 'resnet20-4bit.yaml',
    data: 'cifar-10',
    model: 'conv-distiller-resnet20-dense-cifar10.onnx',
    atLeast: { teacher: 0.89, aware: 0.85 },
  },
  {
    file: 'resnet20-factorization.yaml',
    data: 'cifar-10',
    model: 'conv-distiller-resnet20-dense-cifar10.onnx',
    atLeast: { teacher: 0.89, half: 0.81 },
  },
  {
    file: 'vit-pruning.yaml',
    data: 'cifar-10',
    model: 'vit-ibp-3-3-8-cifar10.onnx',
    atLeast: { teacher: 0.6, heads: 0.56, half: 0.55 },
  },
  {
    file: 'adult.yaml',
    data: 'tabular',
    atLeast: { teacher: 0.84, alone: 0.83, distill: 0.84, int8: 0.84 },
  },
  {
    file: 'housing.yaml',
    data: 'tabular',
    atLeast: { teacher: 0.75, alone: 0.72, distill: 0.73, int8: 0.73 },
  },
]

const { CONDENSE_DATA: before } = process.env
const dataFolder = before ?? sharedData

describe('the quick profile of a recipe', () => {
  // Paths in recipes, and modules of data, know this folder from here alone.
  beforeAll(() => {
    process.env.CONDENSE_DATA = dataFolder
  })
  afterAll(() => {
    if (before === undefined) delete process.env.CONDENSE_DATA
    else process.env.CONDENSE_DATA = before
  })

  for (const { file, data, model, atLeast } of recipes) {
    const missing = [
      ...(data === undefined ? [] : [join(dataFolder, data)]),
      ...(model === undefined ? [] : [sharedModel(model)]),
    ].filter((path) => !existsSync(path))
    if (missing.length > 0) {
      it.skip(`${file} (skipped: ${missing.join(' and ')} is absent)`, () => undefined)
      continue
    }
    it(`${file} comes out as it should`, async () => {
      const folder = temporaryFolder()
      const report = await run(join('recipes', file), {
        profile: 'quick',
        set: model === undefined ? [] : [`teacher.model.file=${sharedModel(model)}`],
        cacheFolder: join(folder, 'cache'),
        outFolder: join(folder, 'out'),
      })
      const variants = [report.teacher, ...report.variants]
      expect(variants.flatMap(({ id, failed }) => (failed === undefined ? [] : [id]))).toEqual([])
      const figures = Object.fromEntries(
        variants.map(({ id, accuracy }) => [id, accuracy ? mainFigure(accuracy).value : 0]),
      )
      // All figures, so that a failure tells them.
      const poor = Object.keys(atLeast).filter((id) => !(figures[id]! >= atLeast[id]!))
      expect({ figures, poor }).toEqual({ figures, poor: [] })
    })
  }
})
