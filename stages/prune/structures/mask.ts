// What a structure of zeroed weights is: which weights go together, in which order.
import type { Layer } from '../../../onnx/layers.ts'
import type { Matrices } from './matrix.ts'

/** A weight that is to be masked. */
export interface Masked {
  readonly layer: Layer
  readonly matrices: Matrices
  /** One number an element, the smallest go first; -∞ for what is zero already. */
  readonly scores: Float32Array
}

/** How much is masked. */
export interface Amount {
  /** Share of the elements that are zero in the end. */
  readonly sparsity: number
  /** How much of that is zero now, 0..1. */
  readonly progress: number
}

/** A structure of zeroed weights. */
export interface MaskStructure {
  /** Share of the elements that are zero in the end, where the structure itself says it. */
  readonly sparsity?: number
  /** True where the pattern can be told from none in a weight; others are left alone. */
  fits(matrices: Matrices): boolean
  /**
   * Masks of weights that are compared with each other: 1 where an element stays.
   *
   * By the same scores, no element comes back with more progress. A sparsity that cannot be reached is a `UserError`.
   */
  masks(weights: readonly Masked[], amount: Amount): Float32Array[]
  /** True where the elements of one output can be compared among themselves. */
  readonly byRow?: true
  /** Which elements come and go together, where single units can: unit of each element, counted from 0. */
  units?(matrices: Matrices, size: number): Units
}

/** A weight in units of one or more elements. */
export interface Units {
  readonly count: number
  /** The unit of an element. */
  of(element: number): number
}
