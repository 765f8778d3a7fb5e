// Tensors with many zeros, stored as their other elements and where those are: constants that a few standard operators
// turn into the dense tensor when a runtime opens the file and folds constants. In memory they are dense.
// (ONNX's own sparse initializers spend 64 bits on an index: with 32-bit elements they only get smaller than dense
// ones below a third of elements, and the layouts here stay below them.)
import { type Attributes, attributeOf, build, type Operand } from './build.ts'
import { Graph, type Model, Node, opsetOf, Value } from './graph.ts'
import { invalid, quote } from './invalid.ts'
import { byteLengthOf, dataTypes, numbers, sizeOf, Tensor, tensorOf } from './tensor.ts'
import type { TensorExtra } from './tensor-proto.ts'

/** What is stored of a tensor. */
export interface Packed {
  readonly layout: LayoutName
  /** uint8: where the values belong. */
  readonly index: Tensor
  /** `[count]`, of the tensor's own type. */
  readonly values: Tensor
}

/** Appends an operation and gives its output. */
type Write = (opType: string, inputs: readonly Operand[], attributes?: Attributes) => Value

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
  readonly write: (write: Write, index: Tensor, values: Tensor, size: number) => Value
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
  write(write, index, values, size) {
    const zero = new Tensor(values.dtype, [1], new Uint8Array(byteLengthOf(values.dtype, [1])))
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
    const index = steps && castOf(steps)
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
    const ones = reshape && holds(reshape.input(1), [-1]) && castOf(reshape.input(0))
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
  return packed ? packed.index.byteLength + packed.values.byteLength : tensor.byteLength
}

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
  const { dtype, dims, size } = tensor
  const width = dataTypes[dtype].bits / 8
  if (tensor.strings || !packable.has(dtype) || size * width < smallest) return undefined
  const offsets = offsetsOf(tensor.bytes, width)
  // Nothing to win, and the layouts take time.
  if (offsets.length > 0.98 * size) return undefined
  const candidates = layoutNames.map((layout): Packed => {
    const { before, encode } = layouts[layout]
    const { index, stored } = encode(offsets, size)
    const values = new Uint8Array((before + stored.length) * width)
    for (const [place, offset] of stored.entries())
      values.set(
        tensor.bytes.subarray(offset * width, (offset + 1) * width),
        (before + place) * width,
      )
    return { layout, index, values: new Tensor(dtype, [values.length / width], values) }
  })
  const bytes = ({ layout, index, values }: Packed) =>
    index.byteLength + values.byteLength + layouts[layout].overhead
  const packed = candidates.reduce((best, other) => (bytes(other) < bytes(best) ? other : best))
  if (bytes(packed) >= tensor.byteLength) return undefined
  return denseOf(packed, dims)
}

/** Below these bytes nothing can be won. */
const smallest = 1024

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

/** The tensor that is stored so; undefined where index and values do not fit each other and the shape. */
function denseOf(packed: Packed, dims: readonly number[]): Tensor | undefined {
  const { index, values } = packed
  const { before, decode } = layouts[packed.layout]
  const width = dataTypes[values.dtype].bits / 8
  const offsets = () => decode(index, values.size - before, sizeOf(dims))
  if (index.dtype !== 'uint8' || !packable.has(values.dtype) || !offsets()) return undefined
  if (values.bytes.subarray(0, before * width).some((byte) => byte !== 0)) return undefined
  const extra: TensorExtra = { form: 'packed', packed }
  const content = () => {
    const dense = new Uint8Array(byteLengthOf(values.dtype, dims))
    for (const [place, offset] of offsets()!.entries()) {
      const start = (before + place) * width
      dense.set(values.bytes.subarray(start, start + width), offset * width)
    }
    return dense
  }
  return new Tensor(values.dtype, dims, content, { extra })
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
  const { constant } = build(nodes)
  for (const { name, tensor } of found) {
    const { layout, index, values } = packedOf(tensor!)!
    const write: Write = (opType, inputs, attributes = {}) => {
      const made = inputs.map((input) => input !== undefined && constant(input, `${name}/constant`))
      const output = new Value(nodes.uniqueName(`${name}/${opType}`))
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
    const flat = layouts[layout].write(write, index, values, tensor!.size)
    write('Reshape', [flat, [...tensor!.dims]]).name = name
  }
  return nodes
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
  for (const reshape of graph.nodes) {
    const made = reshape.outputs[0]
    if (reshape.opType !== 'Reshape' || !made || outputs.has(made)) continue
    const [flat, shape] = reshape.inputs
    const dims = shape?.tensor?.dtype === 'int64' ? numbers(shape.tensor) : []
    // Foreign Reshapes may have placeholders among their sizes.
    if (!flat?.producer || dims.length === 0 || dims.some((size) => !(size > 0))) continue
    const packed = readLayout(flat, sizeOf(dims))
    if (!packed) continue
    const name = `packed tensor ${quote(made.name)}`
    if (!(sizeOf(dims) * (dataTypes[packed.values.dtype].bits / 8) <= largestDense))
      throw invalid(`${name} cannot be made dense: ${packed.values.dtype} [${dims.join(',')}]`)
    const tensor = denseOf(packed, dims)
    if (!tensor) throw invalid(`${name} has an index that does not fit its values`)
    tensors.set(made, tensor)
    for (const node of makersOf(reshape)) removed.add(node)
  }
  if (removed.size > 0) replace(graph, removed, tensors)
}

function readLayout(flat: Value, size: number): Packed | undefined {
  for (const layout of layoutNames) {
    const [index, values] = layouts[layout].read(flat, size)?.map(({ tensor }) => tensor) ?? []
    if (index && values) return { layout, index, values }
  }
  return undefined
}

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
  for (const [value, tensor] of tensors) {
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

/** The node of a standard operator that makes a value, if nothing but so many nodes of the layout uses it. */
function makerOf(value: Value, opType: string, users = 1): Node | undefined {
  const { producer } = value
  const fits = producer?.opType === opType && producer.domain === '' && value.users.size === users
  return fits ? producer : undefined
}

/** What a running sum along the first axis sums up. */
function sumOf(value: Value, users = 1): Value | undefined {
  const sum = makerOf(value, 'CumSum')
  const plain = sum?.number('exclusive', 0) === 0 && sum.number('reverse', 0) === 0
  if (!sum || !plain || !holds(sum.input(1), [0])) return undefined
  const summed = sum.input(0)
  return summed.users.size === users ? summed : undefined
}

/** What is cast to int32. */
function castOf(value: Value): Value | undefined {
  const cast = makerOf(value, 'Cast')
  return cast?.number('to') === int32Code ? cast.input(0) : undefined
}

/** Whether a constant has just these elements. */
function holds({ tensor }: Value, expected: readonly number[]): boolean {
  if (!tensor || (tensor.dtype !== 'int64' && tensor.dtype !== 'uint8')) return false
  const content = numbers(tensor)
  return (
    content.length === expected.length && content.every((item, index) => item === expected[index])
  )
}
