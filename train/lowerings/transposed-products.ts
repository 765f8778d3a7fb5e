// Products of transposed matrices in one operator: ONNX Runtime's own fusion misses those whose transposition it has
// merged with another before.
import { build } from '../../onnx/build.ts'
import type { Graph, Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'

/** Lets a MatMul read a matrix as it is, and transpose it by the way, where its last two axes were swapped before. */
export function fuseTransposes(graph: Graph): void {
  for (const node of graph.nodes) {
    if (node.domain !== '' || node.opType !== 'MatMul') continue
    const [a, b] = [node.input(0), node.input(1)]
    const [left, right] = [swapped(a), swapped(b)]
    if (!left && !right) continue
    const product = build(graph, node).node('FusedMatMul', [left ?? a, right ?? b], {
      domain: 'com.microsoft',
      attributes: { alpha: 1, transA: left ? 1 : 0, transB: right ? 1 : 0 },
    })[0]!
    product.type = node.output().type
    graph.replaceUses(node.output(), product)
  }
  removeDeadNodes(graph)
}

/** What a value is, with its last two axes swapped. */
function swapped({ producer }: Value): Value | undefined {
  if (producer?.domain !== '' || producer.opType !== 'Transpose') return undefined
  const perm = producer.numbers('perm') ?? []
  const last = perm.length - 1
  const swaps = perm.every((axis, index) =>
    index < last - 1 ? axis === index : axis === 2 * last - 1 - index,
  )
  return last >= 1 && swaps ? producer.input(0) : undefined
}
