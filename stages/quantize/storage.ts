// Constants stored in fewer bits of floating point, with a Cast to float32 behind each. ONNX Runtime computes that Cast once,
// when it opens the file, on every provider: the file is smaller, and the model runs as the float one does.
import { largestBfloat16, toBfloat16 } from '../../base/bfloat16.ts'
import { type Float8Name, float8Formats, largestFloat8, toFloat8 } from '../../base/float8.ts'
import { allNodes, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { layersOf } from '../../onnx/layers.ts'
import { dataTypes, elements, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { countBeyond, halfTensor } from './float16.ts'
import { quantizationRuleOf } from './operators.ts'
import { type OrderedWriter, orderedWriter } from './writer.ts'

/** A type that constants are stored in. */
export type StoredType = 'float16' | 'bfloat16' | Float8Name

/** Below this many elements the nodes take more bytes than they save. */
const fewest = 64

/** A float32 constant in fewer bits. */
interface Small {
  readonly tensor: Tensor
  /** What to multiply with after the Cast, of a shape that broadcasts. */
  readonly scale?: Tensor
}

/** How constants of a type are chosen and written. */
interface Storing {
  /** Which constants of a graph may be stored so. */
  chosen(graph: Graph): ReadonlySet<Value>
  /** The constant in fewer bits; undefined where the type cannot hold it. */
  encode(tensor: Tensor, axis: number | undefined): Small | undefined
}

/** Types of 16 bits hold any constant; those of 8 bits only weights, whose errors average out. */
const halves = (encode: (tensor: Tensor) => Tensor | undefined): Storing => ({
  chosen: ({ initializers }) => initializers,
  encode(tensor) {
    const small = encode(tensor)
    return small && { tensor: small }
  },
})

const eighths = (dtype: Float8Name): Storing => ({
  chosen: (graph) => new Set([...layersOf(graph).map(({ weight }) => weight), ...tablesOf(graph)]),
  encode: (tensor, axis) => float8Tensor(tensor, dtype, axis),
})

const storings: Readonly<Record<StoredType, Storing>> = {
  float16: halves((tensor) => (countBeyond(tensor) > 0 ? undefined : halfTensor(tensor))),
  bfloat16: halves(bfloat16Tensor),
  ...(Object.fromEntries(
    Object.keys(float8Formats).map((name) => [name, eighths(name as Float8Name)]),
  ) as Record<Float8Name, Storing>),
}

/** The constant tables that Gather looks rows up in: embeddings. */
const tablesOf = (graph: Graph): Value[] =>
  graph.nodes.flatMap((node) => {
    const table = node.opType === 'Gather' && node.domain === '' ? node.inputs[0] : undefined
    return table?.tensor && table.tensor.dims.length > 1 ? [table] : []
  })

/** What became of the constants. */
export interface StorageReport {
  /** Constants that are stored in fewer bits now. */
  readonly stored: number
  /** Names of constants with numbers that the type cannot hold; they stay float32. */
  readonly beyond: readonly string[]
}

/**
 * Stores float32 constants of a graph and its subgraphs in another type, in place.
 *
 * What excluded nodes read, small constants and outputs stay. With `perChannel`, 8-bit floats get a scale for each output
 * channel, else one for the tensor; scales are powers of two, so that they add no error.
 */
export function storeConstants(
  graph: Graph,
  excluded: ReadonlySet<Node>,
  { dtype, perChannel }: { readonly dtype: StoredType; readonly perChannel: boolean },
): StorageReport {
  const { chosen, encode } = storings[dtype]
  const graphs = [graph, ...[...allNodes(graph)].flatMap((node) => node.subgraphs)]
  const wanted = new Set(graphs.flatMap((each) => [...chosen(each)]))
  const outputs = new Set(graphs.flatMap((each) => each.outputs))
  const beyond: string[] = []
  let stored = 0
  for (const each of graphs) {
    const writer = orderedWriter(each)
    for (const value of [...each.initializers]) {
      const { tensor, users } = value
      if (tensor?.dtype !== 'float32' || tensor.size < fewest || !wanted.has(value)) continue
      if (outputs.has(value) || [...users].some((node) => excluded.has(node))) continue
      const small = encode(tensor, perChannel ? channelAxis(value) : undefined)
      if (small) {
        restore(each, writer, value, small)
        stored++
      } else beyond.push(value.name)
    }
    for (const node of each.nodes) writer.keep(node)
    writer.finish()
  }
  return { stored, beyond }
}

/** The axis of the output channels of a weight; undefined where its users disagree or have none. */
function channelAxis(weight: Value): number | undefined {
  const axes = [...weight.users].map((node) => {
    const rule = quantizationRuleOf(node)
    const isWeight = node.inputs[1] === weight && node.inputs[0] !== weight
    return rule?.kind === 'layer' && isWeight
      ? rule.channelAxis(node, weight.tensor as Tensor)
      : undefined
  })
  return axes.every((axis) => axis === axes[0]) ? axes[0] : undefined
}

/** Puts a small constant in the place of a large one, and nodes behind it that make the value. */
function restore(graph: Graph, writer: OrderedWriter, value: Value, { tensor, scale }: Small) {
  const users = [...value.users].flatMap((node) =>
    [...node.inputs.entries()].flatMap(([index, input]) =>
      input === value ? [{ node, index }] : [],
    ),
  )
  value.tensor = tensor
  value.type = { dtype: tensor.dtype, shape: tensor.dims }
  const float = writer.node('Cast', [value], writer.value('w'), { to: dataTypes.float32.code })
  const restored = scale
    ? writer.node(
        'Mul',
        [float, graph.addInitializer(`${value.name}_scale`, scale)],
        writer.value('w'),
      )
    : float
  for (const { node, index } of users) node.setInput(index, restored)
}

/** A float32 tensor in bfloat16; finite numbers stay finite. */
function bfloat16Tensor(tensor: Tensor): Tensor {
  const values = Float32Array.from(elements(tensor, 'float32'), (value) =>
    Number.isFinite(value) ? Math.max(-largestBfloat16, Math.min(largestBfloat16, value)) : value,
  )
  const patterns = new Uint16Array(values.length)
  toBfloat16(values, patterns)
  return tensorOf('bfloat16', tensor.dims, patterns)
}

/**
 * A float32 tensor in 8-bit floats, each slice along an axis (or the whole) divided by the power of two that brings its
 * largest number to the upper end; undefined where it has infinities.
 */
export function float8Tensor(
  tensor: Tensor,
  dtype: Float8Name,
  axis: number | undefined,
): Small | undefined {
  const { dims } = tensor
  const values = Float32Array.from(elements(tensor, 'float32'))
  const channels = axis === undefined ? 1 : dims[axis]!
  const inner = axis === undefined ? values.length : dims.slice(axis + 1).reduce((a, b) => a * b, 1)
  const channelOf = (index: number) => Math.floor(index / inner) % channels
  const largest = new Float32Array(channels)
  for (const [index, value] of values.entries()) {
    const channel = channelOf(index)
    largest[channel] = Math.max(largest[channel]!, Math.abs(value))
  }
  if (!largest.every(Number.isFinite)) return undefined
  const scales = largest.map((size) => scaleFor(size, dtype))
  for (const index of values.keys()) values[index] = values[index]! / scales[channelOf(index)]!
  const patterns = new Uint8Array(values.length)
  toFloat8(values, dtype, patterns)
  const small = new Tensor(dtype, dims, patterns)
  if (scales.every((scale) => scale === 1)) return { tensor: small }
  const shape = axis === undefined ? [] : dims.map((dim, place) => (place === axis ? dim : 1))
  return { tensor: small, scale: tensorOf('float32', shape, scales) }
}

/** The smallest power of two that brings a size into a format; 1 for zero. */
function scaleFor(size: number, dtype: Float8Name): number {
  if (size === 0) return 1
  const ratio = size / largestFloat8(dtype)
  const exponent = Math.floor(Math.log2(ratio))
  const scale = 2 ** Math.max(exponent, -125)
  // The logarithm of a power of two need not be exact.
  return scale < ratio ? 2 * scale : scale
}
