// A lowering says how the expensive gradients are expressed in operators for a kind of provider.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import type { Window } from '../convolution.ts'

/** A convolution `y = Conv(x, w)` and the gradient that arrives at it. */
export interface Convolution extends Window {
  readonly x: Value
  readonly w: Value
  readonly dy: Value
  /** `[N, C, ...]`. */
  readonly xShape: readonly number[]
  /** `[O, C / group, ...]`. */
  readonly wShape: readonly number[]
  /** `[N, O, ...]`. */
  readonly yShape: readonly number[]
  readonly group: number
}

/** One way to express the gradients of a convolution. */
export interface Lowering {
  readonly name: string
  /** dL/dx, of the shape of x. */
  convolutionInput(g: Builder, convolution: Convolution): Value
  /** dL/dw, of the shape of w. */
  convolutionWeight(g: Builder, convolution: Convolution): Value
}
