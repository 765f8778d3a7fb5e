// What each channel of a tensor has of its own where it is stored as codes: a table, or a factor for levels of -1, 0 and 1
// (ternary and binary weights).
import { type CodeTable, codeTable } from './code-table.ts'
import type { Value } from './graph.ts'
import {
  type Coded,
  coded,
  codesOf,
  halved,
  type Key,
  keysOf,
  mostCodes,
  picked,
  readCodes,
  readNumbers,
  type Write,
  widened,
  writeCodes,
  writeNumbers,
} from './packed-values.ts'
import { holds, makerOf } from './patterns.ts'
import { type DataType, elements, numbers, sizeOf, Tensor, tensorOf } from './tensor.ts'

/** The axes that channels may be along: the first, or the second of a matrix. */
export const channelAxes = ({ length }: readonly number[]): readonly number[] =>
  length < 2 ? [] : length === 2 ? [0, 1] : [0]

/** Where the elements of a tensor are, channel after channel. */
function* channelPlaces(dims: readonly number[], axis: number): Generator<[number, number]> {
  const channels = dims[axis]!
  const size = sizeOf(dims)
  const each = size / channels
  const step = axis === 0 ? 1 : channels
  for (let channel = 0; channel < channels; channel++) {
    const start = axis === 0 ? channel * each : channel
    for (let at = 0; at < each; at++) yield [channel, start + at * step]
  }
}

/** A tensor as codes into tables `[channels, entries]`, channel after channel; undefined where one has too many numbers. */
export function channelCoded(tensor: Tensor, axis: number): Coded | undefined {
  const keys = keysOf(tensor)
  // A table of half as many entries as there are elements wins nothing.
  const most = Math.min(mostCodes, tensor.size / tensor.dims[axis]! / 2)
  const tables: CodeTable<Key>[] = []
  const codes = new Uint8Array(keys.length)
  let at = 0
  for (const [channel, place] of channelPlaces(tensor.dims, axis)) {
    tables[channel] ??= codeTable(most)
    const code = tables[channel].codeOf(keys[place]!, place)
    if (code === undefined) return undefined
    codes[at++] = code
  }
  const entries = tables.reduce((most, { firsts }) => Math.max(most, firsts.length), 0)
  const places = tables.flatMap(({ firsts }) =>
    Array.from({ length: entries }, (_, entry) => firsts[entry] ?? firsts[0]!),
  )
  const { dtype, bytes } = picked(tensor, places)
  return coded(codes, entries, halved(new Tensor(dtype, [tables.length, entries], bytes)))
}

/** The tensor that is stored as codes of channels; undefined where they do not fit it. */
export function channelTensor(
  values: Coded,
  dims: readonly number[],
  axis: number,
  dtype: DataType,
): Tensor | undefined {
  const [channels, entries] = values.table.dims as [number, number]
  const table = widened(values.table, dtype)
  const codes = codesOf(values, entries)
  if (!table || channels !== dims[axis] || codes?.length !== sizeOf(dims)) return undefined
  const from = new Uint32Array(codes.length)
  let at = 0
  for (const [channel, place] of channelPlaces(dims, axis))
    from[place] = channel * entries + codes[at++]!
  return new Tensor(dtype, dims, picked(table, from).bytes)
}

/** Writes the operators that make a tensor of codes of channels. */
export function writeChannels(
  write: Write,
  values: Coded,
  dims: readonly number[],
  axis: number,
  dtype: DataType,
): Value {
  const channels = dims[axis]!
  const codes = write('Reshape', [writeCodes(write, values), [channels, sizeOf(dims) / channels]])
  const table = writeNumbers(write, values.table, dtype)
  const rows = write('GatherElements', [table, codes], { axis: 1 })
  return axis === 0 ? write('Reshape', [rows, dims]) : write('Transpose', [rows], { perm: [1, 0] })
}

/** What {@link writeChannels} has written, if the value is that. */
export function readChannels(value: Value):
  | {
      readonly values: Coded
      readonly dims: readonly number[]
      readonly axis: number
      readonly dtype: DataType
    }
  | undefined {
  const root = value.producer
  const axis = root?.opType === 'Transpose' ? 1 : 0
  if (!root || (axis === 1 && root.numbers('perm')?.join() !== '1,0')) return undefined
  const rows = makerOf(root.input(0), 'GatherElements')
  if (rows?.number('axis', 0) !== 1) return undefined
  const table = readNumbers(rows.input(0))
  const reshape = makerOf(rows.input(1), 'Reshape')
  const codes = reshape && readCodes(reshape.input(0))
  if (!table || !codes || table.values.dims.length !== 2) return undefined
  const channels = table.values.dims[0]!
  const shape = axis === 0 ? sizesIn(root.inputs[1]) : [codes.count / channels, channels]
  if (!shape || !holds(reshape.inputs[1], [channels, codes.count / channels])) return undefined
  return { values: { ...codes, table: table.values }, dims: shape, axis, dtype: table.dtype }
}

/** The sizes of a shape that is constant and says all of them. */
export function sizesIn(shape: Value | undefined): readonly number[] | undefined {
  if (shape?.tensor?.dtype !== 'int64') return undefined
  const sizes = numbers(shape.tensor)
  return sizes.length > 0 && sizes.every((size) => size > 0) ? sizes : undefined
}

/** Factors, one a channel, in a shape that broadcasts over the tensor; float32 or float16. */
export interface ChannelScales {
  readonly values: Tensor
  readonly axis: number
}

/** A tensor of float32 whose channels have one magnitude each, as levels of -1, 0 and 1 and those magnitudes. */
export function levelsOf(
  tensor: Tensor,
  axis: number,
): { readonly levels: Tensor; readonly scales: ChannelScales } | undefined {
  if (tensor.dtype !== 'float32') return undefined
  const weights = elements(tensor, 'float32')
  const scales = new Float32Array(tensor.dims[axis]!)
  const levels = new Float32Array(weights.length)
  for (const [channel, place] of channelPlaces(tensor.dims, axis)) {
    const weight = weights[place]!
    if (weight === 0) {
      if (Object.is(weight, -0)) return undefined
      continue
    }
    if (scales[channel] === 0) scales[channel] = Math.abs(weight)
    if (Math.abs(weight) !== scales[channel]) return undefined
    levels[place] = Math.sign(weight)
  }
  const broadcast = tensor.dims.map((size, at) => (at === axis ? size : 1))
  return {
    levels: tensorOf('float32', tensor.dims, levels),
    scales: { values: halved(tensorOf('float32', broadcast, scales)), axis },
  }
}

/** The tensor of levels and scales, as they were found; undefined where they do not fit each other. */
export function scaledTensor(levels: Tensor, { values, axis }: ChannelScales): Tensor | undefined {
  const scales = widened(values, 'float32')
  if (!scales || levels.dtype !== 'float32' || scales.size !== levels.dims[axis]) return undefined
  const factors = elements(scales, 'float32')
  const products = elements(levels, 'float32').slice()
  for (const [channel, place] of channelPlaces(levels.dims, axis))
    products[place]! *= factors[channel]!
  return tensorOf('float32', levels.dims, products)
}

/** The factors that a tensor of these dimensions is multiplied with, if the value is them. */
export function readScales(value: Value, dims: readonly number[]): ChannelScales | undefined {
  const found = readNumbers(value)
  if (found?.dtype !== 'float32') return undefined
  const axis = channelAxes(dims).find((candidate) => found.values.size === dims[candidate])
  const expected = dims.map((size, at) => (at === axis ? size : 1))
  return axis !== undefined && found.values.dims.join() === expected.join()
    ? { values: found.values, axis }
    : undefined
}
