// Activations that follow each other behind a convolution, of which ONNX Runtime's WebGPU provider computes the last one
// alone, quantized or not: something that changes nothing is put between them.
import { build } from '../../onnx/build.ts'
import type { Graph, Model, Node } from '../../onnx/graph.ts'
import { withBranches } from './branches.ts'

/** Activations that become a part of the convolution before them. */
const joining: ReadonlySet<string> = new Set([
  'Clip',
  'HardSigmoid',
  'LeakyRelu',
  'Relu',
  'Sigmoid',
  'Tanh',
])

const joins = ({ opType, domain }: Node): boolean => domain === '' && joining.has(opType)

/** The node that alone reads what a node makes; undefined where others see it, too. */
function onlyUser(graph: Graph, node: Node): Node | undefined {
  const [user, ...others] = node.output().users
  return others.length === 0 && !graph.outputs.includes(node.output()) ? user : undefined
}

/**
 * Parts activations behind convolutions, in branches of If as well, in place, by a Max of one input; gives how many pairs
 * there were.
 *
 * In ONNX Runtime 1.30, WebGPU's convolution takes in the activation behind it, and then, in its place, the one behind that
 * (measured on the software driver). Clip behind Relu is right, for those two become one first.
 */
export function partActivations(model: Model): number {
  let parted = 0
  for (const graph of withBranches(model.graph))
    for (const node of graph.nodes.filter(
      ({ opType, domain }) => opType === 'Conv' && domain === '',
    )) {
      let last = onlyUser(graph, node)
      while (last && joins(last)) {
        const next = onlyUser(graph, last)
        if (next && joins(next) && !(last.opType === 'Relu' && next.opType === 'Clip')) {
          next.setInput(0, build(graph, next).Max(last.output()))
          parted++
        }
        last = next
      }
    }
  return parted
}
