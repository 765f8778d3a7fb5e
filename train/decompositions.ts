// The decompositions: one row an operator (with its domain, where that is not ONNX's own) that is its formula, in
// operators that have gradient rules.
import type { Decomposition } from './decompose.ts'
import { gelu } from './decompositions/activations.ts'

/** Decompositions by operator. */
export const decompositions: Readonly<Record<string, Decomposition>> = {
  Gelu: gelu,
}
