// Operators that reshape, join, look up and fill.
import type { Dim } from '../../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../../onnx/tensor.ts'
import { cast, concat, reshape, squeeze, transpose, unsqueeze } from '../arrange.ts'
import { axisFromFront, isFixed, productOf, range, type Term } from '../term.ts'
import { withContent } from './content.ts'
import { axesOf, integers, type OperatorCall, type OperatorRule, refused } from './node.ts'

/** The elements of a shape, with the axis of the only unknown one left to ONNX. */
function reshaped(call: OperatorCall): Term {
  const { w, x, input } = call
  const wanted = input(1)
  const { content } = wanted
  if (content) {
    const size = productOf(x.shape)
    const known = content.filter((dim) => dim !== -1)
    const rest = productOf(known)
    const free = typeof size === 'number' && typeof rest === 'number' ? size / rest : undefined
    const target = content.map((dim, axis): Dim => {
      if (dim !== -1) return dim
      // [N, …] to [-1, …] of as many elements a sample is N again.
      if (free !== undefined) return free
      const [batch, ...others] = x.shape
      const perSample = productOf(others)
      const same = axis === 0 && perSample !== undefined && perSample === productOf(known)
      return same ? batch : undefined
    })
    const unknown = target.filter((dim, axis) => typeof dim !== 'number' && dim !== x.shape[axis])
    if (unknown.length <= 1) return withContent(w, reshape(w, x, target), x.content)
  }
  const rank = wanted.shape[0]
  if (typeof rank !== 'number')
    throw refused(call, 'a shape of unknown rank', 'convert the model with fixed input sizes')
  const shape =
    content?.map((dim) => (dim === -1 ? undefined : dim)) ?? range(rank).map(() => undefined)
  return w.emit('Reshape', [x, cast(w, wanted, 'int64')], { dtype: x.dtype, shape })
}

const pass: OperatorRule = ({ x }) => x

/** Operators that reshape, join, look up and fill. */
export const arrangementOperators: Readonly<Record<string, OperatorRule>> = {
  Identity: pass,
  IdentityN: ({ inputs }) => inputs,
  StopGradient: pass,
  Snapshot: pass,
  Reshape: reshaped,
  Squeeze(call) {
    const { w, node, x } = call
    const given = node.numbers('squeeze_dims') ?? node.numbers('axis') ?? []
    const rank = x.shape.length
    const axes =
      given.length > 0
        ? given.map((axis) => axisFromFront(axis, rank))
        : range(rank).filter((axis) => x.shape[axis] === 1)
    return withContent(w, squeeze(w, x, axes), x.content)
  },
  ExpandDims(call) {
    const { w, x } = call
    const [axis = 0] = integers(call, 1, 'axes')
    const made = unsqueeze(w, x, [axisFromFront(axis, x.shape.length + 1)])
    return withContent(w, made, x.content)
  },
  Transpose: (call) => transpose(call.w, call.x, axesOf(call, 1)),
  ConcatV2(call) {
    const { w, x, inputs } = call
    const [axis = 0] = integers(call, inputs.length - 1, 'axes')
    const parts = inputs.slice(0, -1)
    const made = concat(w, parts, axisFromFront(axis, x.shape.length))
    return withContent(w, made, joinedContent(parts))
  },
  Pack({ w, node, x, inputs }) {
    const axis = axisFromFront(node.number('axis', 0), x.shape.length + 1)
    const made = concat(
      w,
      inputs.map((input) => unsqueeze(w, input, [axis])),
      axis,
    )
    return withContent(w, made, x.shape.length === 0 ? joinedContent(inputs) : undefined)
  },
  GatherV2(call) {
    const { w, node, x, input, inputs } = call
    const [given = 0] = inputs[2] ? integers(call, 2, 'axes') : [0]
    if (node.number('batch_dims', 0) !== 0)
      throw refused(call, 'batch_dims', 'use a gather without')
    const axis = axisFromFront(given, x.shape.length)
    const indices = cast(w, input(1), 'int32')
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]
    const made = w.emit('Gather', [x, indices], { dtype: x.dtype, shape }, { attributes: { axis } })
    const places = x.shape.length === 1 ? indices.content : undefined
    return withContent(
      w,
      made,
      x.content &&
        places?.map((place) => (typeof place === 'number' ? x.content![place] : undefined)),
    )
  },
  Gather: (call) => arrangementOperators.GatherV2!({ ...call, inputs: call.inputs.slice(0, 2) }),
  Tile(call) {
    const { w, x } = call
    const times = integers(call, 1, 'repeats')
    const shape = x.shape.map((dim, axis) =>
      times[axis] === 1 ? dim : typeof dim === 'number' ? dim * times[axis]! : undefined,
    )
    return w.emit('Tile', [x, times], { dtype: x.dtype, shape })
  },
  BroadcastTo(call) {
    const { w, x, input } = call
    const wanted = input(1)
    const { content } = wanted
    if (!content) throw refused(call, 'a shape that depends on data', 'fix the input sizes')
    return w.emit('Expand', [x, cast(w, wanted, 'int64')], { dtype: x.dtype, shape: content })
  },
  Shape({ w, x }) {
    const made = w.emit('Shape', [x], { dtype: 'int64', shape: [x.shape.length] })
    return withContent(w, cast(w, made, 'int32'), x.shape)
  },
  Size({ w, x }) {
    const made = w.emit('Size', [x], { dtype: 'int64', shape: [] })
    return withContent(w, cast(w, made, 'int32'), [productOf(x.shape)])
  },
  Rank: ({ w, x }) => {
    const rank = x.shape.length
    return { ...w.constant('rank', () => tensorOf('int32', [], [rank])), content: [rank] }
  },
  Fill(call) {
    const { w, x, input } = call
    if (!x.content) throw refused(call, 'a shape that depends on data', 'fix the input sizes')
    const value = input(1)
    const made = w.emit('Expand', [value, cast(w, x, 'int64')], {
      dtype: value.dtype,
      shape: x.content,
    })
    const count = isFixed(x.content) ? sizeOf(x.content) : 0
    const repeated = count > 0 && count <= 64 && value.content
    return withContent(w, made, repeated ? range(count).map(() => repeated[0]) : undefined)
  },
  Range(call) {
    const { w, x } = call
    const [start, limit, step] = [0, 1, 2].map((index) => integers(call, index, 'bounds')[0]!) as [
      number,
      number,
      number,
    ]
    const count = Math.max(0, Math.ceil((limit - start) / step))
    if (x.dtype !== 'int32' || !(count <= 2 ** 24))
      throw refused(call, 'such a range', 'use whole numbers')
    const content = range(count).map((index) => start + index * step)
    const term = w.constant('range', () => tensorOf('int32', [count], content))
    return { ...term, content: count <= 256 ? content : undefined }
  },
  Einsum(call) {
    const { w, node, inputs } = call
    const equation = node.text('equation', '').replaceAll(' ', '')
    const [left = '', right] = equation.split('->')
    if (right === undefined || /[^a-zA-Z,]/.test(left + right))
      throw refused(call, `equation '${equation}'`, 'write its axes as letters')
    const dims = new Map<string, Dim>()
    for (const [index, letters] of left.split(',').entries())
      for (const [axis, letter] of [...letters].entries())
        dims.set(letter, dims.get(letter) ?? inputs[index]?.shape[axis])
    const shape = [...right].map((letter) => dims.get(letter))
    const { dtype } = call.x
    return w.emit('Einsum', inputs, { dtype, shape }, { attributes: { equation }, name: node.name })
  },
}

const joinedContent = (parts: readonly Term[]): readonly Dim[] | undefined =>
  parts.every((part) => part.content) ? parts.flatMap((part) => part.content!) : undefined
