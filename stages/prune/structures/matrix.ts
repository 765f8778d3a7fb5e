// Weights of any layer as matrices [outputs, inputs] with a kernel behind every element.
import type { Layer } from '../../../onnx/layers.ts'
import { sizeOf } from '../../../onnx/tensor.ts'

/** How the matrices of a weight lie in its tensor. */
export interface Matrices {
  /** Matrices side by side: groups of a convolution, gates of a recurrent layer, a batch. */
  readonly count: number
  /** Outputs of each. */
  readonly rows: number
  /** Inputs of each. */
  readonly columns: number
  /** Positions of the kernel; 1 where there is none. */
  readonly kernel: number
  /** Elements between neighbours of the same kind. */
  readonly steps: {
    readonly matrix: number
    readonly row: number
    readonly column: number
    readonly position: number
  }
}

type Form = (layer: Layer, dims: readonly number[]) => Matrices

/** [outputs, inputs, kernel], or with both swapped; so many matrices share the first axis. */
const kernels =
  (swapped: boolean): Form =>
  ({ node }, [first = 1, second = 1, ...rest]) => {
    const count = node.number('group', 1)
    const kernel = sizeOf(rest)
    const own = first / count
    const [outer, inner] = [second * kernel, kernel]
    const matrix = own * outer
    return swapped
      ? {
          ...{ count, rows: second, columns: own, kernel },
          steps: { matrix, row: inner, column: outer, position: 1 },
        }
      : {
          ...{ count, rows: own, columns: second, kernel },
          steps: { matrix, row: outer, column: inner, position: 1 },
        }
  }

/** The last two axes, whose order depends on the side of the product and the attribute that transposes it. */
const product: Form = ({ node, input }, dims) => {
  const [first = 1, second = 1] = dims.slice(-2)
  const transposed = node.number(input === 0 ? 'transA' : 'transB', 0) !== 0
  const rowsFirst = (input === 0) !== transposed
  const matrices = { count: sizeOf(dims.slice(0, -2)), kernel: 1 }
  const matrix = first * second
  return rowsFirst
    ? {
        ...{ ...matrices, rows: first, columns: second },
        steps: { matrix, row: second, column: 1, position: 1 },
      }
    : {
        ...{ ...matrices, rows: second, columns: first },
        steps: { matrix, row: 1, column: second, position: 1 },
      }
}

/** [directions, gates * hidden units, inputs]. */
const gates =
  (perDirection: number): Form =>
  (_, [directions = 1, outputs = 1, columns = 1]) => {
    const rows = outputs / perDirection
    return {
      ...{ count: directions * perDirection, rows, columns, kernel: 1 },
      steps: { matrix: rows * columns, row: columns, column: 1, position: 1 },
    }
  }

/** The forms by operator. */
const forms: Readonly<Record<string, Form>> = {
  Conv: kernels(false),
  FusedConv: kernels(false),
  ConvTranspose: kernels(true),
  Gemm: product,
  MatMul: product,
  FusedMatMul: product,
  LSTM: gates(4),
  GRU: gates(3),
  RNN: gates(1),
}

/** The matrices of a layer's weight, which is a constant of two axes or more. */
export function matricesOf(
  layer: Layer,
  dims: readonly number[] = layer.weight.tensor?.dims ?? [],
): Matrices {
  const form = forms[layer.opType]
  if (!form) throw new Error(`internal: no matrices of ${layer.opType} '${layer.name}' are known`)
  return form(layer, dims)
}

/** True where the weights of an operator are known as matrices. */
export const hasMatrices = ({ opType }: Pick<Layer, 'opType'>): boolean =>
  Object.hasOwn(forms, opType)

/** Calls for every pair of an output and an input of every matrix, with the elements of its kernel. */
export function eachPair(
  { count, rows, columns, kernel, steps }: Matrices,
  call: (matrix: number, row: number, column: number, elements: readonly number[]) => void,
): void {
  const elements = new Array<number>(kernel)
  for (let matrix = 0; matrix < count; matrix++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const start = matrix * steps.matrix + row * steps.row + column * steps.column
        for (let position = 0; position < kernel; position++)
          elements[position] = start + position * steps.position
        call(matrix, row, column, elements)
      }
}
