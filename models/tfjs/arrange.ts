// Moving elements: transposes, reshapes, slices, pads and joins, of terms and of constants.
import { UserError } from '../../base/errors.ts'
import type { Dim } from '../../onnx/graph.ts'
import { permuted } from '../../onnx/permute.ts'
import { Tensor } from '../../onnx/tensor.ts'
import { isFixed, productOf, range, shapeText, type Term } from './term.ts'
import type { Writer } from './writer.ts'

/** Axes in another order; the identity writes nothing. */
export function transpose(w: Writer, x: Term, perm: readonly number[]): Term {
  if (perm.every((axis, index) => axis === index)) return x
  const shape = perm.map((axis) => x.shape[axis])
  return w.emit('Transpose', [x], { dtype: x.dtype, shape }, { attributes: { perm } })
}

/** `[N, …space, C]` as `[N, C, …space]`. */
export const channelsFirst = (w: Writer, x: Term): Term =>
  transpose(w, x, [0, x.shape.length - 1, ...range(x.shape.length - 2).map((axis) => axis + 1)])

/** `[N, C, …space]` as `[N, …space, C]`. */
export const channelsLast = (w: Writer, x: Term): Term =>
  transpose(w, x, [0, ...range(x.shape.length - 2).map((axis) => axis + 2), 1])

/**
 * Another shape of the same elements; at most one dimension that the input does not have may be unknown.
 *
 * A shape with more of them is a {@link UserError}.
 */
export function reshape(w: Writer, x: Term, target: readonly Dim[]): Term {
  if (target.length === x.shape.length && target.every((dim, axis) => isSame(dim, x.shape[axis])))
    return x
  const numbers = target.map((dim, axis) =>
    typeof dim === 'number' ? dim : isSame(dim, x.shape[axis]) ? 0 : -1,
  )
  if (numbers.filter((number) => number < 0).length > 1)
    throw new UserError(
      `${w.where}: reshape: a shape with several unknown sizes: ${shapeText(x.shape)} to ${shapeText(target)} — convert the model with fixed input sizes`,
    )
  const shape = isFixed(x.shape)
    ? target.map((dim) => dim ?? missing(x.shape as readonly number[], numbers))
    : target
  return w.emit('Reshape', [x, numbers], { dtype: x.dtype, shape })
}

const isSame = (a: Dim, b: Dim): boolean => a !== undefined && a === b

const missing = (from: readonly number[], to: readonly number[]): Dim => {
  const known = to.reduce((size, dim, axis) => (dim < 0 ? size : size * (dim || from[axis]!)), 1)
  return (productOf(from) as number) / known
}

/** Part of some axes, every `step`-th element; `end` is exclusive, as ONNX's Slice has it. */
export interface Cut {
  readonly axis: number
  readonly start: number
  readonly end: number
  readonly step: number
}

/** An end that no axis has. */
export const farEnd = Number.MAX_SAFE_INTEGER

/** Slices along several axes. */
export function slice(w: Writer, x: Term, cuts: readonly Cut[]): Term {
  const real = cuts.filter(({ start, end, step }) => start !== 0 || end !== farEnd || step !== 1)
  if (real.length === 0) return x
  const shape = x.shape.map((dim, axis) => {
    const cut = real.find((each) => each.axis === axis)
    return cut ? positions(dim, cut)?.length : dim
  })
  const of = (key: keyof Cut) => real.map((cut) => cut[key])
  const inputs = [x, of('start'), of('end'), of('axis'), of('step')]
  return w.emit('Slice', inputs, { dtype: x.dtype, shape })
}

/** The places of an axis that a cut keeps, in order; undefined where the axis' size is unknown. */
export function positions(dim: Dim, { start, end, step }: Cut): number[] | undefined {
  if (typeof dim !== 'number') return undefined
  const clamp = (at: number, low: number, high: number) =>
    Math.min(Math.max(at < 0 ? at + dim : at, low), high)
  const [low, high] = step > 0 ? [0, dim] : [-1, dim - 1]
  const [first, last] = [clamp(start, step > 0 ? 0 : -1, high), clamp(end, low, high)]
  const count = Math.max(0, Math.ceil((last - first) / step))
  return range(count).map((index) => first + index * step)
}

/** Elements added before and after each axis. */
export function pad(
  w: Writer,
  x: Term,
  pads: readonly (readonly [before: number, after: number])[],
  options: { readonly mode?: string; readonly value?: Term } = {},
): Term {
  if (pads.every(([before, after]) => before === 0 && after === 0)) return x
  const shape = x.shape.map((dim, axis) => {
    const [before, after] = pads[axis]!
    if (before + after === 0) return dim
    return typeof dim === 'number' ? dim + before + after : undefined
  })
  const list = [...pads.map(([before]) => before), ...pads.map(([, after]) => after)]
  return w.emit(
    'Pad',
    [x, list, options.value],
    { dtype: x.dtype, shape },
    {
      ...(options.mode !== undefined && { attributes: { mode: options.mode } }),
    },
  )
}

/** Terms one after the other along an axis. */
export function concat(w: Writer, terms: readonly Term[], axis: number): Term {
  if (terms.length === 1) return terms[0]!
  const [first] = terms
  const along: readonly Dim[] = terms.map((term) => term.shape[axis])
  const shape = first!.shape.map((_, index) =>
    index === axis
      ? isFixed(along)
        ? along.reduce((sum, dim) => sum + dim, 0)
        : undefined
      : terms.reduce<Dim>((dim, term) => dim ?? term.shape[index], undefined),
  )
  return w.emit('Concat', terms, { dtype: first!.dtype, shape }, { attributes: { axis } })
}

/** Without axes of size 1; all of them unless told. */
export function squeeze(w: Writer, x: Term, axes: readonly number[]): Term {
  if (axes.length === 0) return x
  const shape = x.shape.filter((_, axis) => !axes.includes(axis))
  return w.emit('Squeeze', [x, axes], { dtype: x.dtype, shape })
}

/** With new axes of size 1 at the given places of the result. */
export function unsqueeze(w: Writer, x: Term, axes: readonly number[]): Term {
  if (axes.length === 0) return x
  const rest = [...x.shape]
  const shape = range(x.shape.length + axes.length).map((axis) =>
    axes.includes(axis) ? 1 : rest.shift(),
  )
  return w.emit('Unsqueeze', [x, axes], { dtype: x.dtype, shape })
}

/** Elements as another type; the same type writes nothing. */
export function cast(w: Writer, x: Term, dtype: 'float32' | 'int32' | 'int64' | 'bool'): Term {
  if (x.dtype === dtype) return x
  const code = { float32: 1, int32: 6, int64: 7, bool: 9 }[dtype]
  return w.emit('Cast', [x], { dtype, shape: x.shape }, { attributes: { to: code } })
}

/**
 * A weight with its axes in another order (and then another shape): done at once where it is a constant, stored once
 * however many nodes use it.
 */
export function arranged(
  w: Writer,
  weight: Term,
  perm: readonly number[],
  dims?: readonly number[],
): Term {
  const { tensor, name } = weight.value
  if (weight.shape.length !== perm.length)
    throw new UserError(
      `${w.where}: weight '${name}': expected ${perm.length} axes: ${shapeText(weight.shape)} — save the model again`,
    )
  if (!tensor) {
    const moved = transpose(w, weight, perm)
    return dims ? reshape(w, moved, dims) : moved
  }
  const make = () => {
    const moved = permuted(tensor, perm)
    return dims ? new Tensor(moved.dtype, dims, moved.bytes) : moved
  }
  return w.constant(name, make, { of: weight.value, key: `${perm} ${dims}` })
}
