// The flow of the solution procedure (Yim, Joo, Bae and Kim 2017): how channels of one layer go with those of the next.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { positionsIn, withPositions } from '../connectors/connector.ts'
import { divides } from '../connectors/positions.ts'
import { settled } from '../connectors.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { squares } from './formulas.ts'
import { mapsOf, meanOf, needsPositions, products } from './maps.ts'

/**
 * Mean of (g_S - g_T)², g_ij = Σ over positions of a_i b_j / (h w) for channels i and j of consecutive taps a and b
 * (equations 1 and 2, with the mean over i and j in place of their sum).
 */
export const fsp = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('fsp')
      .describe(
        'Squared distance of the products of channels between each tap and the next, averaged over positions; the larger of two images (or sequences) is max-pooled.',
      ),
    ...pairOptions,
  }),
  comparesWith: [],
  write(g, context, options) {
    const pairs = context.pairs(options, 'channels', options.loss)
    if (pairs.length < 2)
      throw new UserError(
        `${context.where}: 'fsp' compares consecutive taps: ${pairs.length} given — name two or more`,
      )
    const terms = pairs.slice(1).map((after, index) => {
      const before = pairs[index]!
      const student = flow(g, context, before.student, after.student)
      const teacher = flow(g, context, before.teacher, after.teacher)
      const [n, rows, columns] = teacher.shape
      const squared = squares(g, g.Sub(student.value, teacher.value))
      return g.Mul(squared, 1 / (n * rows * columns))
    })
    return meanOf(g, terms)
  },
})

/** The products of the channels of two values of one model, averaged over positions: `[N, C, C']`. */
function flow(g: Builder, context: LossContext, before: Value, after: Value) {
  for (const value of [before, after]) needsPositions(context, value, 'fsp')
  const [one, other] = [positionsIn(shapeOf(before)), positionsIn(shapeOf(after))]
  const common = divides(one, other) ? other : one
  if (!divides(one, common) || !divides(other, common))
    throw new UserError(
      `${context.where}: 'fsp' pools the larger of consecutive taps: [${shapeOf(before)}] and [${shapeOf(after)}] do not divide — use other taps`,
    )
  const a = mapsOf(g, context, maximum(g, before, common), 'fsp')
  const b = mapsOf(g, context, maximum(g, after, common), 'fsp')
  return {
    value: g.Mul(products(g, a, b), 1 / a.positions),
    shape: [a.samples, a.channels, b.channels] as const,
  }
}

/** The largest value of each channel in windows that make the wanted positions. */
function maximum(g: Builder, value: Value, wanted: readonly number[]): Value {
  const shape = shapeOf(value)
  const window = positionsIn(shape).map((size, axis) => size / wanted[axis]!)
  if (window.every((size) => size === 1)) return value
  const out = withPositions(shape, wanted)
  if (shape.length >= 4)
    return settled(g.MaxPool(value, { kernel_shape: window, strides: window }), out)
  const parts = g.Reshape(value, [shape[0]!, wanted[0]!, window[0]!, shape[2]!])
  return settled(g.ReduceMax(parts, [2], { keepdims: 0 }), out)
}
