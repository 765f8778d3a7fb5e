// Deep supervision: stages inside the student answer too, by heads that are thrown away after the training.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { settled } from '../connectors/connector.ts'
import { defineLoss, ownOptions, temperature } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { scaled, squares, times } from './formulas.ts'
import { meanOfPositions, newLayer, through } from './layers.ts'
import { meanOf } from './maps.ts'
import { divergence, meanOfLabelledRows, meanOfRows } from './rows.ts'

/**
 * Mean over the tapped stages of (1 - α) cross-entropy(qᵢ, y) + α T² KL(q ‖ qᵢ) + λ mean (R fᵢ - f)², where qᵢ is what a
 * learned head (mean over positions, one layer) makes of stage i, q the student's own final answer and f the deepest
 * tapped stage, averaged over positions, R a learned layer (Zhang et al. 2019, equations 3 to 6, there added up and
 * with bottlenecks in place of R; with α = λ = 0 Lee et al. 2015, equation 3). No gradient passes through q and f.
 *
 * Samples without a label learn from q alone. Of `[N, L, D]` where every position has its own label a head answers for
 * each position.
 */
export const deepSupervision = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('deep-supervision')
      .describe(
        "Learned heads on the student's own stages answer too: they learn from the labels and from its final answer.",
      ),
    ...ownOptions,
    alpha: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe("Share of the student's own final answer; the rest is that of the labels."),
    temperature: temperature.default(3).describe('Temperature T of both softmaxes.'),
    hint: z
      .number()
      .min(0)
      .default(0)
      .describe('Weight λ of the distance of each stage to the deepest one.'),
  }),
  comparesWith: ['labels'],
  write(g, context, { taps, alpha, temperature, hint }) {
    const stages = context.tapped(taps)
    const T = context.number(temperature)
    const logits = context.logits()
    const classes = shapeOf(logits)[1]!
    const final = context.detach(logits)
    const deepest = hint > 0 ? context.detach(meanOfPositions(g, stages.at(-1)!)) : undefined
    const terms = stages.map((stage, index) => {
      const name = `deep-supervision.stage${index}`
      const features = featuresOf(g, context, stage)
      const head = newLayer(context, shapeOf(features), classes, `${name}.head`)
      const answer = through(g, features, head)
      const parts: Value[] = []
      if (alpha < 1) parts.push(scaled(g, labelled(g, context, answer), 1 - alpha))
      if (alpha > 0) {
        const mean = meanOfRows(g, context, divergence(g, final, answer, T))
        parts.push(scaled(g, mean, times(g, times(g, T, T), alpha)))
      }
      if (deepest && index < stages.length - 1) {
        const own = meanOfPositions(g, stage)
        const [rows, width] = shapeOf(deepest) as [number, number]
        const layer = newLayer(context, shapeOf(own), width, `${name}.hint`)
        const apart = g.Sub(through(g, own, layer), deepest)
        parts.push(g.Mul(squares(g, apart), hint / (rows * width)))
      }
      return parts.reduce((sum, part) => g.Add(sum, part))
    })
    return meanOf(g, terms)
  },
})

/** What a head looks at, `[rows, width]`: one row for each of the logits. */
function featuresOf(g: Builder, { positions, batch, where }: LossContext, stage: Value): Value {
  if (positions() === 1) return meanOfPositions(g, stage)
  const shape = shapeOf(stage)
  if (shape.length !== 3 || shape[1] !== positions())
    throw new UserError(
      `${where}: 'deep-supervision' needs [N, ${positions()}, D] where each position has a label: '${stage.name}' [${shape}] — use other taps`,
    )
  const rows = [batch * shape[1], shape[2]!]
  return settled(g.Reshape(stage, rows), rows)
}

/** The cross-entropy of an answer with the labels. */
function labelled(g: Builder, context: LossContext, answer: Value): Value {
  const { targets, classWeights } = context
  const classes = shapeOf(answer)[1]!
  const wanted = classWeights
    ? g.Mul(targets(), tensorOf('float32', [classes], classWeights))
    : targets()
  return g.Neg(meanOfLabelledRows(g, context, g.Mul(wanted, g.LogSoftmax(answer, { axis: -1 }))))
}
