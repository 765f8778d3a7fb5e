// The squares of the weights of each channel of a group, added up over everything that a cut would remove.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import type { ChannelSlice, PenalisedGroup, PenaltyContext } from '../penalty.ts'
import { shapeOf } from '../rule.ts'

/** Σ w² of each channel, `[channels]`, and how many weights a channel has. */
export interface ChannelSquares {
  readonly squares: Value
  readonly weights: number
}

/** Writes the sums; undefined where the training graph has none of the group's constants. */
export function channelSquares(
  g: Builder,
  { slices }: PenalisedGroup,
  { value }: Pick<PenaltyContext, 'value'>,
): ChannelSquares | undefined {
  const parts = slices.flatMap((slice) => {
    const found = value(slice.name)
    return found ? [squaresOf(g, found, slice)] : []
  })
  if (parts.length === 0) return undefined
  return {
    squares: parts.map(({ squares }) => squares).reduce((sum, part) => g.Add(sum, part)),
    weights: parts.reduce((sum, part) => sum + part.weights, 0),
  }
}

function squaresOf(g: Builder, value: Value, { axis, indices }: ChannelSlice): ChannelSquares {
  const shape = shapeOf(value)
  const others = shape.flatMap((_, other) => (other === axis ? [] : [other]))
  const square = g.Mul(value, value)
  const sums = others.length > 0 ? g.ReduceSum(square, others, { keepdims: 0 }) : square
  const each = indices[0]!.length
  const weights = each * others.reduce((product, other) => product * shape[other]!, 1)
  const flat = indices.flatMap((own) => [...own])
  const inOrder = flat.length === shape[axis] && flat.every((index, place) => index === place)
  const gathered = inOrder ? sums : g.Gather(sums, flat, { axis: 0 })
  const squares =
    each === 1
      ? gathered
      : g.ReduceSum(g.Reshape(gathered, [indices.length, each]), [1], { keepdims: 0 })
  return { squares, weights }
}
