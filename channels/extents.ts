// Vectors that a graph computes from sizes (the shape of a Reshape from the Shape of its input): what each of their
// elements is for the stated shapes, and from which axes it is made.

import { constantOf, type Node, type Value } from '../onnx/graph.ts'
import { type ShapeOf, statedShape } from '../onnx/multiplications.ts'
import { numbers, numberTypes } from '../onnx/tensor.ts'
import type { Slot } from './ties.ts'

/** One element of a vector of sizes. */
export interface Extent {
  /** What it is for the shapes that are stated. */
  readonly amount: number
  /** The axes that it is made from; none for a constant. */
  readonly axes: readonly Slot[]
  /** True where it is a product or quotient of sizes and constants: it grows as they do. */
  readonly proportional: boolean
}

type Extents = readonly Extent[]

/** True where the element can be given another amount: computed, it can be multiplied. */
export const canFit = ({ amount, axes, proportional }: Extent): boolean =>
  axes.length === 0 || (proportional && amount !== 0)

/** Longer vectors are no sizes. */
const longest = 64

/**
 * The elements of a scalar or vector that depends on constants and on sizes alone, in order; undefined for all else.
 * Sizes are those that are stated, unless `shapeOf` says others.
 */
export function extentsOf(
  value: Value | undefined,
  shapeOf: ShapeOf = statedShape,
): Extents | undefined {
  return value && follow(value, shapeOf, new Map())
}

function follow(
  value: Value,
  shapeOf: ShapeOf,
  known: Map<Value, Extents | undefined>,
): Extents | undefined {
  if (known.has(value)) return known.get(value)
  const shape = statedShape(value)
  const small = shape !== undefined && shape.length < 2 && (shape[0] ?? 1) <= longest
  const found = small ? made(value, shapeOf, (input) => follow(input, shapeOf, known)) : undefined
  known.set(value, found)
  return found
}

function made(
  value: Value,
  shapeOf: ShapeOf,
  follow: (input: Value) => Extents | undefined,
): Extents | undefined {
  const tensor = constantOf(value)
  if (tensor) return numberTypes.has(tensor.dtype) ? numbers(tensor).map(constant) : undefined
  const { producer } = value
  if (producer?.domain !== '' || producer.outputs[0] !== value) return undefined
  if (producer.opType in readers) return readers[producer.opType]!(producer, shapeOf)
  const inputs: Extents[] = []
  for (const input of producer.inputs) {
    const extents = input && follow(input)
    if (!extents) return undefined
    inputs.push(extents)
  }
  return operators[producer.opType]?.(producer, inputs)
}

const constant = (amount: number): Extent => ({ amount, axes: [], proportional: true })

/** The operators that tell sizes. */
const readers: Readonly<Record<string, (node: Node, shapeOf: ShapeOf) => Extents | undefined>> = {
  Shape: (node, shapeOf) => {
    const sizes = sizesOf(node, shapeOf)
    return sizes?.slice(node.number('start', 0), node.number('end') ?? sizes.length)
  },
  Size: (node, shapeOf) => {
    const sizes = sizesOf(node, shapeOf)
    return sizes && [sizes.reduce(times, constant(1))]
  },
}

const sizesOf = (node: Node, shapeOf: ShapeOf): Extents | undefined =>
  shapeOf(node.input(0))?.map((amount, axis) => ({
    amount,
    axes: [{ value: node.input(0), axis }],
    proportional: true,
  }))

/** True for the operators that tell sizes of their input. */
export const tellsSizes = ({ domain, opType }: Node): boolean => domain === '' && opType in readers

const axesOfBoth = (a: Extent, b: Extent): readonly Slot[] => [...a.axes, ...b.axes]

const times = (a: Extent, b: Extent): Extent => ({
  amount: a.amount * b.amount,
  axes: axesOfBoth(a, b),
  proportional: a.proportional && b.proportional,
})

/** What is left of a function of two elements where only constants stay in proportion. */
const combined =
  (compute: (a: number, b: number) => number) =>
  (a: Extent, b: Extent): Extent => {
    const axes = axesOfBoth(a, b)
    return { amount: compute(a.amount, b.amount), axes, proportional: axes.length === 0 }
  }

/** The element by element result of two vectors, of which one may be a single element. */
const pairwise =
  (compute: (a: Extent, b: Extent, node: Node) => Extent) =>
  (node: Node, [a, b]: readonly Extents[]): Extents | undefined => {
    if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined
    return (a.length >= b.length ? a : b).map((_, index) =>
      compute(a[a.length === 1 ? 0 : index]!, b[b.length === 1 ? 0 : index]!, node),
    )
  }

const same = (_: Node, inputs: readonly Extents[]): Extents | undefined => inputs[0]

const isWhole = (node: Node): boolean => node.output().type?.dtype.includes('int') ?? false

/** The larger (or smaller) of two, of which a constant loses against a size: broadcasting asks so. */
const extreme = (compute: (a: number, b: number) => number) =>
  pairwise((a, b) => {
    const amount = compute(a.amount, b.amount)
    const [winner, other] = a.amount === amount ? [a, b] : [b, a]
    return winner.axes.length === 0 && other.amount === amount ? other : winner
  })

/** What is computed of sizes, operator by operator. */
const operators: Readonly<
  Record<string, (node: Node, inputs: readonly Extents[]) => Extents | undefined>
> = {
  Identity: same,
  Cast: same,
  Squeeze: same,
  Unsqueeze: same,
  Reshape: same,
  Concat: (_, inputs) => inputs.flat(),
  Gather: (_, [data, indices]) => {
    const found = indices?.map(({ amount }) => data?.at(amount))
    return found?.every((one) => one !== undefined) ? (found as Extents) : undefined
  },
  Slice: (node, [data, starts, ends, , steps]) => {
    const start = starts?.[0]?.amount ?? node.numbers('starts')?.[0]
    const end = ends?.[0]?.amount ?? node.numbers('ends')?.[0]
    if (start === undefined || end === undefined || (steps?.[0]?.amount ?? 1) !== 1)
      return undefined
    return data?.slice(start, end)
  },
  Mul: pairwise(times),
  Div: pairwise((a, b, node) => {
    const exact = a.amount / b.amount
    const amount = isWhole(node) ? Math.trunc(exact) : exact
    const proportional = a.proportional && b.proportional && amount === exact
    return { amount, axes: axesOfBoth(a, b), proportional }
  }),
  Add: pairwise(combined((a, b) => a + b)),
  Sub: pairwise(combined((a, b) => a - b)),
  Mod: pairwise(combined((a, b) => a % b)),
  Equal: pairwise(combined((a, b) => Number(a === b))),
  Max: extreme(Math.max),
  Min: extreme(Math.min),
  Floor: (_, [x]) =>
    x?.map((one) => ({
      ...one,
      amount: Math.floor(one.amount),
      proportional: one.proportional && Number.isInteger(one.amount),
    })),
  ReduceProd: (_, [x]) => x && [x.reduce(times, constant(1))],
  Where: (_, [condition, yes, no]) => {
    if (!condition || !yes || !no) return undefined
    const length = Math.max(condition.length, yes.length, no.length)
    const at = (list: Extents, index: number) => list[list.length === 1 ? 0 : index]!
    return Array.from({ length }, (_, index) => at(at(condition, index).amount ? yes : no, index))
  },
  ConstantOfShape: (node, [shape]) => {
    const attribute = node.attributes.get('value')
    const [amount = 0] = attribute?.type === 'tensor' ? numbers(attribute.value) : []
    return shape?.length === 1
      ? Array.from({ length: shape[0]!.amount }, () => constant(amount))
      : undefined
  },
}
