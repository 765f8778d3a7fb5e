// Adversarial distillation: a discriminator, trained in the same graph, tells the teacher's values from the student's.
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { channelAxis, settled } from '../connectors/connector.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { total } from './formulas.ts'
import { type Layer, leakyRelu, newLayer, through } from './layers.ts'
import { meanOf } from './maps.ts'
import { logitsOfBoth, meanOfRows } from './rows.ts'

/**
 * -log D(t) - log(1 - D(s)) for the discriminator D, and -log D(s) for the student (Goodfellow et al. 2014, equation 1
 * and the end of section 3; between networks Xu et al. 2018 on logits, Wang et al. 2018): means over rows of logits, or
 * over all positions of tapped features. No gradient of the one reaches the other. Needs no label.
 *
 * D is two layers on the channels with leaky ReLU (slope 0.2) between: a small network on rows `[N, C]`, 1x1
 * convolutions on images, matrices on sequences. At rest, where D cannot tell, the value is 3 log 2.
 */
export const adversarial = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('adversarial')
      .describe(
        "What a small discriminator, learned beside, says of the student's outputs or tapped values, and its own loss.",
      ),
    ...pairOptions,
    taps: pairOptions.taps
      .unwrap()
      .optional()
      .describe('Values inside the models to tell apart; the outputs where none are given.'),
    hidden: z.int().positive().default(64).describe("Width of the discriminator's hidden layer."),
  }),
  comparesWith: ({ taps }) => (taps === undefined ? ['teacher'] : []),
  write(g, context, { taps, connector, hidden }) {
    if (taps === undefined) {
      const { student, teacher } = logitsOfBoth(g, context)
      const mean = (rows: Value) => meanOfRows(g, context, rows)
      const shape = shapeOf(student)
      return game(g, context, {
        student,
        teacher,
        shape,
        hidden,
        mean,
        name: 'adversarial.outputs',
      })
    }
    const terms = context
      .pairs({ taps, connector }, 'all', 'adversarial')
      .map(({ student, teacher }, index) => {
        const shape = shapeOf(teacher)
        const count = sizeOf(shape) / shape[channelAxis(shape)]!
        const mean = (values: Value) => g.Mul(total(g, values), 1 / count)
        const name = `adversarial.pair${index}`
        return game(g, context, { student, teacher, shape, hidden, mean, name })
      })
    return meanOf(g, terms)
  },
})

/** What one discriminator looks at, and the mean over all places that it judges. */
interface Game {
  readonly student: Value
  readonly teacher: Value
  readonly shape: readonly number[]
  readonly hidden: number
  readonly mean: (judgements: Value) => Value
  readonly name: string
}

function game(
  g: Builder,
  context: LossContext,
  { student, teacher, shape, hidden, mean, name }: Game,
): Value {
  const { detach } = context
  const inner = shape.with(channelAxis(shape), hidden)
  const learning = [
    newLayer(context, shape, hidden, `${name}.hidden`, { gain: 2 }),
    newLayer(context, inner, 1, `${name}.out`),
  ]
  const resting = learning.map(({ weight, bias }) => ({
    weight: detach(weight),
    bias: detach(bias),
  }))
  const judged = (value: Value, [first, second]: readonly Layer[]) =>
    through(g, leakyRelu(g, through(g, value, first!), 0.2), second!)
  // -log σ(z) = softplus(-z), -log(1 - σ(z)) = softplus(z)
  const real = mean(g.Softplus(g.Neg(judged(settled(teacher, shape), learning))))
  const made = mean(g.Softplus(judged(detach(student), learning)))
  const fooled = mean(g.Softplus(g.Neg(judged(student, resting))))
  return g.Add(g.Add(real, made), fooled)
}
