// Resizing images as TensorFlow does it: the older placements as well as half pixels.
import type { Dim } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { channelsFirst, channelsLast } from './arrange.ts'
import { isFixed, type Term } from './term.ts'
import type { Writer } from './writer.ts'

/** How places of the output fall on the input; with neither, place i falls on i · scale. */
export interface Placement {
  readonly alignCorners?: boolean
  readonly halfPixelCenters?: boolean
}

/** New sizes of height and width, or factors for them. */
export type NewSize =
  | { readonly sizes: readonly number[] }
  | { readonly factors: readonly number[] }

/** Resizes `[N, height, width, C]`. */
export function resize(
  w: Writer,
  x: Term,
  mode: 'nearest' | 'linear',
  to: NewSize,
  { alignCorners = false, halfPixelCenters = false }: Placement = {},
): Term {
  const first = channelsFirst(w, x)
  const space = first.shape.slice(2)
  const sizes: readonly Dim[] =
    'sizes' in to
      ? to.sizes
      : space.map((dim, axis) => (typeof dim === 'number' ? dim * to.factors[axis]! : undefined))
  // TensorFlow's nearest cell of half pixels is floor((i + ½) · scale): half up of ONNX's place, which is ½ less.
  const nearest = halfPixelCenters || alignCorners ? 'round_prefer_ceil' : 'floor'
  const placement = alignCorners ? 'align_corners' : halfPixelCenters ? 'half_pixel' : 'asymmetric'
  const scales = 'factors' in to && !isFixed(sizes) ? floats(w, to.factors) : undefined
  const made = w.emit(
    'Resize',
    [first, undefined, scales, scales ? undefined : (sizes as readonly number[])],
    { dtype: x.dtype, shape: [...first.shape.slice(0, 2), ...sizes] },
    {
      attributes: {
        axes: [2, 3],
        mode,
        coordinate_transformation_mode: placement,
        ...(mode === 'nearest' && { nearest_mode: nearest }),
      },
    },
  )
  return channelsLast(w, made)
}

const floats = (w: Writer, numbers: readonly number[]): Term =>
  w.constant('scales', () => tensorOf('float32', [numbers.length], numbers))
