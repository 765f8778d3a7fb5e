// Connectors without weights: they give a value the teacher's positions and leave the channels alone.
import { z } from 'zod'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { defineConnector, positionsIn, settled, unfit, withPositions } from './connector.ts'

/** The mean over the positions that become one. */
export const pool = defineConnector({
  options: z.strictObject({
    connect: z
      .literal('pool')
      .describe("Average pooling to the teacher's positions, which must divide the student's."),
  }),
  write(g, context, step) {
    const { value, shape, wanted } = step
    const [from, to] = [positionsIn(shape), positionsIn(wanted)]
    if (!divides(from, to))
      throw unfit(context, 'pool', step, 'cannot divide the positions', "use 'interpolate'")
    const out = withPositions(shape, to)
    const window = from.map((size, axis) => size / to[axis]!)
    if (sizeOf(window) === 1) return value
    if (shape.length >= 4)
      return settled(g.AveragePool(value, { kernel_shape: window, strides: window }), out)
    const parts = g.Reshape(value, [shape[0]!, to[0]!, window[0]!, shape[2]!])
    return settled(g.ReduceMean(parts, [2], { keepdims: 0 }), out)
  },
})

/**
 * Linear between the centres of the positions, with nothing beyond the first and the last. Each new position reads the
 * two nearest ones along an axis: `pool` loses less where they become less than half as many.
 */
export const interpolate = defineConnector({
  options: z.strictObject({
    connect: z
      .literal('interpolate')
      .describe("Linear resizing of the positions to the teacher's, up or down."),
  }),
  write(g, context, step) {
    const { value, shape, wanted } = step
    const [from, to] = [positionsIn(shape), positionsIn(wanted)]
    if (from.length === 0 || from.length !== to.length)
      throw unfit(
        context,
        'interpolate',
        step,
        'needs positions along the same axes',
        "use 'average' or 'sequence'",
      )
    if (String(from) === String(to)) return value
    const out = withPositions(shape, to)
    const resized = (image: Value, sizes: readonly number[]) =>
      g.Resize(image, undefined, undefined, sizes, { mode: 'linear' })
    if (shape.length >= 4) return settled(resized(value, out), out)
    // A sequence is an image with one channel, as wide as it has channels.
    const [n, length, channels] = [shape[0]!, shape[1]!, shape[2]!]
    const image = g.Reshape(value, [n, 1, length, channels])
    return settled(g.Reshape(resized(image, [n, 1, to[0]!, channels]), out), out)
  },
})

/** The mean over all positions: `[N, C]`. */
export const average = defineConnector({
  options: z.strictObject({
    connect: z.literal('average').describe('The mean over all positions: one vector a sample.'),
  }),
  write(g, _, { value, shape }) {
    const axes = positionsIn(shape).map((_, index) => index + (shape.length >= 4 ? 2 : 1))
    if (axes.length === 0) return value
    return settled(g.ReduceMean(value, axes, { keepdims: 0 }), withPositions(shape, []))
  },
})

/** `[N, C, H, W]` as a sequence `[N, H·W, C]` in reading order, or such a sequence as the teacher's image. */
export const sequence = defineConnector({
  options: z.strictObject({
    connect: z
      .literal('sequence')
      .describe('An image [N, C, H, W] as a sequence [N, H·W, C] in reading order, or back.'),
  }),
  write(g, context, step) {
    const { value, shape, wanted } = step
    const [n, channels, area] = [shape[0]!, shape[1]!, sizeOf(positionsIn(shape))]
    if (shape.length === 4)
      return settled(g.Transpose(g.Reshape(value, [n, channels, area]), { perm: [0, 2, 1] }), [
        n,
        area,
        channels,
      ])
    const grid = positionsIn(wanted)
    if (shape.length !== 3 || wanted.length !== 4 || sizeOf(grid) !== area)
      throw unfit(
        context,
        'sequence',
        step,
        'takes an image, or a sequence as long as the image has positions',
        'use other taps',
      )
    const out = [n, shape[2]!, ...grid]
    return settled(g.Reshape(g.Transpose(value, { perm: [0, 2, 1] }), out), out)
  },
})

/** True where every window of a pooling would be a whole number of positions. */
export const divides = (from: readonly number[], to: readonly number[]): boolean =>
  from.length > 0 && from.length === to.length && from.every((size, axis) => size % to[axis]! === 0)
