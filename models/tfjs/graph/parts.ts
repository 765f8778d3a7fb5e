// Operators that cut, split and pad.
import { type Cut, farEnd, pad, positions, slice, squeeze, unsqueeze } from '../arrange.ts'
import { axisFromFront, range, type Term } from '../term.ts'
import type { Writer } from '../writer.ts'
import { withContent } from './content.ts'
import { axesOf, integers, type OperatorCall, type OperatorRule, refused } from './node.ts'

/** TensorFlow's strided slice: masks say which bounds count, which axes are new and which disappear. */
function stridedSlice(call: OperatorCall): Term {
  const { w, node, x } = call
  const [begin, end, strides] = [1, 2, 3].map((index) => integers(call, index, 'bounds')) as [
    readonly number[],
    readonly number[],
    readonly number[],
  ]
  const has = (key: string, index: number) => ((node.number(key, 0) >> index) & 1) === 1
  const cuts: Cut[] = []
  const added: number[] = []
  const dropped: number[] = []
  const entries = range(begin.length)
  const used = entries.filter(
    (entry) => !has('new_axis_mask', entry) && !has('ellipsis_mask', entry),
  ).length
  let axis = 0
  let made = 0
  for (const entry of entries) {
    if (has('ellipsis_mask', entry)) {
      const skipped = x.shape.length - used
      axis += skipped
      made += skipped
    } else if (has('new_axis_mask', entry)) added.push(made++)
    else {
      const step = strides[entry]!
      const shrinks = has('shrink_axis_mask', entry)
      const start = begin[entry]!
      const first = has('begin_mask', entry) ? (step > 0 ? 0 : farEnd) : start
      const last = has('end_mask', entry) ? (step > 0 ? farEnd : -farEnd) : end[entry]!
      cuts.push(
        shrinks
          ? { axis, start, end: start === -1 ? farEnd : start + 1, step: 1 }
          : { axis, start: first, end: last, step },
      )
      if (shrinks) dropped.push(axis)
      else made++
      axis++
    }
  }
  const result = unsqueeze(w, squeeze(w, slice(w, x, cuts), dropped), added)
  const [cut] = cuts
  const places = cut && x.shape.length === 1 && x.content && positions(x.content.length, cut)
  return withContent(w, result, places ? places.map((place) => x.content![place]) : undefined)
}

/** A node with more parts is no real one. */
const mostParts = 2 ** 16

/** Equal or given parts along an axis. */
function split(w: Writer, x: Term, axis: number, sizes: readonly number[]): readonly Term[] {
  const made = sizes.map((size) => ({
    dtype: x.dtype,
    shape: x.shape.map((dim, each) => (each === axis ? size : dim)),
  }))
  return w.emitAll('Split', [x, sizes], made, { attributes: { axis } })
}

const padding =
  (mode: (call: OperatorCall) => { mode?: string; value?: Term }): OperatorRule =>
  (call) => {
    const list = integers(call, 1, 'pads')
    const pads = range(call.x.shape.length).map(
      (axis) => [list[2 * axis]!, list[2 * axis + 1]!] as const,
    )
    return pad(call.w, call.x, pads, mode(call))
  }

/** Operators that cut, split and pad. */
export const partOperators: Readonly<Record<string, OperatorRule>> = {
  Unpack(call) {
    const { w, node, x } = call
    const axis = axisFromFront(node.number('axis', 0), x.shape.length)
    const count = node.number('num', Number(x.shape[axis] ?? 0))
    if (!(count >= 1 && count <= mostParts))
      throw refused(call, `${count} parts`, 'convert the model with fixed input sizes')
    const sizes = range(count).map(() => 1)
    return split(w, x, axis, sizes).map((part, index) =>
      withContent(w, squeeze(w, part, [axis]), x.content && [x.content[index]]),
    )
  },
  Split(call) {
    // The axis is the first input.
    const { w, node, input } = call
    const x = input(1)
    const [given = 0] = integers(call, 0, 'axes')
    const axis = axisFromFront(given, x.shape.length)
    const [size, count] = [x.shape[axis], node.number('num_split', 1)]
    if (typeof size !== 'number' || !(count >= 1 && count <= mostParts))
      throw refused(call, `${count} parts of ${size ?? 'unknown'}`, 'fix the sizes')
    return split(
      w,
      x,
      axis,
      range(count).map(() => size / count),
    )
  },
  SplitV(call) {
    const { w, x } = call
    const [axis = 0] = integers(call, 2, 'axes').map((each) => axisFromFront(each, x.shape.length))
    const sizes = integers(call, 1, 'sizes')
    const known = sizes.filter((size) => size >= 0).reduce((sum, size) => sum + size, 0)
    const rest = Number(x.shape[axis]) - known
    return split(
      w,
      x,
      axis,
      sizes.map((size) => (size < 0 ? rest : size)),
    )
  },
  StridedSlice: stridedSlice,
  Slice(call) {
    const { w, x } = call
    const begin = integers(call, 1, 'starts')
    const sizes = integers(call, 2, 'sizes')
    const cuts = begin.map((start, axis) => ({
      axis,
      start,
      end: sizes[axis]! < 0 ? farEnd : start + sizes[axis]!,
      step: 1,
    }))
    const places = x.shape.length === 1 && x.content && positions(x.content.length, cuts[0]!)
    const content = places ? places.map((place) => x.content![place]) : undefined
    return withContent(w, slice(w, x, cuts), content)
  },
  ReverseV2: (call) =>
    slice(
      call.w,
      call.x,
      axesOf(call, 1).map((axis) => ({ axis, start: -1, end: -farEnd, step: -1 })),
    ),
  Pad: padding(() => ({})),
  PadV2: padding(({ input }) => ({ value: input(2) })),
  MirrorPad: padding((call) => {
    const mode = call.node.text('mode', 'REFLECT').toLowerCase()
    if (mode !== 'reflect') throw refused(call, `mode '${mode}'`, 'use REFLECT')
    return { mode }
  }),
}
