import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, holding, type LossCase, type Tensors } from '../loss-harness.ts'
import { layer, logSoftmax, made, rowOf, type Shaped, shaped, sum } from './layers.ts'

const [batch, classes] = [3, 4]
const shapes: Readonly<Record<string, readonly number[]>> = {
  first: [batch, 2, 2, 2],
  second: [batch, 3, 5],
  last: [batch, 2],
}
const oneHot = [0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]

/** The mean over positions. */
function pooled(x: Tensors, name: string): Shaped {
  const shape = shapes[name]!
  const content = x[`student/${name}`]!
  if (shape.length === 2) return shaped(content, shape)
  if (shape.length === 4)
    return made(
      [batch, 2],
      (n, c) => sum(content.subarray((n! * 2 + c!) * 4, (n! * 2 + c! + 1) * 4)) / 4,
    )
  return made([batch, 5], (n, d) => sum([0, 1, 2].map((l) => content[(n! * 3 + l) * 5 + d!]!)) / 3)
}

interface Setting {
  readonly alpha: number
  readonly T: number
  readonly hint: number
  readonly classWeights?: readonly number[]
}

const value = (x: Tensors, held: Tensors, { alpha, T, hint, classWeights }: Setting): number => {
  const names = Object.keys(shapes)
  const targets = shaped(x.targets!, [batch, classes])
  const labels = sum(targets.content)
  const deepest = pooled(held, names.at(-1)!)
  let loss = 0
  for (const [index, name] of names.entries()) {
    const features = pooled(x, name)
    const answer = layer(x, `deep-supervision.stage${index}.head`, features)
    for (let row = 0; row < batch; row++) {
      const z = rowOf(answer, row)
      const wanted = rowOf(targets, row)
      const weighted = logSoftmax(z).map((q, k) => (classWeights?.[k] ?? 1) * wanted[k]! * q)
      loss -= ((1 - alpha) * sum(weighted)) / labels
      const final = rowOf(shaped(held.output0!, [batch, classes]), row)
      const [p, q] = [final, z].map((logits) => logSoftmax(logits.map((entry) => entry / T)))
      const divergence = sum(p!.map((log, k) => Math.exp(log) * (log - q![k]!)))
      loss += (alpha * T * T * divergence) / batch
    }
    if (hint === 0 || index === names.length - 1) continue
    const like = layer(x, `deep-supervision.stage${index}.hint`, features)
    const squares = like.content.map((entry, i) => (entry - deepest.content[i]!) ** 2)
    loss += (hint * sum(squares)) / squares.length
  }
  return loss / names.length
}

const entry = (
  title: string,
  options: object,
  setting: Setting,
  rest: Partial<LossCase> = {},
): LossCase => ({
  title,
  terms: [{ loss: 'deep-supervision', taps: Object.keys(shapes), ...options }],
  outputs: [{ shape: [batch, classes] }],
  taps: Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }])),
  targets: { shape: [batch, classes], content: oneHot },
  facts: { batch, classes },
  expected: holding((x, held) => value(x, held, setting)),
  ...rest,
})

const cases = [
  entry('as told', {}, { alpha: 0.1, T: 3, hint: 0 }),
  entry('with hints', { alpha: 0.4, temperature: 2, hint: 0.5 }, { alpha: 0.4, T: 2, hint: 0.5 }),
  entry(
    'with weights of classes',
    { alpha: 0 },
    { alpha: 0, T: 3, hint: 0, classWeights: [1, 2, 3, 0.5] },
    { facts: { batch, classes, classWeights: [1, 2, 3, 0.5] } },
  ),
  entry(
    'a sample without a label',
    {},
    { alpha: 0.1, T: 3, hint: 0 },
    {
      targets: {
        shape: [batch, classes],
        content: oneHot.map((one, i) => (i < classes ? 0 : one)),
      },
      facts: { batch, classes, unlabelled: true },
    },
  ),
]

describe('deep supervision', () => {
  it.each(cases)('is what the formula says, with its gradient: $title', expectLoss)

  it('answers for each position where each has a label', () =>
    expectLoss({
      title: 'positions',
      terms: [{ loss: 'deep-supervision', taps: ['s'], alpha: 0.5, temperature: 1 }],
      outputs: [{ shape: [2, 2, 3] }],
      taps: { s: { shape: [2, 2, 5] } },
      // The last position does not count.
      targets: { shape: [4, 3], content: [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0] },
      facts: { batch: 2, classes: 3 },
      expected: holding((x, held) => {
        const answer = layer(x, 'deep-supervision.stage0.head', shaped(x['student/s']!, [4, 5]))
        let loss = 0
        for (const [row, label] of [0, 1, 2].entries()) {
          const q = logSoftmax(rowOf(answer, row))
          const p = logSoftmax(rowOf(shaped(held.output0!, [4, 3]), row))
          loss -= 0.5 * q[label]!
          loss += 0.5 * sum(p.map((log, k) => Math.exp(log) * (log - q[k]!)))
        }
        return loss / 3
      }),
    }))

  it('is refused where a stage has other positions than the labels', async () => {
    await expect(
      computedLoss({
        ...cases[0]!,
        terms: [{ loss: 'deep-supervision', taps: ['s'] }],
        outputs: [{ shape: [2, 2, 3] }],
        taps: { s: { shape: [2, 7, 5] } },
        targets: { shape: [4, 3] },
        facts: { batch: 2, classes: 3 },
      }),
    ).rejects.toThrow(
      "test: 'deep-supervision' needs [N, 2, D] where each position has a label: 'tap/s' [2,7,5] — use other taps",
    )
  })
})
