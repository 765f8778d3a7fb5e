// What a case of the gradient test is, and how its inputs are drawn.
import type { Attributes } from '../../../onnx/build.ts'
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'

/** An input that is drawn at random and whose gradient is checked. */
export interface Drawn {
  readonly dims: readonly number[]
  readonly low: number
  readonly high: number
  /** Points from which elements keep a distance of 0.05. */
  readonly kinks: readonly number[]
  /** Elements are multiples of this. */
  readonly step?: number
  /** All elements differ by at least 0.05. */
  readonly distinct?: boolean
}

/** A node: its inputs (drawn ones, constants, `undefined` for one left out) and attributes. */
export interface GradientCase {
  readonly inputs: readonly (Drawn | Tensor | readonly number[] | number | undefined)[]
  readonly attributes?: Attributes
  /** The operator set of the model, 21 unless told. */
  readonly opset?: number
  /** How many outputs the node has, 1 unless told. */
  readonly outputs?: number
  /** The outputs that the loss depends on; all that the reference gives unless told. */
  readonly weighted?: readonly number[]
  /** Puts BatchNormalization into the form of a training step. */
  readonly training?: boolean
  /** Brings the first output back to float32. */
  readonly castBack?: boolean
}

/** True for an input that is drawn. */
export function isDrawn(input: GradientCase['inputs'][number]): input is Drawn {
  return typeof input === 'object' && !Array.isArray(input) && 'kinks' in input
}

/** Elements between -2 and 2. */
export const x = (...dims: readonly number[]): Drawn => ({ dims, low: -2, high: 2, kinks: [] })
/** Elements between 0.3 and 2.5. */
export const positive = (...dims: readonly number[]): Drawn => ({
  dims,
  low: 0.3,
  high: 2.5,
  kinks: [],
})
/** Elements between -2 and 2, away from 0. */
export const nonzero = (...dims: readonly number[]): Drawn => ({
  dims,
  low: -2,
  high: 2,
  kinks: [0],
})
/** Elements between -5 and 5, away from kinks. */
export const wide = (kinks: readonly number[], ...dims: readonly number[]): Drawn => ({
  dims,
  low: -5,
  high: 5,
  kinks,
})
/** Multiples of 1/16 between -2 and 2. */
export const sixteenths = (...dims: readonly number[]): Drawn => ({ ...x(...dims), step: 1 / 16 })
/** Elements no two of which are alike. */
export const distinct = (...dims: readonly number[]): Drawn => ({ ...x(...dims), distinct: true })
/** A constant vector. */
export const floats = (...values: readonly number[]): Tensor =>
  tensorOf('float32', [values.length], values)

/** A case: inputs, attributes and what is beyond them. */
export const one = (
  inputs: GradientCase['inputs'],
  attributes: Attributes = {},
  rest: Omit<GradientCase, 'inputs' | 'attributes'> = {},
): GradientCase => ({ inputs, attributes, ...rest })

/** A vector, a matrix and a stack of images. */
export const elementwise = (draw: (...dims: readonly number[]) => Drawn): GradientCase[] => [
  one([draw(7)]),
  one([draw(3, 4)]),
  one([draw(2, 3, 2, 2)]),
]

/** Equal shapes, and every way in which one broadcasts against the other. */
export const broadcast = (
  a: (...dims: readonly number[]) => Drawn,
  b: (...dims: readonly number[]) => Drawn,
): GradientCase[] => [
  one([a(2, 3), b(2, 3)]),
  one([a(2, 3, 2), b(3, 1)]),
  one([a(1, 3), b(2, 1)]),
  one([a(3), b(2, 1, 3)]),
  one([a(), b(2, 2)]),
  one([a(2, 1, 2), b()]),
  one([a(1, 1), b(1, 3)]),
  one([a(3, 2), 1.5]),
  one([0.75, b(3, 2)]),
]
