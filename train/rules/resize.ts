// The gradient of Resize: it is linear in its input, so along every axis its transposed matrix is applied.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { type Resampling, resamplings } from '../resampling.ts'
import { fill, type Rule, shapeOf, unary } from '../rule.ts'

/** So many cells of the input are computed at a time: a matrix of a large axis is mostly zeros. */
const blockSize = 128

/** Resize, all modes. */
export const resize: Rule = unary(({ g, node, x, y, dy }) => {
  const list = resamplings(node, shapeOf(x), shapeOf(y))
  const copies = copiesOf(list, shapeOf(x).length)
  // Every cell was copied into a block of its own: the sum over the block.
  if (copies) {
    const attributes = { kernel_shape: copies, strides: copies }
    return g.Mul(g.AveragePool(dy, attributes), sizeOf(copies))
  }
  // The axis that shrinks most comes first, so that the others have less to do.
  const order = [...list].sort((a, b) => b.taps.length / b.size - a.taps.length / a.size)
  let [gradient, shape] = [dy, shapeOf(y)]
  for (const resampling of order) {
    gradient = transposed(g, gradient, shape, resampling)
    shape = shape.with(resampling.axis, resampling.size)
  }
  return gradient
})

/** By spatial axis, how many times each cell of an image is copied; undefined where anything else is done. */
function copiesOf(list: readonly Resampling[], rank: number): number[] | undefined {
  if (rank !== 4 || list.length === 0 || list.some(({ axis }) => axis < 2)) return undefined
  const copies = [1, 1]
  for (const { axis, size, taps } of list) {
    const times = taps.length / size
    const isCopy = taps.every(
      (row, place) =>
        row.length === 1 && row[0]!.weight === 1 && row[0]!.cell === Math.floor(place / times),
    )
    if (!Number.isInteger(times) || !isCopy) return undefined
    copies[axis - 2] = times
  }
  return copies
}

/** The transposed matrix times a tensor along an axis, block by block. */
function transposed(
  g: Builder,
  gradient: Value,
  shape: readonly number[],
  { axis, size, taps }: Resampling,
): Value {
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))]
  const dims = inner === 1 ? [outer, taps.length] : [outer, taps.length, inner]
  const flat = g.Reshape(gradient, dims)
  const pieces: Value[] = []
  for (let start = 0; start < size; start += blockSize) {
    const cells = Math.min(blockSize, size - start)
    const touches = taps.map((row) => row.some(({ cell }) => cell >= start && cell < start + cells))
    const [low, high] = [touches.indexOf(true), touches.lastIndexOf(true) + 1]
    if (low < 0) {
      pieces.push(fill(g, 0, dims.with(1, cells)))
      continue
    }
    const rows = high - low
    const part = rows === taps.length ? flat : g.Slice(flat, [low], [high], [1])
    const matrix = new Float32Array(rows * cells)
    const at =
      inner === 1
        ? (row: number, cell: number) => row * cells + cell
        : (row: number, cell: number) => cell * rows + row
    for (let row = 0; row < rows; row++)
      for (const { cell, weight } of taps[low + row]!)
        if (cell >= start && cell < start + cells) matrix[at(row, cell - start)]! += weight
    pieces.push(
      inner === 1
        ? g.MatMul(part, tensorOf('float32', [rows, cells], matrix))
        : g.MatMul(tensorOf('float32', [cells, rows], matrix), part),
    )
  }
  const joined =
    pieces.length === 1 ? pieces[0]! : g.node('Concat', pieces, { attributes: { axis: 1 } })[0]!
  return g.Reshape(joined, shape.with(axis, size))
}
