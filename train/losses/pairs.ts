// Losses of samples that belong together: pairs of which the likeness is known, groups in which some come first.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, weight } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { cosine, squares, total } from './formulas.ts'

/** Mean over pairs of (cos(a, b) - t)² (Reimers and Gurevych 2019, section 3). */
export const cosinePairs = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('cosine-pairs')
      .describe('Squared error of the cosine of two consecutive samples to their target.'),
    weight,
  }),
  comparesWith: ['values'],
  write(g, { predictions, values, batch, where }) {
    if (batch % 2 !== 0)
      throw new UserError(
        `${where}: 'cosine-pairs' takes samples in pairs: a batch of ${batch} — use an even one`,
      )
    const pairs = batch / 2
    const embeddings = g.Reshape(predictions(), [pairs, 2, -1])
    const [one, other] = [0, 1].map((at) => g.Slice(embeddings, [at], [at + 1], [1]))
    const wanted = g.Slice(g.Reshape(values(1), [pairs, 2, 1]), [0], [1], [1])
    return g.Mul(squares(g, g.Sub(cosine(g, one!, other!), wanted)), 1 / pairs)
  },
})

/**
 * Mean over pairs of a group, weighted by how much more relevant one is, of -log σ(z_more - z_less) (Burges et al. 2005;
 * with relevances of 0 and 1 that of Rendle et al. 2009).
 */
export const pairwise = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('pairwise')
      .describe('How surely the more relevant of two candidates of a group is ranked first.'),
    weight,
  }),
  comparesWith: ['values'],
  write(g, { predictions, binaryLogits, values, batch, group, where }) {
    if (group < 2 || batch % group !== 0 || shapeOf(predictions())[1] !== 1)
      throw new UserError(
        `${where}: 'pairwise' takes one score for each of a group's candidates: groups of ${group}, a batch of ${batch}, ${shapeOf(predictions())[1]} outputs — use 'binary-cross-entropy', or whole groups`,
      )
    const against = (value: Value) => {
      const groups = batch / group
      return g.Sub(g.Reshape(value, [groups, group, 1]), g.Reshape(value, [groups, 1, group]))
    }
    const more = g.Max(against(g.Max(values(1), 0)), 0)
    const lost = g.Mul(more, g.Softplus(g.Neg(against(binaryLogits()))))
    return g.Div(total(g, lost), g.Add(total(g, more), 1e-12))
  },
})
