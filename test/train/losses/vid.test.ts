import { describe, it } from '@jest/globals'
import { expectLoss, type LossCase, type Tensors } from '../loss-harness.ts'
import { each, layer, leaky, shaped, softplus } from './layers.ts'

const pair = { taps: [{ teacher: 't', student: 's' }] }

/** -Σ log N(t; μ, σ²) over all elements, without the constant, as a mean. */
function expected(x: Tensors, own: readonly number[], wanted: readonly number[], channel: number) {
  let mean = shaped(x['student/s']!, own)
  for (const number of [0, 1, 2]) {
    const made = layer(x, `vid.pair0.mean${number}`, mean)
    mean = number < 2 ? each(made, leaky(0)) : made
  }
  const inside = wanted.slice(channel + 1).reduce((product, dim) => product * dim, 1)
  const likelihoods = x['teacher/t']!.map((t, index) => {
    const c = Math.floor(index / inside) % wanted[channel]!
    const variance = softplus(x['vid.pair0.variance']![c]!) + 1e-5
    return Math.log(Math.sqrt(variance)) + (t - mean.content[index]!) ** 2 / (2 * variance)
  })
  return likelihoods.reduce((sum, value) => sum + value, 0) / likelihoods.length
}

const entry = (
  title: string,
  own: readonly number[],
  wanted: readonly number[],
  channel: number,
  options = {},
): LossCase => ({
  title,
  terms: [{ loss: 'vid', ...options, ...pair }],
  taps: { s: { shape: own } },
  teacherTaps: { t: { shape: wanted } },
  expected: (x) => expected(x, own, wanted, channel),
})

const images = entry('images', [2, 2, 3, 2], [2, 3, 3, 2], 1)

describe('variational information', () => {
  it.each([
    images,
    entry('sequences', [2, 3, 4], [2, 3, 2], 2, { variance: 1 }),
    entry('samples as a whole', [3, 2], [3, 4], 1),
    entry('a single sample', [1, 2], [1, 2], 1),
  ])('is what the formula says, with its gradient: $title', expectLoss)
})
