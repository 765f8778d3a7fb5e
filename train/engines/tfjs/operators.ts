// The operators of ONNX that the engine has, by name: one row an operator.

import type { Operators } from './operator.ts'
import { elementwise } from './operators/elementwise.ts'
import { indexing } from './operators/indexing.ts'
import { movement } from './operators/movement.ts'
import { products } from './operators/product.ts'
import { recurrence } from './operators/recurrent.ts'
import { reduction } from './operators/reduction.ts'
import { resizing } from './operators/resize.ts'
import { windows } from './operators/window.ts'

/** All of them. */
export const operators: Operators = {
  ...elementwise,
  ...indexing,
  ...movement,
  ...products,
  ...recurrence,
  ...reduction,
  ...resizing,
  ...windows,
}
