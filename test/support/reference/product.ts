// Reference evaluators of matrix products.
import {
  at,
  broadcastAt,
  broadcastDims,
  type Evaluator,
  fill,
  type NdArray,
  numberOf,
  required,
} from './nd.ts'

const gemm: Evaluator = ([first, second, c], attributes) => {
  const a = turned(required(first), numberOf(attributes, 'transA', 0))
  const b = turned(required(second), numberOf(attributes, 'transB', 0))
  const [alpha, beta] = [numberOf(attributes, 'alpha', 1), numberOf(attributes, 'beta', 1)]
  return fill([a.dims[0]!, b.dims[1]!], ([row, column]) => {
    const offset = c ? beta * broadcastAt(c, [row!, column!]) : 0
    return alpha * dot(a, [row!], b, [], column!) + offset
  })
}

const turned = (matrix: NdArray, turn: number): NdArray =>
  turn ? fill(matrix.dims.toReversed(), ([row, column]) => at(matrix, [column!, row!])) : matrix

const matMul: Evaluator = ([first, second]) => {
  const [a, b] = [required(first), required(second)]
  const left = a.dims.length === 1 ? { ...a, dims: [1, ...a.dims] } : a
  const right = b.dims.length === 1 ? { ...b, dims: [...b.dims, 1] } : b
  const batch = broadcastDims(left.dims.slice(0, -2), right.dims.slice(0, -2))
  const inBatch = (matrix: NdArray, position: readonly number[]) => {
    const own = matrix.dims.slice(0, -2)
    return own.map((dim, axis) => (dim === 1 ? 0 : position[batch.length - own.length + axis]!))
  }
  const product = fill([...batch, left.dims.at(-2)!, right.dims.at(-1)!], (position) => {
    const [row, column] = position.slice(-2)
    return dot(left, [...inBatch(left, position), row!], right, inBatch(right, position), column!)
  })
  const dims = [
    ...batch,
    ...(a.dims.length === 1 ? [] : [left.dims.at(-2)!]),
    ...(b.dims.length === 1 ? [] : [right.dims.at(-1)!]),
  ]
  return { dims, data: product.data }
}

/** The product of a row of one matrix and a column of another. */
function dot(
  a: NdArray,
  row: readonly number[],
  b: NdArray,
  matrix: readonly number[],
  column: number,
): number {
  let sum = 0
  for (let k = 0; k < a.dims.at(-1)!; k++) sum += at(a, [...row, k]) * at(b, [...matrix, k, column])
  return sum
}

/** Evaluators by operator. */
export const products: Readonly<Record<string, Evaluator>> = { Gemm: gemm, MatMul: matMul }
