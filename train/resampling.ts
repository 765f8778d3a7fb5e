// What Resize does along each axis, as ONNX defines it and ONNX Runtime computes it: which cells of the input every
// place of the output reads, and with which weights.
import { UserError } from '../base/errors.ts'
import type { Node } from '../onnx/graph.ts'
import { axisOf, constantInput } from './rule.ts'

/** A cell of the input with its weight. */
export interface Tap {
  readonly cell: number
  readonly weight: number
}

/** One axis that Resize changes. */
export interface Resampling {
  readonly axis: number
  /** The size of the input's axis. */
  readonly size: number
  /** What every place of the output reads. */
  readonly taps: readonly (readonly Tap[])[]
}

/** The place of an axis in the resized tensor, all that a coordinate transformation sees. */
interface Along {
  readonly scale: number
  readonly size: number
  readonly resized: number
  readonly roi: readonly [start: number, end: number]
}

/**
 * The axes that a Resize node changes, for shapes of its input and output.
 *
 * A crop with antialiasing is a {@link UserError}: ONNX Runtime computes none for most shapes.
 */
export function resamplings(
  node: Node,
  from: readonly number[],
  to: readonly number[],
): Resampling[] {
  const axes = node.numbers('axes', [...from.keys()]).map((axis) => axisOf(axis, from.length))
  const mode = node.string('coordinate_transformation_mode', 'half_pixel')
  const crops = mode === 'tf_crop_and_resize'
  const filters = node.number('antialias', 0) === 1
  if (crops && filters)
    throw new UserError(
      `Resize '${node.name}': no gradient for a crop with antialiasing: coordinate_transformation_mode 'tf_crop_and_resize', antialias 1 — leave one of them out`,
    )
  const roi = crops ? (constantInput(node, 1) ?? []) : []
  const scales = scalesOf(node, axes, from, to)
  return axes.flatMap((axis, index) => {
    const along: Along = {
      scale: scales[index]!,
      size: from[axis]!,
      resized: to[axis]!,
      roi: [roi[index] ?? 0, roi[index + axes.length] ?? 1],
    }
    // ONNX Runtime leaves an axis of scale 1 alone, in a crop too; a filter does so where the size is kept.
    const keepsPlaces = along.scale === 1
    if (along.size === along.resized && (filters || keepsPlaces)) return []
    const taps = Array.from({ length: along.resized }, (_, place) => {
      const position = keepsPlaces ? place : transformations[mode]!(place, along)
      // Outside a crop stands extrapolation_value.
      if (crops && (position < 0 || position > along.size - 1)) return []
      return tapsAt(node, position, along)
    })
    return [{ axis, size: along.size, taps }]
  })
}

/** The scale of each axis: the given one, or the one that gives the size, the same for all where a policy says so. */
function scalesOf(
  node: Node,
  axes: readonly number[],
  from: readonly number[],
  to: readonly number[],
): readonly number[] {
  const given = node.inputs[2] && constantInput(node, 2)
  if (given?.length) return given
  const policy = node.string('keep_aspect_ratio_policy', 'stretch')
  const sizes = constantInput(node, 3) ?? axes.map((axis) => to[axis]!)
  const scales = sizes.map((size, index) => Math.fround(size / from[axes[index]!]!))
  if (policy === 'not_larger') return scales.fill(Math.min(...scales))
  return policy === 'not_smaller' ? scales.fill(Math.max(...scales)) : scales
}

const f = Math.fround

/** By coordinate_transformation_mode: where a place of the output lies in the input, in float32 as it is computed. */
const transformations: Readonly<Record<string, (place: number, along: Along) => number>> = {
  align_corners: (place, { size, resized }) =>
    resized === 1 ? 0 : f(f(place * (size - 1)) / (resized - 1)),
  asymmetric: (place, { scale }) => f(place / scale),
  half_pixel: (place, { scale }) => f(f((place + 0.5) / scale) - 0.5),
  half_pixel_symmetric: (place, { scale, size, resized }) => {
    const adjustment = f(resized / f(scale * size))
    return f((size / 2) * (1 - adjustment) + (place + 0.5) / scale - 0.5)
  },
  pytorch_half_pixel: (place, { scale, resized }) =>
    resized > 1 ? f(f((place + 0.5) / scale) - 0.5) : 0,
  tf_crop_and_resize: (place, { size, resized, roi: [start, end] }) =>
    resized > 1
      ? f(f(start * (size - 1)) + f(f(f(place * f(end - start)) * (size - 1)) / (resized - 1)))
      : f(0.5 * (start + end) * (size - 1)),
  tf_half_pixel_for_nn: (place, { scale }) => f((place + 0.5) / scale),
}

/** What a position reads, by the node's mode. */
function tapsAt(node: Node, position: number, along: Along): readonly Tap[] {
  const { size, scale } = along
  const mode = node.string('mode', 'nearest')
  if (mode === 'nearest') {
    const cell = roundings[node.string('nearest_mode', 'round_prefer_floor')]!(position)
    return [{ cell: clamp(cell, size), weight: 1 }]
  }
  const kernel = mode === 'cubic' ? cubic(node.number('cubic_coeff_a', -0.75)) : triangle
  const radius = mode === 'cubic' ? 2 : 1
  const antialias = node.number('antialias', 0) === 1
  // Linear interpolation stays inside; the cubic one, and filters, go past the end and find its cell there.
  const centre =
    mode === 'linear' && !antialias ? Math.min(Math.max(position, 0), size - 1) : position
  const shrink = antialias ? Math.min(scale, 1) : 1
  const excludes = node.number('exclude_outside', 0) === 1
  const taps: Tap[] = []
  const reach = radius / shrink
  for (let cell = Math.floor(centre - reach); cell <= Math.ceil(centre + reach); cell++) {
    const weight = kernel((cell - centre) * shrink)
    if (weight === 0 || (excludes && (cell < 0 || cell >= size))) continue
    taps.push({ cell: clamp(cell, size), weight })
  }
  if (!antialias && !excludes) return taps
  const total = taps.reduce((sum, { weight }) => sum + weight, 0)
  return taps.map(({ cell, weight }) => ({ cell, weight: weight / total }))
}

const clamp = (cell: number, size: number): number => Math.min(Math.max(cell, 0), size - 1)

/** By nearest_mode: the cell of a position. */
const roundings: Readonly<Record<string, (position: number) => number>> = {
  ceil: Math.ceil,
  floor: Math.floor,
  round_prefer_ceil: (position) => Math.floor(position + 0.5),
  round_prefer_floor: (position) => Math.ceil(position - 0.5),
}

/** Linear interpolation. */
const triangle = (distance: number): number => Math.max(0, 1 - Math.abs(distance))

/** Cubic convolution (Keys 1981, equation 8). */
const cubic =
  (a: number) =>
  (distance: number): number => {
    const d = Math.abs(distance)
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1
    return d < 2 ? ((d - 5) * d + 8) * d * a - 4 * a : 0
  }
