// n-dimensional float64 arrays, as plain as can be: what the reference evaluators compute with.
import type { Attributes } from '../../../onnx/build.ts'

/** An array of numbers, row-major. */
export interface NdArray {
  readonly dims: readonly number[]
  readonly data: Float64Array
}

/** The first output of an operator, with the ones after it where they matter; undefined for those without a gradient. */
export interface Outputs extends NdArray {
  readonly more?: readonly (NdArray | undefined)[]
}

/** What computes an operator: its inputs in ONNX's order and its attributes to its outputs. */
export type Evaluator = (
  inputs: readonly (NdArray | undefined)[],
  attributes: Attributes,
) => Outputs

/** Makes an array of numbers in a shape. */
export const nd = (dims: readonly number[], data: Iterable<number>): NdArray => ({
  dims,
  data: Float64Array.from(data),
})

/** The product of a shape. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((size, dim) => size * dim, 1)

const listed = new Map<string, readonly (readonly number[])[]>()

/** Every position of a shape, row-major; for a scalar the one empty position. Listed once for each shape. */
export function positions(dims: readonly number[]): readonly (readonly number[])[] {
  const key = dims.join()
  const known = listed.get(key)
  if (known) return known
  const list = dims.reduce<number[][]>(
    (list, size) =>
      list.flatMap((start) => Array.from({ length: size }, (_, index) => [...start, index])),
    [[]],
  )
  listed.set(key, list)
  return list
}

/** Makes an array by a function of the position. */
export const fill = (
  dims: readonly number[],
  at: (position: readonly number[]) => number,
): NdArray => nd(dims, positions(dims).map(at))

/** The element at a position. */
export function at({ dims, data }: NdArray, position: readonly number[]): number {
  let offset = 0
  for (const [axis, dim] of dims.entries()) offset = offset * dim + position[axis]!
  return data[offset]!
}

/** The shape of several shapes broadcast against each other, as numpy does. */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((size, shape) => {
      const dim = shape[axis - rank + shape.length] ?? 1
      return dim === 1 ? size : dim
    }, 1),
  )
}

/** The element of an array that stands at a position of a shape it is broadcast to. */
export const broadcastAt = (array: NdArray, position: readonly number[]): number => {
  const offset = position.length - array.dims.length
  return at(
    array,
    array.dims.map((dim, axis) => (dim === 1 ? 0 : position[axis + offset]!)),
  )
}

/** An input that must be there. */
export function required(array: NdArray | undefined): NdArray {
  if (!array) throw new Error('an input is missing')
  return array
}

/** The numbers of an input, as a list. */
export const listOf = (array: NdArray | undefined): number[] | undefined =>
  array && Array.from(array.data)

/** An attribute that is a number. */
export const numberOf = (attributes: Attributes, name: string, fallback: number): number => {
  const value = attributes[name]
  return typeof value === 'number' ? value : fallback
}

/** An attribute that is a list of numbers. */
export const numbersOf = (
  attributes: Attributes,
  name: string,
  fallback: readonly number[],
): readonly number[] => {
  const value = attributes[name]
  return Array.isArray(value) ? (value as readonly number[]) : fallback
}

/** An axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)
