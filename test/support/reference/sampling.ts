// Reference evaluators of operators that sample an image between its cells.
import type { Attributes } from '../../../onnx/build.ts'
import {
  at,
  axisOf,
  type Evaluator,
  fill,
  listOf,
  type NdArray,
  numberOf,
  numbersOf,
  positions,
  required,
} from './nd.ts'

/** Where place `j` of `out` lies on an axis of `size` cells: ONNX's table of coordinate_transformation_mode. */
function positionOf(
  mode: string,
  j: number,
  { size, out, scale, start, end }: Record<'size' | 'out' | 'scale' | 'start' | 'end', number>,
): number {
  switch (mode) {
    case 'half_pixel':
      return (j + 0.5) / scale - 0.5
    case 'half_pixel_symmetric':
      return (size / 2) * (1 - out / (scale * size)) + (j + 0.5) / scale - 0.5
    case 'pytorch_half_pixel':
      return out > 1 ? (j + 0.5) / scale - 0.5 : 0
    case 'align_corners':
      return out > 1 ? (j * (size - 1)) / (out - 1) : 0
    case 'asymmetric':
      return j / scale
    case 'tf_crop_and_resize':
      return out > 1
        ? start * (size - 1) + (j * (end - start) * (size - 1)) / (out - 1)
        : 0.5 * (start + end) * (size - 1)
    default:
      throw new Error(`no such mode: ${mode}`)
  }
}

const keys = (x: number, a: number): number => {
  const d = Math.abs(x)
  if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
  return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0
}

/** A line of numbers, resized. */
function resizeLine(
  line: readonly number[],
  out: number,
  scale: number,
  [start, end]: readonly [number, number],
  attributes: Attributes,
): number[] {
  const text = (name: string, fallback: string) => String(attributes[name] ?? fallback)
  const mode = text('coordinate_transformation_mode', 'half_pixel')
  const size = line.length
  const cellAt = (index: number) => line[Math.min(Math.max(index, 0), size - 1)]!
  return Array.from({ length: out }, (_, j) => {
    const position = positionOf(mode, j, { size, out, scale, start, end })
    if (mode === 'tf_crop_and_resize' && (position < 0 || position > size - 1))
      return numberOf(attributes, 'extrapolation_value', 0)
    const kind = text('mode', 'nearest')
    if (kind === 'nearest') {
      const half = position - Math.floor(position) === 0.5
      const rounded: Record<string, number> = {
        floor: Math.floor(position),
        ceil: Math.ceil(position),
        round_prefer_floor: half ? Math.floor(position) : Math.round(position),
        round_prefer_ceil: half ? Math.ceil(position) : Math.round(position),
      }
      return cellAt(rounded[text('nearest_mode', 'round_prefer_floor')]!)
    }
    const shrink = numberOf(attributes, 'antialias', 0) ? Math.min(scale, 1) : 1
    const weightOf = (distance: number) =>
      kind === 'linear'
        ? Math.max(0, 1 - Math.abs(distance))
        : keys(distance, numberOf(attributes, 'cubic_coeff_a', -0.75))
    const reach = Math.ceil(2 / shrink) + 1
    let [sum, total] = [0, 0]
    for (let index = Math.floor(position) - reach; index <= position + reach; index++) {
      if (numberOf(attributes, 'exclude_outside', 0) && (index < 0 || index >= size)) continue
      const weight = weightOf((index - position) * shrink)
      sum += weight * cellAt(index)
      total += weight
    }
    return sum / total
  })
}

/** A function of the lines of an array along an axis. */
function alongAxis(x: NdArray, axis: number, f: (line: readonly number[]) => number[]): NdArray {
  const lines = new Map<string, number[]>()
  const dims = x.dims.with(axis, 1)
  for (const position of positions(dims))
    lines.set(
      position.join(),
      f(Array.from({ length: x.dims[axis]! }, (_, index) => at(x, position.with(axis, index)))),
    )
  const length = lines.values().next().value!.length
  return fill(
    x.dims.with(axis, length),
    (position) => lines.get(position.with(axis, 0).join())![position[axis]!]!,
  )
}

const resize: Evaluator = ([data, roi, scales, sizes], attributes) => {
  const x = required(data)
  const axes = numbersOf(attributes, 'axes', [...x.dims.keys()]).map((axis) =>
    axisOf(axis, x.dims.length),
  )
  const lengths = axes.map((axis) => x.dims[axis]!)
  const given = scales?.data.length ? listOf(scales)! : undefined
  let factors = given ?? listOf(sizes)!.map((size, index) => size / lengths[index]!)
  let outs = given
    ? lengths.map((length, index) => Math.floor(length * given[index]!))
    : listOf(sizes)!
  const policy = attributes.keep_aspect_ratio_policy ?? 'stretch'
  if (policy !== 'stretch') {
    const factor = policy === 'not_larger' ? Math.min(...factors) : Math.max(...factors)
    factors = factors.map(() => factor)
    outs = lengths.map((length) => Math.round(length * factor))
  }
  const region = listOf(roi)
  let y = x
  for (const [index, axis] of axes.entries()) {
    const ends = [region?.[index] ?? 0, region?.[index + axes.length] ?? 1] as const
    const crops = attributes.coordinate_transformation_mode === 'tf_crop_and_resize'
    if (factors[index] === 1 && outs[index] === lengths[index] && !crops) continue
    y = alongAxis(y, axis, (line) =>
      resizeLine(line, outs[index]!, factors[index]!, ends, attributes),
    )
  }
  return y
}

/** A cell of an image or volume, by padding_mode where there is none. */
function cell(
  x: NdArray,
  head: readonly number[],
  place: readonly number[],
  attributes: Attributes,
): number {
  const aligned = numberOf(attributes, 'align_corners', 0) === 1
  const padding = String(attributes.padding_mode ?? 'zeros')
  const inside = place.map((index, axis) => {
    const size = x.dims[axis + 2]!
    if (index >= 0 && index < size) return index
    if (padding === 'border') return Math.min(Math.max(index, 0), size - 1)
    if (padding === 'zeros') return -1
    const [low, high] = aligned ? [0, size - 1] : [-0.5, size - 0.5]
    let folded = index
    while (folded < low || folded > high)
      folded = folded < low ? 2 * low - folded : 2 * high - folded
    return folded
  })
  return inside.includes(-1) ? 0 : at(x, [...head, ...inside])
}

const gridSample: Evaluator = ([data, places], attributes) => {
  const [x, grid] = [required(data), required(places)]
  const mode = String(attributes.mode ?? 'linear')
  const aligned = numberOf(attributes, 'align_corners', 0) === 1
  const sizes = x.dims.slice(2)
  return fill([...x.dims.slice(0, 2), ...grid.dims.slice(1, -1)], ([n, c, ...place]) => {
    const point = sizes.map((size, axis) => {
      const coordinate = at(grid, [n!, ...place, sizes.length - 1 - axis])
      return aligned ? ((coordinate + 1) / 2) * (size - 1) : ((coordinate + 1) * size - 1) / 2
    })
    if (mode === 'nearest') {
      const even = (value: number) => {
        const down = Math.floor(value)
        return value - down === 0.5 ? down + (down % 2 ? 1 : 0) : Math.round(value)
      }
      return cell(x, [n!, c!], point.map(even), attributes)
    }
    const reach = mode === 'cubic' ? 2 : 1
    const low = point.map(Math.floor)
    return positions(sizes.map(() => 2 * reach)).reduce((sum, step) => {
      const index = step.map((each, axis) => low[axis]! + each - reach + 1)
      const weight = index.reduce((product, each, axis) => {
        const distance = each - point[axis]!
        return product * (mode === 'cubic' ? keys(distance, -0.75) : 1 - Math.abs(distance))
      }, 1)
      return sum + weight * cell(x, [n!, c!], index, attributes)
    }, 0)
  })
}

const affineGrid: Evaluator = ([matrices, shape], attributes) => {
  const theta = required(matrices)
  const [batch, , ...sizes] = listOf(shape)! as [number, number, ...number[]]
  const aligned = numberOf(attributes, 'align_corners', 0) === 1
  return fill([batch, ...sizes, sizes.length], ([n, ...rest]) => {
    const row = rest.pop()!
    const point = rest.map((index, axis) => {
      const size = sizes[axis]!
      if (aligned) return size > 1 ? -1 + (2 * index) / (size - 1) : 0
      return (2 * index + 1) / size - 1
    })
    const column = [...point.reverse(), 1]
    return column.reduce((sum, value, place) => sum + value * at(theta, [n!, row, place]), 0)
  })
}

/** Evaluators by operator. */
export const sampling: Readonly<Record<string, Evaluator>> = {
  AffineGrid: affineGrid,
  GridSample: gridSample,
  Resize: resize,
}
