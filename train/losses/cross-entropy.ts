// Cross-entropy with the labels.
import { z } from 'zod'
import { tensorOf } from '../../onnx/tensor.ts'
import { defineLoss, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { counting } from './formulas.ts'
import { meanOfLabelledRows } from './rows.ts'

/** -Σ w q log softmax(z) with q = (1-ε)·onehot + ε/K (Szegedy et al. 2016, section 7), w the weight of a class. */
export const crossEntropy = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('cross-entropy')
      .describe('Cross-entropy with the labels, one a sample or one a position.'),
    weight,
    labelSmoothing: z.number().min(0).lt(1).default(0).describe('Share spread over all classes.'),
  }),
  comparesWith: ['labels'],
  write(g, context, { labelSmoothing }) {
    const { logits, targets, positions, classWeights, unlabelled } = context
    const z = logits()
    const classes = shapeOf(z)[1]!
    const some = positions() > 1 || unlabelled
    const spread = labelSmoothing / classes
    const smooth =
      labelSmoothing === 0
        ? targets()
        : g.Add(
            g.Mul(targets(), 1 - labelSmoothing),
            // What does not count gets nothing either.
            some ? g.Mul(counting(g, targets()), spread) : spread,
          )
    const weighted = classWeights
      ? g.Mul(smooth, tensorOf('float32', [classes], classWeights))
      : smooth
    return g.Neg(meanOfLabelledRows(g, context, g.Mul(weighted, g.LogSoftmax(z, { axis: -1 }))))
  },
})
