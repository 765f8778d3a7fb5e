// What an ONNX operator is in terms of TensorFlow.js, and the helpers that most of them need.
import { UserError } from '../../../base/errors.ts'
import { constantOf, type Node, operatorOf } from '../../../onnx/graph.ts'
import { numbers } from '../../../onnx/tensor.ts'
import type { Tf, TfTensor } from './tensorflow.ts'

/** What an operator sees: one node and the tensors of its inputs. */
export interface OperatorContext {
  readonly tf: Tf
  readonly node: Node
  /** Inputs in order; an omitted optional input is undefined. */
  readonly inputs: readonly (TfTensor | undefined)[]
  /** The first input. */
  readonly x: TfTensor
  /** What error messages call the model. */
  readonly where: string
}

/**
 * Computes the outputs of one node, the first or all of them in order.
 *
 * It uses only operators of TensorFlow.js whose gradient exists and is right for the form in which they are used.
 */
export type Operator = (context: OperatorContext) => TfTensor | readonly (TfTensor | undefined)[]

/** Operators by name. */
export type Operators = Readonly<Record<string, Operator>>

/** An operator of one input. */
export const unary =
  (compute: (tf: Tf, x: TfTensor, node: Node) => TfTensor): Operator =>
  ({ tf, x, node }) =>
    compute(tf, x, node)

/** An operator of two inputs. */
export const binary =
  (compute: (tf: Tf, a: TfTensor, b: TfTensor, node: Node) => TfTensor): Operator =>
  ({ tf, inputs, node }) =>
    compute(tf, inputs[0]!, inputs[1]!, node)

/** The plain numbers of an input that must be constant; undefined where it is left out. */
export function settled(context: OperatorContext, index: number): readonly number[] | undefined {
  const value = context.node.inputs[index]
  if (!value) return undefined
  const tensor = constantOf(value)
  return tensor ? numbers(tensor) : refuse(context, `with a computed input '${value.name}'`)
}

/** Says that a form of an operator is not covered. */
export function refuse({ node, where }: OperatorContext, form: string): never {
  throw new UserError(
    `${where}: engine 'tfjs' does not have operator '${operatorOf(node)}' ${form} (node '${node.name}') — use engine 'onnx'`,
  )
}

/** An axis counted from the front. */
export const axisFromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** The shape that tensors of these shapes broadcast to. */
export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) => {
    const dims = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1)
    return dims.find((dim) => dim !== 1) ?? 1
  })
}

/** A tensor broadcast to a shape. */
export function broadcast(tf: Tf, x: TfTensor, shape: readonly number[]): TfTensor {
  const same = x.shape.length === shape.length && shape.every((dim, axis) => dim === x.shape[axis])
  return same ? x : tf.broadcastTo(x, [...shape])
}

/** Tensors broadcast to their common shape: the gradients of many operators know nothing of broadcasting. */
export function broadcastAll(tf: Tf, ...tensors: readonly TfTensor[]): TfTensor[] {
  const shape = broadcastShape(...tensors.map((tensor) => tensor.shape))
  return tensors.map((tensor) => broadcast(tf, tensor, shape))
}

/** Computes something through which nothing is learned, by operators that may have no gradient (comparisons, say). */
export function unlearned(
  tf: Tf,
  inputs: readonly TfTensor[],
  compute: (...inputs: TfTensor[]) => TfTensor,
): TfTensor {
  const shapes = inputs.map((input) => input.shape)
  return tf.customGrad((...inner) => ({
    // The last argument saves tensors for the gradient, which needs none.
    value: compute(...(inner.slice(0, inputs.length) as TfTensor[])),
    gradFunc: () => shapes.map((shape) => tf.zeros(shape)),
  }))(...inputs)
}

/** A function through which the gradient passes as if it were the identity. */
export function straightThrough(tf: Tf, x: TfTensor, compute: (x: TfTensor) => TfTensor): TfTensor {
  return tf.customGrad((inner) => ({
    value: compute(inner as TfTensor),
    gradFunc: (dy: TfTensor) => dy,
  }))(x)
}

/** Elements `start`, `start + step`, … along one axis, `count` of them. */
export function every(
  tf: Tf,
  x: TfTensor,
  axis: number,
  { start, step, count }: { start: number; step: number; count: number },
): TfTensor {
  const size = x.shape[axis]!
  if (step < 0) {
    const reversed = tf.reverse(x, [axis])
    return every(tf, reversed, axis, { start: size - 1 - start, step: -step, count })
  }
  if (start === 0 && step === 1 && count === size) return x
  const begin = x.shape.map(() => 0)
  begin[axis] = start
  const lengths = [...x.shape]
  lengths[axis] = Math.min(size - start, count * step)
  const cut = tf.slice(x, begin, lengths)
  if (step === 1) return cut
  // The strided slice of TensorFlow.js has no gradient: rows of `step` elements, of which the first ones stay.
  const missing = count * step - lengths[axis]!
  const whole = resized(tf, cut, axis, 0, missing)
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)]
  const inner = after.reduce((product, dim) => product * dim, 1)
  const outer = before.reduce((product, dim) => product * dim, 1)
  const rows = tf.reshape(whole, [outer, count, step, inner])
  const first = tf.slice(rows, [0, 0, 0, 0], [outer, count, 1, inner])
  return tf.reshape(first, [...before, count, ...after])
}

/** Adds elements of one value before and after along an axis, or takes them away where a count is negative. */
export function resized(
  tf: Tf,
  x: TfTensor,
  axis: number,
  before: number,
  after: number,
  value = 0,
): TfTensor {
  if (before === 0 && after === 0) return x
  const start = Math.max(0, -before)
  const count = x.shape[axis]! - start - Math.max(0, -after)
  const kept = before < 0 || after < 0 ? every(tf, x, axis, { start, step: 1, count }) : x
  if (before <= 0 && after <= 0) return kept
  const pads = x.shape.map((_, index): [number, number] =>
    index === axis ? [Math.max(0, before), Math.max(0, after)] : [0, 0],
  )
  return tf.pad(kept, pads, value)
}

/** |x|; the gradient of tf.abs is -1 at 0. */
export const absolute = (tf: Tf, x: TfTensor): TfTensor => tf.add(tf.relu(x), tf.relu(tf.neg(x)))

/** The sum of a list of tensors of one shape. */
export const sumOf = (tf: Tf, tensors: readonly TfTensor[]): TfTensor =>
  tensors.reduce((sum, tensor) => tf.add(sum, tensor))

/** Pieces of a tensor along an axis; a single one would break the gradient of tf.split. */
export const pieces = (
  tf: Tf,
  x: TfTensor,
  sizes: number | readonly number[],
  axis: number,
): TfTensor[] => {
  const count = typeof sizes === 'number' ? sizes : sizes.length
  return count === 1 ? [x] : tf.split(x, typeof sizes === 'number' ? sizes : [...sizes], axis)
}

/** The parts of a tensor along its first axis; a single one would break the gradient of tf.unstack. */
export const unstacked = (tf: Tf, x: TfTensor): TfTensor[] =>
  x.shape[0] === 1 ? [tf.reshape(x, x.shape.slice(1))] : tf.unstack(x)
