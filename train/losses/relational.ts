// Relations of samples: distances of pairs and angles of triplets (Park, Kim, Lu and Cho 2019).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { total } from './formulas.ts'
import { diagonal, gram, meanOf, needsSamples, samples } from './maps.ts'
import { apart } from './samples.ts'

/**
 * λ_D · mean over pairs of h(d_S - d_T) + λ_A · mean over triplets of h(cos_S - cos_T): d the distance of two samples
 * over the mean distance of the batch, cos the cosine of the angle that two samples make at a third, h the Huber loss
 * with δ = 1 (sections 3.2.1 and 3.2.2). All of a pair or a triplet are different samples.
 *
 * Angles take batch³ numbers.
 */
export const relational = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('relational')
      .describe('Distances of pairs and angles of triplets of samples: relational distillation.'),
    ...pairOptions,
    distance: z.number().min(0).default(25).describe('Weight of the distances.'),
    angle: z
      .number()
      .min(0)
      .default(50)
      .describe('Weight of the angles; 0 saves most of the time.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const { batch } = context
    // Two samples have one distance, which is its own mean.
    needsSamples(context, options.loss, 3)
    const pairs = batch * (batch - 1)
    const terms = context.pairs(options, 'none', options.loss).map(({ student, teacher }) => {
      const [own, theirs] = [relations(g, context, student), relations(g, context, teacher)]
      const distances = g.Sub(own.distances(), theirs.distances())
      const far = g.Mul(huber(g, context, distances), options.distance / pairs)
      if (options.angle === 0) return far
      const angles = g.Sub(own.angles(), theirs.angles())
      return g.Add(far, g.Mul(huber(g, context, angles), options.angle / (pairs * (batch - 2))))
    })
    return meanOf(g, terms)
  },
})

/** What samples are to each other, all from their inner products. */
function relations(g: Builder, context: LossContext, value: Value) {
  const { batch } = context
  const rows = samples(g, value)
  // Distances and angles do not change, and inner products lose less to cancellation.
  const centred = g.Sub(rows, g.ReduceMean(rows, [0], { keepdims: 1 }))
  const products = gram(g, context, centred)
  const others = g.constant(apart(batch), 'apart')
  const own = diagonal(g, products, batch)
  const squared = g.Sub(g.Add(own, g.Reshape(own, [1, batch])), g.Mul(products, 2))
  // A root has no gradient at zero: equal samples get none.
  const lengths = g.Sqrt(g.Clip(squared, 1e-8))
  return {
    /** `[N, N]`, 0 on the diagonal; their mean is 1. */
    distances() {
      const distances = g.Mul(lengths, others)
      return g.Div(distances, g.Mul(total(g, distances), 1 / (batch * (batch - 1))))
    },
    /** `[N, N, N]`: of i and k seen from j; 0 where one of them is j. */
    angles() {
      const inverse = g.Div(others, lengths)
      // (x_i - x_j)·(x_k - x_j) = x_i·x_k - u_ji - u_jk with u_ji = x_j·x_i - x_j·x_j/2
      const offset = g.Sub(products, g.Mul(own, 0.5))
      const seen = (matrix: Value, shape: readonly number[]) => g.Reshape(matrix, shape)
      const [first, last] = [
        [batch, batch, 1],
        [batch, 1, batch],
      ] as const
      const between = g.Sub(
        g.Sub(g.Reshape(products, [1, batch, batch]), seen(offset, first)),
        seen(offset, last),
      )
      return g.Mul(g.Mul(between, seen(inverse, first)), seen(inverse, last))
    },
  }
}

/**
 * Σ of x²/2 where |x| ≤ 1, else |x| - 1/2; with q = clip(x, -1, 1) both are q (x - q/2).
 *
 * The gradient is q, which is what is left where none passes through q itself: fewer passes over batch³ numbers.
 */
function huber(g: Builder, { detach }: LossContext, x: Value): Value {
  const near = detach(g.Clip(x, -1, 1))
  return total(g, g.Mul(near, g.Sub(x, g.Mul(near, 0.5))))
}
