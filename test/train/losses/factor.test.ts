import { describe, it } from '@jest/globals'
import { expectLoss, holding, type LossCase, type Tensors } from '../loss-harness.ts'
import { each, layer, leaky, type Shaped, shaped, sum, unit } from './layers.ts'

const pair = { taps: [{ teacher: 't', student: 's' }] }

interface Case {
  readonly title: string
  readonly own: readonly number[]
  readonly wanted: readonly number[]
  readonly power?: 1 | 2
  readonly kernel?: 1 | 3
}

/** Three layers, each with its activation; of the decoder the last one has none. */
function chain(x: Tensors, name: string, value: Shaped, kernel: number): Shaped {
  let made = value
  for (const index of [0, 1, 2]) {
    const out = layer(x, `factor.pair0.${name}${index}`, made, kernel)
    made = name === 'decode' && index === 2 ? out : each(out, leaky(0.1))
  }
  return made
}

/** A sample's factor of length 1. */
const factorOf = ({ content }: Shaped, sample: number, batch: number): number[] => {
  const size = content.length / batch
  return unit([...content.subarray(sample * size, (sample + 1) * size)])
}

const entry = ({ title, own, wanted, power = 1, kernel = 3 }: Case): LossCase => ({
  title,
  terms: [{ loss: 'factor', power, kernel, ...pair }],
  taps: { s: { shape: own } },
  teacherTaps: { t: { shape: wanted } },
  expected: holding((x, held) => {
    const batch = own[0]!
    const teacher = shaped(x['teacher/t']!, wanted)
    // The paraphraser learns to reconstruct; the translator to make what the paraphraser makes.
    const again = chain(x, 'decode', chain(x, 'encode', teacher, kernel), kernel)
    const error = sum(again.content.map((value, i) => (value - teacher.content[i]!) ** 2))
    const theirs = chain(held, 'encode', teacher, kernel)
    const translated = chain(x, 'translate', shaped(x['student/s']!, own), kernel)
    let distance = 0
    for (let sample = 0; sample < batch; sample++) {
      const other = factorOf(translated, sample, batch)
      for (const [i, value] of factorOf(theirs, sample, batch).entries())
        distance += Math.abs(value - other[i]!) ** power
    }
    return distance / batch + error / teacher.content.length
  }),
})

describe('factor transfer', () => {
  it.each([
    entry({ title: 'images', own: [2, 1, 2, 2], wanted: [2, 2, 2, 2] }),
    entry({ title: 'squares', own: [2, 2, 2, 2], wanted: [2, 3, 2, 2], power: 2, kernel: 1 }),
    entry({ title: 'sequences', own: [2, 3, 2], wanted: [2, 3, 4], power: 2 }),
    entry({ title: 'one sample as a whole', own: [1, 3], wanted: [1, 4] }),
  ])('is what the formula says, with its gradient: $title', expectLoss)
})
