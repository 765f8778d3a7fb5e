// Tensors that take fewer bytes in a file than their elements do: those with many zeros, stored as the other elements and
// where they are (Han et al. 2016: relative indices), and those of few different numbers, stored as codes into a table of
// them, be it one for all, one a channel, or one for all and a factor a channel. A few standard operators turn such
// constants into the dense tensor when a runtime opens the file and folds constants. In memory tensors are dense.
// (ONNX's own sparse initializers spend 64 bits on an index: with 32-bit elements they only get smaller than dense
// ones below a third of elements, and the layouts here stay below them.)
import { attributeOf, build, type Operand } from './build.ts'
import { Graph, type Model, Node, opsetOf, Value } from './graph.ts'
import { invalid, quote } from './invalid.ts'
import {
  type ChannelScales,
  channelAxes,
  channelCoded,
  channelTensor,
  levelsOf,
  readChannels,
  readScales,
  scaledTensor,
  sizesIn,
  writeChannels,
} from './packed-channels.ts'
import {
  picked,
  readValues,
  type StoredValues,
  storedValues,
  valueBytes,
  valueCost,
  valuesOf,
  type Write,
  widened,
  writeNumbers,
  writeValues,
} from './packed-values.ts'
import { castOf, holds, makerOf } from './patterns.ts'
import {
  byteLengthOf,
  type DataType,
  dataTypes,
  elements,
  numbers,
  sizeOf,
  Tensor,
  tensorOf,
} from './tensor.ts'
import type { TensorExtra } from './tensor-proto.ts'

/** What is stored of a tensor. */
export interface Packed {
  /** How it is known where the values belong; `whole`: there is one for every element. */
  readonly layout: LayoutName | 'whole' | 'channels'
  readonly dtype: DataType
  /** uint8; undefined where no layout needs it. */
  readonly index?: Tensor
  /** `[count]`; with the layout `channels` codes, channel after channel, into a table for each. */
  readonly values: StoredValues
  /** The axis of those channels. */
  readonly axis?: number
  /** What the channels of the tensor that is stored so are multiplied with. */
  readonly scales?: ChannelScales
}

/** A way to say where elements are. Offsets are of the flat tensor of `size` elements, and rise. */
interface Layout {
  /** Values of zero that stand before those of the index. */
  readonly before: number
  /** What its nodes and names take in the file, about, in bytes. */
  readonly overhead: number
  /** The index of elements, and the offsets that values are stored for: of those elements, and of some zeros. */
  readonly encode: (
    offsets: Uint32Array,
    size: number,
  ) => { readonly index: Tensor; readonly stored: Uint32Array }
  /** The offsets that an index stands for; undefined where it does not fit a number of them, or the size. */
  readonly decode: (index: Tensor, count: number, size: number) => Uint32Array | undefined
  /** Writes the operators that make the flat tensor. */
  readonly write: (
    write: Write,
    index: Tensor,
    values: Operand,
    size: number,
    dtype: DataType,
  ) => Value
  /** The index and the values of a flat tensor that such operators make. */
  readonly read: (flat: Value, size: number) => readonly [Value, Value] | undefined
}

const int32Code = dataTypes.int32.code
const firstAxis = tensorOf('int64', [], [0])

/**
 * A byte for the distance from each element to the one before. Distances over 255 are bridged by zeros.
 * Best from 7/8 of zeros on.
 */
const gaps: Layout = {
  before: 0,
  overhead: 640,
  encode(offsets) {
    const steps: number[] = []
    const stored: number[] = []
    let at = 0
    for (const offset of offsets) {
      for (; offset - at > 255; stored.push(at)) {
        at += 255
        steps.push(255)
      }
      steps.push(offset - at)
      stored.push(offset)
      at = offset
    }
    return { index: tensorOf('uint8', [steps.length], steps), stored: Uint32Array.from(stored) }
  },
  decode({ bytes }, count, size) {
    if (bytes.length !== count) return undefined
    const offsets = new Uint32Array(count)
    let at = 0
    for (const [place, step] of bytes.entries()) {
      at += step
      // A second value at one offset: which of them counts is not defined.
      if (at >= size || (step === 0 && place > 0)) return undefined
      offsets[place] = at
    }
    return offsets
  },
  write(write, index, values, size, dtype) {
    const zero = new Tensor(dtype, [1], new Uint8Array(byteLengthOf(dtype, [1])))
    const zeros = write('ConstantOfShape', [[size]], { value: zero })
    const offsets = write('CumSum', [write('Cast', [index], { to: int32Code }), firstAxis])
    return write('ScatterElements', [zeros, offsets, values], { axis: 0 })
  },
  read(flat, size) {
    const scatter = makerOf(flat, 'ScatterElements')
    if (scatter?.number('axis', 0) !== 0 || scatter.string('reduction', 'none') !== 'none') return
    const zeros = makerOf(scatter.input(0), 'ConstantOfShape')
    const fill = zeros?.attributes.get('value')
    if (!zeros || !holds(zeros.input(0), [size])) return
    if (fill?.type === 'tensor' && fill.value.bytes.some((byte) => byte !== 0)) return
    const steps = sumOf(scatter.input(1))
    const index = steps && castOf(steps, 'int32')
    return index && [index, scatter.input(2)]
  },
}

/** A bit for every element. Best up to 7/8 of zeros. */
const bitmap: Layout = {
  before: 1,
  overhead: 1024,
  encode(offsets, size) {
    const width = bitsIn(size)
    const bytes = new Uint8Array(size / width)
    for (const offset of offsets)
      bytes[Math.floor(offset / width)]! |= 1 << (width - 1 - (offset % width))
    return { index: tensorOf('uint8', [bytes.length, 1], bytes), stored: offsets }
  },
  decode({ bytes }, count, size) {
    const width = bitsIn(size)
    if (bytes.length * width !== size) return undefined
    const offsets = new Uint32Array(count)
    let found = 0
    for (const [place, byte] of bytes.entries())
      for (let bit = 0; bit < width; bit++)
        // Beyond `count` nothing is written.
        if ((byte >> (width - 1 - bit)) & 1) offsets[found++] = place * width + bit
    return found === count ? offsets : undefined
  },
  write(write, index, values, size) {
    const bits = write('BitShift', [index, shiftsFor(size)], { direction: 'RIGHT' })
    const ones = write('Cast', [write('Mod', [bits, two])], { to: int32Code })
    const flat = write('Reshape', [ones, [-1]])
    const numbered = write('CumSum', [flat, firstAxis])
    return write('Gather', [values, write('Mul', [numbered, flat])], { axis: 0 })
  },
  read(flat, size) {
    const gather = makerOf(flat, 'Gather')
    if (gather?.number('axis', 0) !== 0) return
    const product = makerOf(gather.input(1), 'Mul')
    const bits = product?.input(1)
    if (!product || !bits || sumOf(product.input(0), 2) !== bits) return
    const reshape = makerOf(bits, 'Reshape', 2)
    const ones = reshape && holds(reshape.input(1), [-1]) && castOf(reshape.input(0), 'int32')
    const rest = ones ? makerOf(ones, 'Mod') : undefined
    if (rest?.number('fmod', 0) !== 0 || !holds(rest.input(1), [2])) return
    const shift = makerOf(rest.input(0), 'BitShift')
    if (shift?.string('direction', '') !== 'RIGHT') return
    if (!holds(shift.input(1), numbers(shiftsFor(size)))) return
    return [shift.input(0), gather.input(0)]
  },
}

/** All layouts by name. */
const layouts = { gaps, bitmap } as const satisfies Record<string, Layout>

/** The name of a layout. */
export type LayoutName = keyof typeof layouts

const layoutNames = Object.keys(layouts) as readonly LayoutName[]

const two = tensorOf('uint8', [], [2])

/** Bits of a byte that are used: as many as leave none over at the end. */
const bitsIn = (size: number): number =>
  [8, 7, 6, 5, 4, 3, 2].find((count) => size % count === 0) ?? 1

/** By how much a byte is shifted to have each of its bits last, the first element first. */
const shiftsFor = (size: number): Tensor => {
  const width = bitsIn(size)
  const shifts = Array.from({ length: width }, (_, bit) => width - 1 - bit)
  return tensorOf('uint8', [1, width], shifts)
}

/** The first opset that has the operators of all layouts. */
export const packedSince = 11

/** Largest dense form that is made, in bytes: a few bytes of a file can ask for any size. */
const largestDense = 2 ** 31

/** What is stored of a tensor; undefined where it is not packed. */
export function packedOf(tensor: Tensor): Packed | undefined {
  // `extra` of a tensor is set by its readers and by this file alone.
  const extra = tensor.extra as TensorExtra | undefined
  return extra?.form === 'packed' ? extra.packed : undefined
}

/** The bytes that a tensor takes in a file, without names and nodes. */
export function storedBytes(tensor: Tensor): number {
  const packed = packedOf(tensor)
  return packed ? packedBytes(packed) : tensor.byteLength
}

const packedBytes = ({ index, values, scales }: Packed): number =>
  (index?.byteLength ?? 0) + valueBytes(values) + (scales?.values.byteLength ?? 0)

/**
 * Chooses for every initializer how it will be stored: in the layout with the fewest bytes, dense where that is not
 * larger. In place; what the model computes, and how its tensors look, stays the same to the bit.
 *
 * Initializers that callers of the model may feed, or that are outputs, stay dense, and all do below opset
 * {@link packedSince}. Returns how many are packed.
 */
export function packZeros(model: Model): number {
  const { graph } = model
  let count = 0
  const fixed = new Set([...graph.inputs, ...graph.outputs])
  for (const value of graph.initializers) {
    if (!value.tensor || fixed.has(value) || opsetOf(model) < packedSince) continue
    const packed = packedOf(value.tensor) ? value.tensor : packTensor(value.tensor)
    if (packed) value.tensor = packed
    if (packed) count++
  }
  return count
}

/** Lets every initializer be stored dense, in place; sparse ones of other writers, too. */
export function unpackZeros({ graph }: Model): void {
  for (const value of graph.initializers) {
    const { tensor } = value
    const extra = tensor?.extra as TensorExtra | undefined
    if (tensor && extra && extra.form !== 'dense')
      value.tensor = new Tensor(tensor.dtype, tensor.dims, () => tensor.bytes)
  }
}

function packTensor(tensor: Tensor): Tensor | undefined {
  const { dtype, dims, size, byteLength } = tensor
  if (tensor.strings || !packable.has(dtype) || byteLength < smallest) return undefined
  const candidates = [...elementwise(tensor), ...channelwise(tensor)]
  const [first] = candidates
  if (!first || size === 0) return undefined
  const packed = candidates.reduce((best, other) => (costOf(other) < costOf(best) ? other : best))
  if (costOf(packed) >= byteLength) return undefined
  return denseOf(packed, dims)
}

/** What a packed tensor takes in the file, about, in bytes. */
function costOf({ layout, dtype, index, values, scales }: Packed): number {
  const overhead =
    layout === 'gaps' || layout === 'bitmap' ? layouts[layout].overhead : wholeOverhead
  const scaling = scales ? scales.values.byteLength + scaleOverhead : 0
  return overhead + scaling + (index?.byteLength ?? 0) + valueCost(values, dtype)
}

/** What a Reshape of all values, and a product with scales, take in the file, about, in bytes. */
const [wholeOverhead, scaleOverhead] = [90, 70]

/** The ways to store a tensor whose channels have nothing of their own. */
function elementwise(tensor: Tensor): Packed[] {
  const { dtype, size } = tensor
  const values = storedValues(new Tensor(dtype, [size], tensor.bytes))
  const isPlain = !('codes' in values) && values.dtype === dtype
  const whole: Packed[] = isPlain ? [] : [{ layout: 'whole', dtype, values }]
  const offsets = offsetsOf(tensor.bytes, dataTypes[dtype].bits / 8)
  // Nothing to win, and the layouts take time.
  if (offsets.length > 0.98 * size) return whole
  const holey = layoutNames.map((layout): Packed => {
    const { before, encode } = layouts[layout]
    const { index, stored } = encode(offsets, size)
    const { bytes } = picked(tensor, stored)
    const all = new Uint8Array(byteLengthOf(dtype, [before]) + bytes.length)
    all.set(bytes, all.length - bytes.length)
    const own = new Tensor(dtype, [before + stored.length], all)
    return { layout, dtype, index, values: storedValues(own) }
  })
  return [...whole, ...holey]
}

/** The ways to store a tensor whose channels have tables or scales. */
function channelwise(tensor: Tensor): Packed[] {
  const { dtype, dims } = tensor
  return channelAxes(dims).flatMap((axis): Packed[] => {
    const values = channelCoded(tensor, axis)
    if (!values) return []
    const found = levelsOf(tensor, axis)
    const scaled = found ? elementwise(found.levels) : []
    return [
      { layout: 'channels', dtype, values, axis },
      ...scaled.map((packed) => ({ ...packed, scales: found!.scales })),
    ]
  })
}

/** Below these bytes nothing can be won. */
const smallest = 512

/** Types whose elements are whole bytes and that the operators of all layouts take. */
const packable: ReadonlySet<string> = new Set([
  ...['float32', 'float16', 'float64', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'int64'],
])

/** Offsets of the elements that are not zero in all bits (-0 is not). */
function offsetsOf(bytes: Uint8Array, width: number): Uint32Array {
  const isZero = (start: number): boolean => {
    for (let at = start; at < start + width; at++) if (bytes[at] !== 0) return false
    return true
  }
  let count = 0
  for (let start = 0; start < bytes.length; start += width) if (!isZero(start)) count++
  const offsets = new Uint32Array(count)
  let place = 0
  for (let start = 0; start < bytes.length; start += width)
    if (!isZero(start)) offsets[place++] = start / width
  return offsets
}

/** The tensor that is stored so; undefined where what is stored does not fit each other and the shape. */
function denseOf(packed: Packed, dims: readonly number[]): Tensor | undefined {
  const { dtype } = packed
  const make = () => {
    const { scales } = packed
    const tensor = unscaled(packed, dims)
    return tensor && scales ? scaledTensor(tensor, scales) : tensor
  }
  if (!packable.has(dtype) || !make()) return undefined
  const extra: TensorExtra = { form: 'packed', packed }
  return new Tensor(dtype, dims, () => make()!.bytes, { extra })
}

/** The tensor before it is multiplied with scales. */
function unscaled(packed: Packed, dims: readonly number[]): Tensor | undefined {
  const { layout, dtype, index, values: stored, axis = 0 } = packed
  if (layout === 'channels')
    return 'codes' in stored ? channelTensor(stored, dims, axis, dtype) : undefined
  const values = valuesOf(stored, dtype)
  if (!values) return undefined
  if (layout === 'whole')
    return values.size === sizeOf(dims) ? new Tensor(dtype, dims, values.bytes) : undefined
  const { before, decode } = layouts[layout]
  const width = dataTypes[dtype].bits / 8
  const offsets =
    index?.dtype === 'uint8' ? decode(index, values.size - before, sizeOf(dims)) : undefined
  if (!offsets || values.bytes.subarray(0, before * width).some((byte) => byte !== 0))
    return undefined
  const dense = new Uint8Array(byteLengthOf(dtype, dims))
  for (const [place, offset] of offsets.entries()) {
    const start = (before + place) * width
    dense.set(values.bytes.subarray(start, start + width), offset * width)
  }
  return new Tensor(dtype, dims, dense)
}

/**
 * The nodes, in order, and constants that make all packed initializers of a graph, as a graph; each of its values
 * called like an initializer takes that one's place. Undefined where none is packed.
 */
export function unpacking(graph: Graph): Graph | undefined {
  const found = [...graph.initializers].filter(({ tensor }) => tensor && packedOf(tensor))
  if (found.length === 0) return undefined
  const nodes = new Graph('unpacking')
  for (const name of graph.names) nodes.reserveName(name)
  const constant = sharedConstants(nodes)
  for (const { name, tensor } of found) {
    const write: Write = (opType, inputs, attributes = {}) => {
      const made = inputs.map((input) => input !== undefined && constant(input, `${name}/`))
      const output = new Value(nodes.uniqueName(`${name}/`))
      const entries = Object.entries(attributes)
      nodes.add(
        new Node(
          opType,
          made.map((value) => value || undefined),
          [output],
          { attributes: entries.map(([key, value]) => [key, attributeOf(key, value)] as const) },
        ),
      )
      return output
    }
    writePacked(write, packedOf(tensor!)!, tensor!.dims).name = name
  }
  return nodes
}

/** Makes constants of operands; small ones that are equal are one, for tensors of a layout have many in common. */
function sharedConstants(
  graph: Graph,
): (operand: Exclude<Operand, undefined>, name: string) => Value {
  const { constant } = build(graph)
  const known = new Map<string, Value>()
  return (operand, name) => {
    if (!(operand instanceof Tensor) || operand.byteLength > largestShared)
      return constant(operand, name)
    const { dtype, dims, bytes } = operand
    const key = `${dtype} ${dims.join()} ${bytes.join()}`
    const value = known.get(key) ?? constant(operand, name)
    known.set(key, value)
    return value
  }
}

/** The largest constant that is looked for among others, in bytes. */
const largestShared = 64

function writePacked(write: Write, packed: Packed, dims: readonly number[]): Value {
  const { layout, dtype, index, values, axis = 0, scales } = packed
  if (layout === 'channels') {
    if (!('codes' in values)) throw new Error('internal: channels are stored as codes')
    return writeChannels(write, values, dims, axis, dtype)
  }
  const own = writeValues(write, values, dtype)
  if (layout !== 'whole' && !index) throw new Error(`internal: ${layout} without an index`)
  const flat =
    layout === 'whole' ? own : layouts[layout].write(write, index!, own, sizeOf(dims), dtype)
  const shaped = write('Reshape', [flat, [...dims]])
  return scales ? write('Mul', [shaped, writeNumbers(write, scales.values, 'float32')]) : shaped
}

/**
 * Replaces what {@link unpacking} wrote by the tensors that it makes, in place.
 *
 * An index that does not fit its tensor is a UserError.
 */
export function readPacked(graph: Graph): void {
  const removed = new Set<Node>()
  const tensors = new Map<Value, Tensor>()
  const outputs = new Set(graph.outputs)
  // From the end: the last node of a tensor knows it all.
  for (const node of graph.nodes.toReversed()) {
    const read = node.domain === '' && !removed.has(node) ? roots[node.opType] : undefined
    const made = node.outputs[0]
    const found = made && read?.(node)
    if (!found || [...makersOf(node)].some((maker) => outputs.has(maker.output()))) continue
    const { packed, dims } = found
    const name = `packed tensor ${quote(made.name)}`
    if (!(sizeOf(dims) * (dataTypes[packed.dtype].bits / 8) <= largestDense))
      throw invalid(`${name} cannot be made dense: ${packed.dtype} [${dims.join(',')}]`)
    const tensor = denseOf(packed, dims)
    if (!tensor) throw invalid(`${name} has an index that does not fit its values`)
    tensors.set(made, tensor)
    for (const maker of makersOf(node)) removed.add(maker)
  }
  if (removed.size > 0) replace(graph, removed, tensors)
}

/** A tensor that operators make. */
interface Found {
  readonly packed: Packed
  readonly dims: readonly number[]
}

/** What makes a tensor, by the operator of the last node. */
const roots: Readonly<Record<string, (node: Node) => Found | undefined>> = {
  Reshape: (node) => readChannelwise(node) ?? readElementwise(node),
  Transpose: readChannelwise,
  Mul(node) {
    const shaped = node.inputs[0] && makerOf(node.input(0), 'Reshape')
    const found = shaped && readElementwise(shaped)
    const scales = found && readScales(node.input(1), found.dims)
    return scales && hasLevels(found.packed)
      ? { dims: found.dims, packed: { ...found.packed, scales } }
      : undefined
  },
}

function readChannelwise(node: Node): Found | undefined {
  const found = node.inputs[0] && readChannels(node.output())
  if (!found) return undefined
  const { values, dtype, axis, dims } = found
  return { packed: { layout: 'channels', values, dtype, axis }, dims }
}

function readElementwise(node: Node): Found | undefined {
  const [flat, shape] = node.inputs
  // Foreign Reshapes may have placeholders among their sizes.
  const dims = flat?.producer && sizesIn(shape)
  if (!dims) return undefined
  for (const layout of layoutNames) {
    const [index, from] = layouts[layout].read(flat, sizeOf(dims)) ?? []
    const read = from && readValues(from)
    if (index?.tensor && read) return { packed: { layout, index: index.tensor, ...read }, dims }
  }
  const read = readValues(flat)
  return read && { packed: { layout: 'whole', ...read }, dims }
}

/** Whether only levels are stored: a product of others with a constant is none of ours. */
function hasLevels({ values, dtype }: Packed): boolean {
  if (dtype !== 'float32') return false
  const stored = widened('codes' in values ? values.table : values, dtype)
  return stored !== undefined && elements(stored, dtype).every((level) => levels.has(level))
}

const levels: ReadonlySet<number> = new Set([-1, 0, 1])

/** Puts constants in the place of the nodes that made them, and forgets what only those used. */
function replace(graph: Graph, removed: Set<Node>, tensors: ReadonlyMap<Value, Tensor>): void {
  const used = new Set([...removed].flatMap((node) => node.inputs))
  const names = [...removed].flatMap(({ outputs }) => outputs.map((output) => output!.name))
  graph.retain((node) => !removed.has(node))
  for (const name of names) graph.freeName(name)
  for (const value of used)
    if (value?.tensor && value.users.size === 0 && !graph.inputs.includes(value)) {
      graph.initializers.delete(value)
      graph.freeName(value.name)
    }
  for (const [value, tensor] of [...tensors].toReversed()) {
    value.tensor = tensor
    value.type = { dtype: tensor.dtype, shape: tensor.dims }
    graph.initializers.add(value)
    graph.reserveName(value.name)
  }
}

/** A node and all before it. */
function* makersOf(node: Node): Generator<Node> {
  yield node
  for (const input of node.inputs) if (input?.producer) yield* makersOf(input.producer)
}

/** What a running sum along the first axis sums up. */
function sumOf(value: Value, users = 1): Value | undefined {
  const sum = makerOf(value, 'CumSum')
  const plain = sum?.number('exclusive', 0) === 0 && sum.number('reverse', 0) === 0
  if (!sum || !plain || !holds(sum.input(1), [0])) return undefined
  const summed = sum.input(0)
  return summed.users.size === users ? summed : undefined
}
