// Accuracies of models that others trained, against what was measured of them elsewhere.
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { benchmark } from '../../benchmarks/benchmark.ts'
import { openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import { temporaryFolder } from '../support/measured.ts'
import { itWithShared, sharedData, sharedModel } from '../support/shared.ts'

const folder = temporaryFolder()

const models = [
  {
    file: 'mnist-burn-a.onnx',
    data: { source: 'mnist' },
    preprocess: { mean: 0.1307, std: 0.3081 },
    size: 10000,
    right: 9916,
  },
  {
    file: 'mnist-8-ortweb.onnx',
    data: { source: 'mnist' },
    preprocess: { scale: 1 },
    size: 10000,
    right: 9891,
  },
  {
    file: 'conv-distiller-resnet20-dense-cifar10.onnx',
    data: { source: 'cifar10', test: { limit: 1000 } },
    preprocess: { mean: 0.5, std: 0.5 },
    size: 1000,
    right: 915,
  },
]

itWithShared.each(models)(
  '$file is right $right times',
  async ({ file, data, preprocess, size, right }) => {
    const { splits } = await openData(dataOptions.parse(data), {
      seed: 1,
      target: 'class',
      preprocess: preprocessOptions.parse(preprocess),
      version: 'test',
      cacheFolder: join(folder, 'cache'),
      dataFolder: sharedData,
      log: () => undefined,
    })
    const { teacher } = await benchmark({
      teacher: { id: 'teacher', stage: 'teacher', from: null, path: sharedModel(file), file },
      variants: [],
      data: splits.test,
      providers: ['cpu'],
      latency: { batches: [1], threads: [1], rounds: 1, runs: 5, seconds: 0.05 },
      workFolder: join(folder, 'work'),
      seed: 1,
    })
    expect(splits.test.size).toBe(size)
    // Two samples near a decision may fall either way with another machine's kernels.
    expect(Math.abs(teacher.accuracy!.top1! * size - right)).toBeLessThanOrEqual(2)
  },
)
