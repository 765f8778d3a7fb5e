// What losses on tapped values share: samples as rows, positions by channels, and their products.
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { channelAxis, positionsIn } from '../connectors/connector.ts'
import { settled } from '../connectors.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'

/** The mean of the terms of several taps, so that a weight means the same for one and for many. */
export const meanOf = (g: Builder, terms: readonly Value[]): Value =>
  terms.length === 1
    ? terms[0]!
    : g.Mul(
        terms.reduce((sum, term) => g.Add(sum, term)),
        1 / terms.length,
      )

/** A value as `[batch, width]`. */
export function samples(g: Builder, value: Value): Value {
  const shape = shapeOf(value)
  const flat = [shape[0]!, sizeOf(shape.slice(1))]
  return shape.length === 2 ? value : settled(g.Reshape(value, flat), flat)
}

/** Refuses a batch with too few samples to be compared with each other. */
export function needsSamples({ batch, where }: LossContext, loss: string, least: number): void {
  if (batch < least)
    throw new UserError(
      `${where}: '${loss}' compares samples of a batch with each other: a batch of ${batch} — use ${least} or more`,
    )
}

/**
 * Every inner product of rows, G = QQᵀ: `[N, N]`.
 *
 * dQ = (dG + dGᵀ) Q takes one large product here, where the rule of a product would take two.
 */
export function gram(g: Builder, { detach }: LossContext, rows: Value): Value {
  const half = g.Gemm(rows, detach(rows), { transB: 1 })
  return g.Sub(g.Add(half, g.Transpose(half, { perm: [1, 0] })), detach(half))
}

/** The diagonal of a matrix, or of the last two axes, with length 1 on the last. */
export function diagonal(g: Builder, matrix: Value, size: number): Value {
  const content = Array.from({ length: size ** 2 }, (_, at) => (at % (size + 1) === 0 ? 1 : 0))
  return g.ReduceSum(g.Mul(matrix, tensorOf('float32', [size, size], content)), [-1], {
    keepdims: 1,
  })
}

/**
 * x / √(Σ x² + ε) along an axis: vectors of length 1; finite, with its gradient, for zeros too.
 *
 * ε is for squares, and bounds the gradient at zero by 1/√ε: it matters for lengths of that order alone.
 */
export function unit(g: Builder, value: Value, axis: number, epsilon = 1e-8): Value {
  const squares = g.ReduceSum(g.Mul(value, value), [axis], { keepdims: 1 })
  return g.Div(value, g.Sqrt(g.Add(squares, epsilon)))
}

/** A tapped value with positions: `[N, C, P]` for an image, `[N, P, C]` for a sequence. */
export interface Maps {
  readonly value: Value
  readonly samples: number
  readonly channels: number
  readonly positions: number
  readonly channelAxis: 1 | 2
  readonly positionAxis: 1 | 2
}

/** Refuses a value without positions. */
export function needsPositions({ where }: LossContext, value: Value, loss: string): void {
  const shape = shapeOf(value)
  if (shape.length < 3)
    throw new UserError(
      `${where}: '${loss}' compares positions: values [${shape}] have none — tap values [N, C, H, W] or [N, L, D]`,
    )
}

/** A value with its positions on one axis; a {@link UserError} where it has none. */
export function mapsOf(g: Builder, context: LossContext, value: Value, loss: string): Maps {
  needsPositions(context, value, loss)
  const shape = shapeOf(value)
  const [n, channels] = [shape[0]!, shape[channelAxis(shape)]!]
  const positions = sizeOf(positionsIn(shape))
  if (shape.length === 3)
    return { value, samples: n, channels, positions, channelAxis: 2, positionAxis: 1 }
  const flat = settled(g.Reshape(value, [n, channels, positions]), [n, channels, positions])
  return { value: flat, samples: n, channels, positions, channelAxis: 1, positionAxis: 2 }
}

/** Σ over positions of a · b for every pair of their channels: `[N, channels of a, channels of b]`. */
export function products(g: Builder, a: Maps, b: Maps): Value {
  const turned = (value: Value) => g.Transpose(value, { perm: [0, 2, 1] })
  const left = a.channelAxis === 1 ? a.value : turned(a.value)
  const right = b.channelAxis === 1 ? turned(b.value) : b.value
  return g.MatMul(left, right)
}

/** value to a whole power of at least 1. */
export function wholePower(g: Builder, value: Value, power: number): Value {
  let out = value
  for (let times = 1; times < power; times++) out = g.Mul(out, value)
  return out
}
