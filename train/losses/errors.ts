// Losses of numbers that are predicted: the distance to the target values.
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineLoss, weight } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { squares, total } from './formulas.ts'

/** mean (y - t)² */
export const squaredError = defineLoss({
  options: z.strictObject({
    loss: z.literal('squared-error').describe('Mean squared error to the target values.'),
    weight,
  }),
  comparesWith: ['values'],
  write: (g, context) => mean(g, context, squares(g, difference(g, context))),
})

/** mean |y - t| */
export const absoluteError = defineLoss({
  options: z.strictObject({
    loss: z.literal('absolute-error').describe('Mean absolute error to the target values.'),
    weight,
  }),
  comparesWith: ['values'],
  write: (g, context) => mean(g, context, total(g, g.Abs(difference(g, context)))),
})

/** Mean of d²/2 where d = |y - t| ≤ δ, else δ (d - δ/2) (Huber 1964); with q = min(d, δ) both are q (d - q/2). */
export const huber = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('huber')
      .describe('Half the squared error to the target values up to delta, linear beyond.'),
    weight,
    delta: z.number().positive().default(1).describe('Where it becomes linear.'),
  }),
  comparesWith: ['values'],
  write(g, context, { delta }) {
    const distance = g.Abs(difference(g, context))
    const near = g.Min(distance, delta)
    return mean(g, context, total(g, g.Mul(near, g.Sub(distance, g.Mul(near, 0.5)))))
  },
})

/** mean (y - x)² */
export const reconstruction = defineLoss({
  options: z.strictObject({
    loss: z.literal('reconstruction').describe("Mean squared error to the model's own input."),
    weight,
  }),
  comparesWith: ['input'],
  write: (g, context) =>
    mean(g, context, squares(g, g.Sub(context.predictions(), context.input()))),
})

const difference = (g: Builder, { predictions, values }: LossContext): Value =>
  g.Sub(predictions(), values())

const mean = (g: Builder, { predictions }: LossContext, sum: Value): Value =>
  g.Mul(sum, 1 / sizeOf(shapeOf(predictions())))
