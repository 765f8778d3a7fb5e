// Features themselves: the student's tapped values are to be those of the teacher.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { atLeastOne, cosine, squares, total } from './formulas.ts'
import { meanOf } from './maps.ts'
import { mask, maskOf } from './mask.ts'

/**
 * Mean of (s - t)², of |s - t|, or of 1 - cos(s, t) of each sample (Romero et al. 2015, equation 3, for the squares, with
 * the mean over values in place of half their sum).
 */
export const feature = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('feature')
      .describe(
        "Distance of the student's tapped values to the teacher's, of any shape: with connector 'conv' FitNets' hints.",
      ),
    ...pairOptions,
    distance: z
      .enum(['squared', 'absolute', 'cosine'])
      .default('squared')
      .describe(
        'What is averaged: squares, absolute values, or 1 - cosine of each sample (with a mask: of each position).',
      ),
    mask,
  }),
  comparesWith: [],
  write(g, context, options) {
    const { batch } = context
    const terms = context.pairs(options, 'all', 'feature').map(({ student, teacher }) => {
      if (options.mask !== undefined) return masked(g, context, { student, teacher }, options)
      const size = sizeOf(shapeOf(teacher))
      if (options.distance === 'cosine') {
        const rows = (value: typeof student) => g.Reshape(value, [batch, size / batch])
        return g.Sub(1, g.Mul(total(g, cosine(g, rows(student), rows(teacher))), 1 / batch))
      }
      const difference = g.Sub(student, teacher)
      const sum =
        options.distance === 'squared' ? squares(g, difference) : total(g, g.Abs(difference))
      return g.Mul(sum, 1 / size)
    })
    return meanOf(g, terms)
  },
})

/** The same over the positions of sequences `[N, L, D]` that are no padding. */
function masked(
  g: Builder,
  context: LossContext,
  { student, teacher }: { readonly student: Value; readonly teacher: Value },
  options: {
    readonly distance: 'squared' | 'absolute' | 'cosine'
    readonly mask?: string | undefined
  },
): Value {
  const shape = shapeOf(teacher)
  const [batch, length, width] = shape as [number, number, number]
  if (shape.length !== 3)
    throw new UserError(
      `${context.where}: 'feature' takes a mask for sequences [N, L, D]: '${options.mask}' for [${shape}] — leave the mask out`,
    )
  const counts = g.Reshape(maskOf(g, context, options.mask, length), [batch, length, 1])
  const count = atLeastOne(g, total(g, counts))
  if (options.distance === 'cosine')
    return g.Div(total(g, g.Mul(g.Sub(1, cosine(g, student, teacher)), counts)), count)
  const difference = g.Sub(student, teacher)
  const each = options.distance === 'squared' ? g.Mul(difference, difference) : g.Abs(difference)
  return g.Div(total(g, g.Mul(each, counts)), g.Mul(count, width))
}
