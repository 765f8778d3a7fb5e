// Accuracies of models that others trained, against what was measured of them elsewhere.
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { benchmark } from '../../benchmarks/benchmark.ts'
import { openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import { temporaryFolder } from '../support/measured.ts'
import { sharedData, sharedModel } from '../support/shared.ts'

const folder = temporaryFolder()

/** A model, the data that it was trained on, and how many of the test samples it is right about. */
export interface Known {
  readonly file: string
  readonly data: object
  readonly preprocess: object
  readonly size: number
  readonly right: number
  /** How far it may be off; 2 unless told. */
  readonly within?: number
}

/** Expects that a benchmark finds a model right as often as it is known to be. */
export async function expectRight({
  file,
  data,
  preprocess,
  size,
  right,
  within = 2,
}: Known): Promise<void> {
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
    knowledge: false,
    workFolder: join(folder, 'work'),
    seed: 1,
  })
  expect(splits.test.size).toBe(size)
  // Two samples near a decision may fall either way with another machine's kernels.
  expect(Math.abs(teacher.accuracy!.top1! * size - right)).toBeLessThanOrEqual(within)
}
