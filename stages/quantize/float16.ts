// Half precision: weights and what flows between the nodes become float16, in subgraphs too; the nodes that cannot or shall
// not, and the inputs and outputs unless told, stay float32, with Casts in between.
import { largestFloat16, toHalves } from '../../base/float16.ts'
import { allNodes, type Graph, type Node, type Value, type ValueType } from '../../onnx/graph.ts'
import { dataTypes, elements, Tensor } from '../../onnx/tensor.ts'
import { canBeHalf, inputIsHalf, mayBeClamped, outputIsHalf } from './float16-operators.ts'
import { orderedWriter } from './writer.ts'

/** The smallest positive float16, a subnormal number. */
const smallest = 2 ** -24

/** How a graph becomes float16. */
export interface Float16Conversion {
  /** The type of every tensor value; what is not there stays as it is. */
  readonly types: ReadonlyMap<Value, ValueType>
  /** Nodes that stay float32. */
  readonly excluded: ReadonlySet<Node>
  /** Whether the inputs and outputs of the graph stay float32. */
  readonly keepTypes: boolean
}

/** What became of a graph. */
export interface Float16Report {
  /** Nodes that compute in float16. */
  readonly half: number
  /** Nodes with float32 inputs or outputs that stayed float32. */
  readonly single: number
  /** Constants with numbers beyond float16 that were clamped, each with how many. */
  readonly clamped: ReadonlyMap<string, number>
  /** Constants with numbers beyond float16 whose nodes stayed float32, each with how many. */
  readonly beyond: ReadonlyMap<string, number>
}

/**
 * Rewrites a graph in place.
 *
 * Bodies of If, Loop and Scan take and give float32; what is inside is float16. A value is cast once, behind the node that
 * makes it, so that nodes stay in order; a constant that both sides use is stored twice.
 */
export function convertToFloat16(
  graph: Graph,
  { types, excluded, keepTypes }: Float16Conversion,
): Float16Report {
  const isFloat = (value: Value | undefined) =>
    value !== undefined && (value.tensor ?? types.get(value))?.dtype === 'float32'
  const isTensor = (value: Value | undefined) => !value || value.tensor || types.has(value)
  const concerned = [...allNodes(graph)].filter((node) =>
    [...node.inputs, ...node.outputs].some(isFloat),
  )
  const graphs = [graph, ...[...allNodes(graph)].flatMap((node) => node.subgraphs)]
  const large = largeConstants(graphs)
  const half = new Set(
    concerned.filter(
      (node) =>
        !excluded.has(node) &&
        canBeHalf(node) &&
        [...node.inputs, ...node.outputs].every(isTensor) &&
        (mayBeClamped(node) || !node.inputs.some((input) => input && large.has(input))),
    ),
  )
  const uses = (value: Value) =>
    [...value.users].flatMap((node) =>
      [...node.inputs.entries()].flatMap(([index, input]) =>
        input === value ? [{ node, index, half: half.has(node) && inputIsHalf(node, index) }] : [],
      ),
    )
  /** Gives the nodes that compute in float16, or the others, another value to read. */
  const redirect = (value: Value, replacement: Value, to: 'half' | 'single') => {
    for (const use of uses(value))
      if (use.half === (to === 'half')) use.node.setInput(use.index, replacement)
  }
  const outputs = new Set(graphs.flatMap((each) => each.outputs))
  const changes = (value: Value) => !keepTypes && graph.outputs.includes(value)

  const clamped = new Map<string, number>()
  const beyond = new Map<string, number>()
  const convert = (inner: Graph) => {
    const writer = orderedWriter(inner)
    const cast = (from: Value, to: Value, dtype: 'float16' | 'float32') =>
      writer.node('Cast', [from], to, { to: dataTypes[dtype].code })
    for (const value of [...inner.initializers].filter(isFloat)) {
      const users = uses(value)
      const count = large.get(value)
      if (count && users.some((use) => !use.half)) beyond.set(value.name, count)
      if (!users.some((use) => use.half)) continue
      const tensor = halfTensor(value.tensor as Tensor)
      if (count) clamped.set(value.name, count)
      if (users.every((use) => use.half) && !outputs.has(value)) {
        value.tensor = tensor
        value.type = { dtype: tensor.dtype, shape: tensor.dims }
      } else redirect(value, inner.addInitializer(value.name, tensor), 'half')
    }
    /** A float32 value, for the nodes that compute in float16. */
    const enter = (value: Value) => {
      if (!value.tensor && isFloat(value) && uses(value).some((use) => use.half))
        redirect(value, cast(value, writer.value('h'), 'float16'), 'half')
    }
    /** A float16 value, for the nodes that compute in float32. */
    const leave = (value: Value) => {
      if (!uses(value).some((use) => !use.half)) return
      const single = writer.value('s')
      redirect(value, single, 'single')
      cast(value, single, 'float32')
    }
    const become16 = (value: Value) => {
      value.type = { dtype: 'float16', shape: (value.type ?? types.get(value))?.shape }
    }
    for (const input of inner === graph ? graph.feeds : inner.inputs) {
      if (keepTypes || inner !== graph || !isFloat(input) || outputs.has(input)) enter(input)
      else {
        leave(input)
        become16(input)
      }
    }
    for (const node of inner.nodes) {
      writer.keep(node)
      for (const [index, output] of node.outputs.entries()) {
        if (!output || !isFloat(output)) continue
        const makesHalf = half.has(node) && outputIsHalf(node, index)
        if (changes(output)) {
          if (makesHalf) leave(output)
          else {
            const raw = writer.value('s')
            node.setOutput(index, raw)
            redirect(output, raw, 'single')
            cast(raw, output, 'float16')
          }
          become16(output)
        } else if (!makesHalf) {
          enter(output)
        } else if (outputs.has(output) || uses(output).some((use) => !use.half)) {
          // The name stays with the float32 value, for it may be the graph's output.
          const raw = writer.value('h')
          node.setOutput(index, raw)
          redirect(output, raw, 'half')
          cast(raw, output, 'float32')
        } else output.type = undefined
      }
    }
    writer.finish()
    for (const node of inner.nodes) for (const body of node.subgraphs) convert(body)
  }
  convert(graph)
  return { half: half.size, single: concerned.length - half.size, clamped, beyond }
}

/** The constants of float32 with finite numbers beyond float16, each with how many. */
function largeConstants(graphs: readonly Graph[]): ReadonlyMap<Value, number> {
  const large = new Map<Value, number>()
  for (const graph of graphs)
    for (const value of graph.initializers) {
      const { tensor } = value
      const count = tensor?.dtype === 'float32' ? countBeyond(tensor) : 0
      if (count > 0) large.set(value, count)
    }
  return large
}

/** How many finite numbers of a float32 tensor are beyond ±65504; infinities are meant as such (masks). */
export function countBeyond(tensor: Tensor): number {
  let count = 0
  for (const value of elements(tensor, 'float32'))
    if (Math.abs(value) > largestFloat16 && Number.isFinite(value)) count++
  return count
}

/**
 * A float32 tensor in float16: rounded to nearest, ties to even; finite numbers are clamped to ±65504, and what is not zero
 * does not become it, so that a small epsilon still keeps a divisor from zero.
 */
export function halfTensor(tensor: Tensor): Tensor {
  const values = Float32Array.from(elements(tensor, 'float32'), (value) => {
    const size = Math.abs(value)
    if (size > largestFloat16 && Number.isFinite(value)) return Math.sign(value) * largestFloat16
    return size < smallest ? Math.sign(value) * smallest : value
  })
  const halves = new Uint16Array(values.length)
  toHalves(values, halves)
  return new Tensor('float16', tensor.dims, new Uint8Array(halves.buffer))
}
