// A lowering says how the expensive gradients are expressed in operators for a kind of provider.
import type { Builder } from '../../onnx/build.ts'
import type { Graph, Value } from '../../onnx/graph.ts'
import type { Window } from '../convolution.ts'

/** A convolution `y = Conv(x, w)`. */
export interface Convolution extends Window {
  readonly x: Value
  readonly w: Value
  /** `[N, C, ...]`. */
  readonly xShape: readonly number[]
  /** `[O, C / group, ...]`. */
  readonly wShape: readonly number[]
  /** `[N, O, ...]`. */
  readonly yShape: readonly number[]
  readonly group: number
}

/** One way to express a convolution and its gradients. */
export interface Lowering {
  readonly name: string
  /** y without the bias; undefined where Conv itself is best. */
  convolution(g: Builder, convolution: Convolution): Value | undefined
  /** dL/dx, of the shape of x, from dL/dy. */
  convolutionInput(g: Builder, convolution: Convolution, dy: Value): Value
  /** dL/dw, of the shape of w, from dL/dy. */
  convolutionWeight(g: Builder, convolution: Convolution, dy: Value): Value
  /** Has the last word on a finished training graph. */
  finish?(graph: Graph): void
}
