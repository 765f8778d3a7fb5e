import { describe, expect, it } from '@jest/globals'
import { computedLoss, expectLoss, holding, type LossCase, type Tensors } from '../loss-harness.ts'
import { each, layer, leaky, type Shaped, shaped, softplus, sum } from './layers.ts'

/** The discriminator's logit at every position. */
const judged = (weights: Tensors, name: string, value: Shaped): Float64Array =>
  layer(weights, `${name}.out`, each(layer(weights, `${name}.hidden`, value), leaky(0.2))).content

const mean = (values: Float64Array): number => sum(values) / values.length

/** -log σ(z) and -log(1 - σ(z)) */
const [yes, no] = [(z: number) => softplus(-z), (z: number) => softplus(z)]

interface Game {
  readonly name: string
  readonly student: string
  readonly teacher: string
  readonly own: readonly number[]
}

const discriminating = (x: Tensors, fed: Tensors, { name, student, teacher, own }: Game): number =>
  mean(judged(x, name, shaped(fed[teacher]!, own)).map(yes)) +
  mean(judged(x, name, shaped(fed[student]!, own)).map(no))

const fooling = (x: Tensors, weights: Tensors, { name, student, own }: Game): number =>
  mean(judged(weights, name, shaped(x[student]!, own)).map(yes))

// The student's values count in the one, the discriminator's weights in the other alone.
const expected = (game: Game) =>
  holding((x, held) => discriminating(x, held, game) + fooling(x, held, game))

const shape = [2, 3, 2, 2]
const outputs: LossCase = {
  title: 'outputs',
  terms: [{ loss: 'adversarial', hidden: 5 }],
  outputs: [{ shape: [4, 3] }],
  teacher: [{ shape: [4, 3] }],
  expected: expected({
    name: 'adversarial.outputs',
    student: 'output0',
    teacher: 'teacher0',
    own: [4, 3],
  }),
}
const inner = { name: 'adversarial.pair0', student: 'student/s', teacher: 'teacher/t' }
const tapped = (title: string, own: readonly number[]): LossCase => ({
  title,
  terms: [{ loss: 'adversarial', taps: [{ teacher: 't', student: 's' }], hidden: 4 }],
  taps: { s: { shape: own } },
  teacherTaps: { t: { shape: own } },
  expected: expected({ ...inner, own }),
})
const images = tapped('images', shape)

describe('adversarial distillation', () => {
  it.each([outputs, images, tapped('sequences', [2, 3, 4]), tapped('one sample', [1, 3])])(
    'is what the formula says, with its gradient: $title',
    expectLoss,
  )

  it('gives each side the gradient of its own objective alone', async () => {
    const { gradients, inputs } = await computedLoss(images)
    const game = { ...inner, own: shape }
    const slope = (name: string, f: (x: Tensors) => number) => {
      const [above, below] = [1e-5, -1e-5].map((step) =>
        f({ ...inputs, [name]: inputs[name]!.with(0, inputs[name]![0]! + step) }),
      )
      return (above! - below!) / 2e-5
    }
    const weight = 'adversarial.pair0.hidden.weight'
    const learning = slope(weight, (x) => discriminating(x, x, game))
    expect(gradients[weight]![0]).toBeCloseTo(learning, 5)
    const deceiving = slope('student/s', (x) => fooling(x, x, game))
    expect(gradients['student/s']![0]).toBeCloseTo(deceiving, 5)
    // The student gains where the discriminator loses: the two objectives pull its values apart.
    expect(slope('student/s', (x) => discriminating(x, x, game)) * deceiving).toBeLessThan(0)
  })
})
