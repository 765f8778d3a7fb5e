// Constant folding: what depends on constants alone is computed once, by ONNX Runtime.

import { newModel } from '../onnx/build.ts'
import { randomOperators } from '../onnx/constant-nodes.ts'
import { type Graph, type Model, Node, opsetOf, Value } from '../onnx/graph.ts'
import { becomeConstant, becomeConstants } from '../onnx/passes/become-constants.ts'
import { byteLengthOf, type DataType, type Tensor, tensorOf } from '../onnx/tensor.ts'
import { withSession } from './session.ts'

/** Operators that are not folded: random ones, and those that keep weights quantized in the file. */
const left: ReadonlySet<string> = new Set([...randomOperators, 'DequantizeLinear'])

/** Types in which weights are stored in fewer bits, with a Cast behind that the runtime folds when it opens the file. */
const storageTypes: ReadonlySet<DataType> = new Set<DataType>([
  'float16',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint8',
  'uint4',
  'uint2',
])

const isStorage = ({ opType, inputs }: Node): boolean => {
  const dtype = opType === 'Cast' ? inputs[0]?.tensor?.dtype : undefined
  return dtype !== undefined && storageTypes.has(dtype)
}

/** A result larger than this is not stored, in bytes. */
const largestResult = 64 * 2 ** 20

/** A result larger than this, in bytes, … */
const largeResult = 64 * 2 ** 10

/** … and than so many times what it is made from is not stored: it is cheaper to make it than to keep it. */
const largestGrowth = 10

/**
 * Replaces the values that depend on constants alone by initializers of the same name; true if there were any.
 *
 * Shape and Size count as constants where the type of their input is fully known, so types must hold for the model as
 * it is (see `inferShapes`). Nodes that fail a test, subgraphs, graph outputs, DequantizeLinear and results that would blow up the file stay.
 */
export async function foldConstants(
  model: Model,
  where = 'model',
  test: (node: Node) => boolean = () => true,
): Promise<boolean> {
  const { graph } = model
  const changed = foldShapes(graph)
  const candidates = await withoutLarge(model, constantNodes(graph, test), where)
  const folded = new Set(candidates)
  const wanted = [...folded].flatMap((node) =>
    node.outputs.filter((output) => output && [...output.users].some((user) => !folded.has(user))),
  ) as Value[]
  if (wanted.length === 0) return changed
  const part = extract(model, candidates, wanted)
  const names = wanted.map((value) => value.name)
  const results = await withSession(part, { optimization: 'disabled', where }, (session) =>
    session.run({}, names),
  )
  graph.retain((node) => !folded.has(node))
  for (const value of wanted) becomeConstant(graph, value, results[value.name]!)
  return true
}

/** Computes Shape and Size of values whose dimensions are all known. */
function foldShapes(graph: Graph): boolean {
  const known = new Map<Node, Tensor>()
  for (const node of graph.nodes) {
    if (node.domain !== '' || (node.opType !== 'Shape' && node.opType !== 'Size')) continue
    const { type, tensor } = node.input(0)
    const shape = tensor?.dims ?? type?.shape
    if (!isFixed(shape) || graph.outputs.includes(node.output())) continue
    const dims = shape.slice(node.number('start', 0), node.number('end'))
    const size = shape.reduce((product, dim) => product * dim, 1)
    const isShape = node.opType === 'Shape'
    known.set(
      node,
      isShape ? tensorOf('int64', [dims.length], dims) : tensorOf('int64', [], [size]),
    )
  }
  return becomeConstants(graph, known)
}

const isFixed = (shape: readonly unknown[] | undefined): shape is readonly number[] =>
  shape?.every((dim) => typeof dim === 'number') ?? false

/** The nodes that depend on constants alone and pass a test, in order. */
function constantNodes(graph: Graph, test: (node: Node) => boolean): Node[] {
  const constant = new Set<Value | undefined>([undefined, ...graph.initializers])
  return graph.nodes.filter((node) => {
    const folds =
      node.domain === '' &&
      !left.has(node.opType) &&
      !isStorage(node) &&
      node.subgraphs.length === 0 &&
      // What is constant around a subgraph is constant in it.
      node.inputs.every((input) => input?.tensor !== undefined || constant.has(input)) &&
      !node.outputs.some((output) => output && graph.outputs.includes(output)) &&
      test(node)
    if (folds) for (const output of node.outputs) constant.add(output)
    return folds
  })
}

/** Leaves out nodes whose results are too large or no tensors, before anything is computed, and what needs them. */
async function withoutLarge(
  model: Model,
  nodes: readonly Node[],
  where: string,
): Promise<readonly Node[]> {
  if (nodes.length === 0) return nodes
  const outputs = nodes.flatMap((node) => node.outputs.filter((output) => output !== undefined))
  const part = extract(model, nodes, outputs)
  const bytes = new Map<string, number>()
  await withSession(part, { optimization: 'disabled', where }, async (session) => {
    // A size that only running tells is taken for a small one: shapes and indices are.
    for (const { name, dtype, shape } of session.outputs)
      bytes.set(name, isFixed(shape) ? byteLengthOf(dtype, shape) : 0)
  })
  const bytesOf = (value: Value | undefined) =>
    value?.tensor?.byteLength ?? (value && bytes.get(value.name)) ?? 0
  const candidates = new Set(nodes)
  return constantNodes(model.graph, (node) => {
    const made = node.outputs.filter((output) => output !== undefined)
    if (!candidates.has(node) || made.some((output) => !bytes.has(output.name))) return false
    const before = node.inputs.reduce((sum, input) => sum + bytesOf(input), 0)
    const after = made.reduce((sum, output) => sum + bytesOf(output), 0)
    // A Constant node holds what it gives.
    if (node.opType === 'Constant') return after <= largestResult
    return after <= largestResult && (after <= largeResult || after <= before * largestGrowth)
  })
}

/** A model of some nodes and the constants that they use. */
function extract(model: Model, nodes: readonly Node[], outputs: readonly Value[]): Model {
  const { model: part } = newModel('constants', opsetOf(model))
  part.irVersion = Math.max(part.irVersion, model.irVersion)
  const copies = new Map<Value, Value>()
  const copyOf = (value: Value | undefined) => {
    if (!value) return undefined
    const { name, tensor } = value
    const copy = copies.get(value) ?? new Value(name, tensor ? { tensor } : {})
    copies.set(value, copy)
    if (tensor) part.graph.initializers.add(copy)
    return copy
  }
  for (const { opType, name, attributes, inputs, outputs: made } of nodes)
    part.graph.add(new Node(opType, inputs.map(copyOf), made.map(copyOf), { name, attributes }))
  for (const output of outputs) part.graph.outputs.push(copyOf(output)!)
  return part
}
