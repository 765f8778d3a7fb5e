// Shapes as TensorFlow computes them: small int32 tensors whose elements are known when the model is converted.
import type { Dim } from '../../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { isFixed, productOf, type Term } from '../term.ts'
import type { Writer } from '../writer.ts'

/** More elements are no shape. */
const mostElements = 256

/** The elements of a constant that may be a shape, axes or the like. */
export function contentOf(tensor: Tensor): readonly number[] | undefined {
  return tensor.dtype === 'int32' && tensor.size <= mostElements
    ? Array.from(elements(tensor, 'int32'))
    : undefined
}

/**
 * A term with known elements; a constant where all of them are numbers. `content` undefined leaves the term alone.
 */
export function withContent(w: Writer, term: Term, content: readonly Dim[] | undefined): Term {
  if (!content || content.length > mostElements || term.dtype !== 'int32') return term
  if (isFixed(term.shape) && sizeOf(term.shape) !== content.length) return term
  if (!isFixed(content)) return { ...term, content }
  const dims = isFixed(term.shape) ? term.shape : [content.length]
  const constant = w.constant(`${term.value.name}_value`, () => tensorOf('int32', dims, content))
  return { ...constant, content }
}

const formulas: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  AddV2: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  FloorDiv: (a, b) => Math.floor(a / b),
  RealDiv: (a, b) => Math.trunc(a / b),
  Div: (a, b) => Math.trunc(a / b),
  Maximum: Math.max,
  Minimum: Math.min,
}

/** The elements of an operation of two operands, where both are known and one of them is a scalar or both are alike. */
export function combined(op: string, a: Term, b: Term): readonly Dim[] | undefined {
  const formula = formulas[op]
  const [left, right] = [a.content, b.content]
  if (!formula || !left || !right) return undefined
  const length = Math.max(left.length, right.length)
  if (![left, right].every((each) => each.length === 1 || each.length === length)) return undefined
  return Array.from({ length }, (_, index): Dim => {
    const [x, y] = [left, right].map((each) => (each.length === 1 ? each[0] : each[index])) as [
      Dim,
      Dim,
    ]
    if (typeof x === 'number' && typeof y === 'number') return formula(x, y)
    // What is neutral leaves a dimension with its name.
    if (op === 'Mul' || op.endsWith('Div')) {
      if (y === 1) return x
      if (op === 'Mul' && x === 1) return y
    }
    return undefined
  })
}

/** The product of all elements. */
export const productOfContent = (x: Term): readonly Dim[] | undefined =>
  x.content && [productOf(x.content)]
