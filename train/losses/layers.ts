// Layers that losses learn for themselves and that are thrown away after the training, and the mean over positions that
// often comes before.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { channelAxis, positionsIn, settled } from '../connectors/connector.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'

/** y = W x + b along the channels: a convolution of images `[N, C, H, W]`, a matrix on the last axis elsewhere. */
export interface Layer {
  readonly weight: Value
  readonly bias: Value
}

/**
 * A layer for values of a shape; its weights are drawn with the variance `gain` over the inputs, the bias is zero.
 *
 * @param size - The window of a convolution along each axis, odd; values of fewer than four axes have none.
 */
export function newLayer(
  { parameter }: LossContext,
  shape: readonly number[],
  to: number,
  name: string,
  { gain = 1, size = 1 }: { readonly gain?: number; readonly size?: number } = {},
): Layer {
  const from = shape[channelAxis(shape)]!
  const window = shape.length < 4 ? [] : positionsIn(shape).map(() => size)
  const normal = Math.sqrt(gain / (from * size ** window.length))
  const dims = window.length === 0 ? [from, to] : [to, from, ...window]
  return {
    weight: parameter(`${name}.weight`, dims, { normal }),
    bias: parameter(`${name}.bias`, [to], 0),
  }
}

/** A value through a layer; positions stay as they are. */
export function through(g: Builder, value: Value, { weight, bias }: Layer): Value {
  const shape = shapeOf(value)
  const out = shape.with(channelAxis(shape), shapeOf(bias)[0]!)
  if (shape.length < 4) return settled(g.Add(g.MatMul(value, weight), bias), out)
  const window = shapeOf(weight).slice(2)
  const around = window.map((size) => (size - 1) / 2)
  const attributes = { kernel_shape: window, pads: [...around, ...around] }
  return settled(g.Conv(value, weight, bias, attributes), out)
}

/** An activation, which keeps the shape. */
export const relu = (g: Builder, value: Value): Value => settled(g.Relu(value), shapeOf(value))

/** x for x > 0, else slope · x. */
export const leakyRelu = (g: Builder, value: Value, slope: number): Value =>
  settled(g.LeakyRelu(value, { alpha: slope }), shapeOf(value))

/** The mean over all positions: `[N, C]` of images `[N, C, H, W]`, sequences `[N, L, C]` and of `[N, C]` itself. */
export function meanOfPositions(g: Builder, value: Value): Value {
  const shape = shapeOf(value)
  if (shape.length === 2) return value
  if (shape.length < 2) return settled(g.Reshape(value, [shape[0]!, 1]), [shape[0]!, 1])
  const channel = channelAxis(shape)
  const axes = [...shape.keys()].slice(1).filter((axis) => axis !== channel)
  return settled(g.ReduceMean(value, axes, { keepdims: 0 }), [shape[0]!, shape[channel]!])
}
