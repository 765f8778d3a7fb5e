// Connectors that learn: they give a value the teacher's channels.
import { z } from 'zod'
import { newLayer, through } from '../losses/layers.ts'
import {
  channelAxis,
  defineConnector,
  positionsIn,
  settled,
  unfit,
  withPositions,
} from './connector.ts'

/** y = W x along the channels: a 1x1 convolution of images, a matrix on the last axis elsewhere. */
export const linear = defineConnector({
  options: z.strictObject({
    connect: z.literal('linear').describe('A learned matrix on the channels: a 1x1 convolution.'),
  }),
  write(g, { parameter }, { value, shape, wanted, name }) {
    const axis = channelAxis(shape)
    const [from, to] = [shape[axis]!, wanted[channelAxis(wanted)]!]
    const out = shape.with(axis, to)
    const normal = Math.sqrt(1 / from)
    if (axis === shape.length - 1) {
      const weight = parameter(`${name}.weight`, [from, to], { normal })
      return settled(g.MatMul(value, weight), out)
    }
    const window = shape.slice(2).map(() => 1)
    const weight = parameter(`${name}.weight`, [to, from, ...window], { normal })
    return settled(g.Conv(value, weight, { kernel_shape: window }), out)
  },
})

/** y = W₂ relu(W₁ x + b₁) + b₂ along the channels (the projection head of Chen et al. 2020, section 2.1). */
export const projection = defineConnector({
  options: z.strictObject({
    connect: z.literal('projection').describe('Two learned layers on the channels, ReLU between.'),
    hidden: z
      .int()
      .positive()
      .optional()
      .describe("Width between them; the teacher's channels unless given."),
  }),
  write(g, context, { value, shape, wanted, name }, { hidden: given }) {
    const to = wanted[channelAxis(wanted)]!
    const hidden = given ?? to
    const inner = through(g, value, newLayer(context, shape, hidden, `${name}.hidden`, { gain: 2 }))
    const between = shape.with(channelAxis(shape), hidden)
    const active = settled(g.Relu(inner), between)
    return through(g, active, newLayer(context, between, to, `${name}.out`))
  },
})

/**
 * A convolution to the teacher's channels and positions (the regressor of Romero et al. 2015, section 2.2): the smallest
 * stride, then the least padding, that give them. A {@link UserError} where windows would leave gaps or see padding alone.
 */
export const conv = defineConnector({
  options: z.strictObject({
    connect: z
      .literal('conv')
      .describe("A learned convolution to the teacher's channels and positions."),
    kernel: z.int().positive().default(3).describe('Size of its window along every axis.'),
  }),
  write(g, context, step, { kernel }) {
    const { value, shape, wanted, name } = step
    const [from, to] = [positionsIn(shape), positionsIn(wanted)]
    if (shape.length < 4 || from.length !== to.length)
      throw unfit(
        context,
        'conv',
        step,
        'takes images [N, C, H, W]',
        "use 'linear' or 'projection'",
      )
    const windows = from.map((size, axis) => windowFor(size, to[axis]!, kernel))
    if (windows.some((window) => window === undefined))
      throw unfit(
        context,
        'conv',
        step,
        `of kernel ${kernel} does not reach the positions`,
        "use another kernel, or 'pool' or 'interpolate' before it",
      )
    const channels = shape[1]!
    const dims = [wanted[1]!, channels, ...from.map(() => kernel)]
    const inputs = channels * kernel ** from.length
    const weight = context.parameter(`${name}.weight`, dims, { normal: Math.sqrt(1 / inputs) })
    const bias = context.parameter(`${name}.bias`, [wanted[1]!], 0)
    const before = windows.map((window) => Math.floor(window!.padding / 2))
    const after = windows.map((window) => Math.ceil(window!.padding / 2))
    const out = g.Conv(value, weight, bias, {
      kernel_shape: from.map(() => kernel),
      strides: windows.map((window) => window!.stride),
      pads: [...before, ...after],
    })
    return settled(out, withPositions([shape[0]!, wanted[1]!, ...from], to))
  },
})

/** The stride and padding of a window that makes `to` positions of `from`; undefined where there are none. */
function windowFor(
  from: number,
  to: number,
  kernel: number,
): { readonly stride: number; readonly padding: number } | undefined {
  const stride = Math.max(1, to === 1 ? 1 : Math.ceil((from - kernel) / (to - 1)))
  const padding = (to - 1) * stride + kernel - from
  return padding >= 0 && padding <= 2 * (kernel - 1) && stride <= kernel
    ? { stride, padding }
    : undefined
}
