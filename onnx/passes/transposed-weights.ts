// Transposes before a flattening: the layer behind it takes its inputs in another order, so its weights can instead.
import { constantOf, type Graph, type Node, type Value } from '../graph.ts'
import { permuted } from '../permute.ts'
import { numbers, sizeOf, Tensor } from '../tensor.ts'

/**
 * Takes away each Transpose that only a flattening to `[N, K]` reads, if what follows are products with constant
 * weights, and puts their rows into the order of what was transposed; true if there were any.
 *
 * Shapes of the values that are flattened must be stated. For models of opset 13 and newer.
 */
export function moveTransposesIntoWeights(graph: Graph): boolean {
  let changed = false
  for (const node of graph.nodes) if (move(graph, node)) changed = true
  return changed
}

function move(graph: Graph, node: Node): boolean {
  const before = node.inputs[0]?.producer
  const perm = before?.opType === 'Transpose' ? before.numbers('perm') : undefined
  const dims = node.inputs[0]?.type?.shape?.slice(1)
  const flattened = node.outputs[0]
  if (!before || !flattened || perm?.[0] !== 0 || !isFixed(dims)) return false
  if (perm.length !== dims.length + 1 || !perm.every((_, axis) => perm.includes(axis))) return false
  if (!isFlattening(node, sizeOf(dims)) || graph.outputs.includes(flattened)) return false
  const users = [...flattened.users]
  const weights = users.map((user) => weightOf(user, flattened, sizeOf(dims)))
  if (users.length === 0 || weights.includes(undefined)) return false

  // Row (i, j, …) of the weights was that of the transposed axes; it becomes that of the axes before.
  const back = perm.slice(1).map((_, axis) => perm.indexOf(axis + 1) - 1)
  for (const [index, user] of users.entries()) {
    const { name, tensor } = weights[index] as { name: string; tensor: Tensor }
    const inColumns = user.number('transB', 0) === 1
    const [first = 0, last = 0] = tensor.dims
    const shape = inColumns ? [first, ...dims] : [...dims, last]
    const order = inColumns ? [0, ...back.map((axis) => axis + 1)] : [...back, back.length]
    const moved = permuted(new Tensor(tensor.dtype, shape, tensor.bytes), order)
    const ordered = new Tensor(tensor.dtype, tensor.dims, moved.bytes)
    user.setInput(1, graph.addInitializer(name, ordered))
  }
  node.setInput(0, before.input(0))
  return true
}

const isFixed = (dims: readonly unknown[] | undefined): dims is readonly number[] =>
  dims?.every((dim) => typeof dim === 'number') ?? false

/** Whether a node makes `[N, K]` of `[N, …]`. */
function isFlattening(node: Node, size: number): boolean {
  if (node.opType === 'Flatten') return node.number('axis', 1) === 1
  if (node.opType !== 'Reshape' || node.number('allowzero', 0) === 1) return false
  const shape = constantOf(node.inputs[1])
  const [batch, width, ...more] = shape ? numbers(shape) : []
  const isBatch = batch === 0 || batch === -1
  return more.length === 0 && isBatch && (width === size || (width === -1 && batch === 0))
}

/** The constant `[K, outputs]` (or its transpose) that a product multiplies a value with. */
function weightOf(
  user: Node,
  value: Value,
  size: number,
): { readonly name: string; readonly tensor: Tensor } | undefined {
  const [x, weight, bias] = user.inputs
  const tensor = constantOf(weight)
  if (x !== value || bias === value || !weight || tensor?.dims.length !== 2) return undefined
  if (user.opType !== 'MatMul' && user.opType !== 'Gemm') return undefined
  if (user.number('transA', 0) === 1) return undefined
  const rows = tensor.dims[user.number('transB', 0) === 1 ? 1 : 0]
  return rows === size ? { name: weight.name, tensor } : undefined
}
