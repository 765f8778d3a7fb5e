import { expect, it } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Listed } from '../../pipeline/cache.ts'
import { assumedThroughput, estimate, macsOf, modelsIn } from '../../pipeline/cost.ts'

const entry = (stage: string, work: number, seconds: number): Listed => ({
  key: 'k',
  stage,
  work,
  seconds,
  sizeBytes: 1,
  modified: new Date(0),
})

it('counts the multiplications of one sample', async () => {
  // ResNet-20 of He et al. has 41 million, the projections of its shortcuts included.
  const model = buildArchitecture(
    { architecture: 'resnet', depth: 20, width: 16 },
    { ...oneInput([3, 32, 32], 10), seed: 1 },
  )
  expect(await macsOf(model)).toBe(40_813_184)
})

it('estimates from what the same stage took here before', () => {
  const finished = [
    ...[entry('train', 1000, 10), entry('train', 10_000, 10), entry('train', 3000, 10)],
    // Too short to tell a speed.
    ...[entry('train', 1, 1), entry('train', 2, 1)],
  ]
  const { seconds, measured } = estimate('train', 3000, 2, [...finished, entry('prune', 1, 9)])
  expect(measured).toBe(true)
  expect(seconds).toBeCloseTo(3000 / 300, -1)
})

it('rests on the steps whose work was most like it', () => {
  const small = Array.from({ length: 9 }, () => entry('train', 1000, 10))
  const large = Array.from({ length: 5 }, () => entry('train', 1e6, 100))
  expect(estimate('train', 2e6, 2, [...small, ...large]).seconds).toBeCloseTo(200, -1)
  expect(estimate('train', 500, 2, [...small, ...large]).seconds).toBeCloseTo(5, -1)
})

it('says when an estimate is an assumption', () => {
  const { seconds, measured } = estimate('train', 10 * assumedThroughput, 2, [])
  expect(measured).toBe(false)
  expect(seconds).toBeCloseTo(5.5)
})

it('finds the models that options name', () => {
  const student = { architecture: 'mlp', hidden: [3] }
  expect(modelsIn({ stage: 'distill', student, other: { file: 3 } })).toEqual([
    ['student', { ...student, activation: 'relu', normalisation: false, dropout: 0 }],
  ])
})
