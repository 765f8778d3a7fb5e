// Sampling an image at computed places: GridSample and AffineGrid (Jaderberg et al. 2015) in simpler operators.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { Decomposition } from '../decompose.ts'
import { shapeOf } from '../rule.ts'

/** Cells that are read along one axis, for every sample: their numbers (int64) and their weights. */
interface Reading {
  readonly cells: Value
  readonly weights: Value | undefined
}

/**
 * GridSample, of images and volumes: the cells around every place are gathered, and summed with weights that are linear
 * or cubic in the distance.
 */
export const gridSample: Decomposition = ({ g, node, x }) => {
  const grid = node.input(1)
  const [batch, channels, ...sizes] = shapeOf(x) as [number, number, ...number[]]
  const places = shapeOf(grid).slice(1, -1)
  const count = sizeOf(places)
  const along = sizes.map((size, axis) => {
    // The grid's coordinates stand in reverse order: x first.
    const place = sizes.length - 1 - axis
    const coordinate = g.Reshape(g.Slice(grid, [place], [place + 1], [-1]), [batch, count])
    return readings(g, node, coordinate, size)
  })
  // Every combination of one reading an axis.
  const combined = along.reduce((list, each, axis) =>
    list.flatMap(({ cells, weights }) =>
      each.map((reading) => ({
        cells: g.Add(g.Mul(cells, [sizes[axis]!]), reading.cells),
        weights: product(g, weights, reading.weights),
      })),
    ),
  )
  const joined = (values: readonly Value[]) =>
    g.Reshape(
      values.length === 1
        ? values[0]!
        : g.node('Concat', [...values], { attributes: { axis: 1 } })[0]!,
      [batch, 1, values.length * count],
    )
  const cells = joined(combined.map((each) => each.cells))
  const dims = [batch, channels, combined.length * count]
  const image = g.Reshape(x, [batch, channels, sizeOf(sizes)])
  const gathered = g.GatherElements(image, g.Expand(cells, dims), { axis: 2 })
  const weights = combined.flatMap((each) => each.weights ?? [])
  const weighted = weights.length === 0 ? gathered : g.Mul(gathered, joined(weights))
  const shape = [batch, channels, ...places]
  if (combined.length === 1) return [g.Reshape(weighted, shape)]
  const parts = g.Reshape(weighted, [batch, channels, combined.length, count])
  return [g.Reshape(g.ReduceSum(parts, [2], { keepdims: 0 }), shape)]
}

const product = (g: Builder, a: Value | undefined, b: Value | undefined): Value | undefined =>
  a && b ? g.Mul(a, b) : (a ?? b)

/** What is read along one axis of a size for coordinates from -1 to 1. */
function readings(
  g: Builder,
  node: Parameters<Decomposition>[0]['node'],
  coordinate: Value,
  size: number,
): Reading[] {
  const aligned = node.number('align_corners', 0) === 1
  const padding = node.string('padding_mode', 'zeros')
  const position = aligned
    ? g.Mul(g.Add(coordinate, 1), (size - 1) / 2)
    : g.Sub(g.Mul(g.Add(coordinate, 1), size / 2), 0.5)
  const read = (cell: Value, weight: Value | undefined): Reading => ({
    cells: g.Cast(padded(g, cell, size, padding, aligned), { to: 7 }),
    weights: padding === 'zeros' ? product(g, weight, isInside(g, cell, size)) : weight,
  })
  const mode = node.string('mode', 'linear')
  if (mode === 'nearest') return [read(g.Round(position), undefined)]
  const low = g.Floor(position)
  const fraction = g.Sub(position, low)
  const offsets = mode === 'cubic' ? [-1, 0, 1, 2] : [0, 1]
  return offsets.map((offset) => {
    const distance = offset <= 0 ? g.Sub(fraction, offset) : g.Sub(offset, fraction)
    const weight =
      mode === 'cubic' ? cubic(g, distance, offset === 0 || offset === 1) : g.Sub(1, distance)
    return read(g.Add(low, offset), weight)
  })
}

/** 1 for cells of an axis, 0 for those beside it; cells are whole numbers. */
const isInside = (g: Builder, cell: Value, size: number): Value =>
  g.Mul(g.Clip(g.Add(cell, 1), 0, 1), g.Clip(g.Sub(size, cell), 0, 1))

/** The cell that stands for one beside the axis. */
function padded(g: Builder, cell: Value, size: number, mode: string, aligned: boolean): Value {
  const clamped = (value: Value) => g.Clip(value, 0, size - 1)
  if (mode !== 'reflection') return clamped(cell)
  const [low, length] = aligned ? [0, size - 1] : [-0.5, size]
  if (length === 0) return clamped(cell)
  // A wave of straight lines: 0 at `low`, `length` at the other end, and back.
  const from = g.Sub(cell, low)
  const periods = g.Floor(g.Mul(from, 1 / (2 * length)))
  const phase = g.Sub(from, g.Mul(periods, 2 * length))
  const wave = g.Sub(length, g.Abs(g.Sub(phase, length)))
  return clamped(g.Round(g.Add(wave, low)))
}

/** The weight of a cell at a distance below 1 (inner) or from 1 to 2, with a = -3/4 (Keys 1981, equation 8). */
function cubic(g: Builder, distance: Value, inner: boolean): Value {
  const a = -0.75
  const polynomial = (...[first, ...rest]: readonly number[]) =>
    rest.reduce<Value>(
      (sum, coefficient) => g.Add(g.Mul(sum, distance), coefficient),
      g.constant(first!),
    )
  return inner ? polynomial(a + 2, -(a + 3), 0, 1) : polynomial(a, -5 * a, 8 * a, -4 * a)
}

/** AffineGrid: the places of a regular grid, moved by one matrix a sample. */
export const affineGrid: Decomposition = ({ g, node, x }) => {
  const shape = shapeOf(node.output())
  const [batch, sizes] = [shape[0]!, shape.slice(1, -1)]
  const aligned = node.number('align_corners', 0) === 1
  const lines = sizes.map((size) =>
    Array.from({ length: size }, (_, place) => {
      if (aligned) return size === 1 ? 0 : (2 * place) / (size - 1) - 1
      return (2 * place + 1) / size - 1
    }),
  )
  const columns = sizes.length + 1
  const grid = new Float32Array(sizeOf(sizes) * columns).fill(1)
  for (let place = 0; place < sizeOf(sizes); place++) {
    let rest = place
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      grid[place * columns + sizes.length - 1 - axis] = lines[axis]![rest % sizes[axis]!]!
      rest = Math.floor(rest / sizes[axis]!)
    }
  }
  const moved = g.MatMul(
    tensorOf('float32', [sizeOf(sizes), columns], grid),
    g.Transpose(x, { perm: [0, 2, 1] }),
  )
  return [g.Reshape(moved, [batch, ...sizes, sizes.length])]
}
