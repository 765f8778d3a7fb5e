// What goes into logarithms: to them 1e-10 is as good a number as 1, so that neither float16, in which it is zero, nor steps
// of equal size can stand for it. Spectra are such powers, with a small number added that keeps them from zero.
import { allNodes, type Graph, type Node } from '../../onnx/graph.ts'
import { quantizationRuleOf } from './operators.ts'

/** Operators that compute element by element, sum up or move, so that small numbers go through them as such. */
const light: ReadonlySet<string> = new Set([
  ...['Abs', 'Add', 'Clip', 'Div', 'Log', 'Max', 'Min', 'Mul', 'Neg', 'Pow', 'Sqrt', 'Sub', 'Sum'],
  ...['ReduceL2', 'ReduceMean', 'ReduceSum', 'ReduceSumSquare'],
  ...['Concat', 'Expand', 'Flatten', 'Gather', 'Identity', 'Pad', 'Reshape', 'Slice', 'Split'],
  ...['Squeeze', 'Transpose', 'Unsqueeze'],
])

const isLight = ({ opType, domain }: Node): boolean => domain === '' && light.has(opType)

const isLayer = (node: Node): boolean => quantizationRuleOf(node)?.kind === 'layer'

/** Logarithms, and what is computed for them behind the last layers. */
export const nodesOfLogarithms = (graph: Graph): ReadonlySet<Node> => before(graph, isLight)

/** The layers that logarithms read, if only by way of light operators and other such layers. */
export const layersOfLogarithms = (graph: Graph): readonly Node[] =>
  [...before(graph, (node) => isLight(node) || isLayer(node))].filter(isLayer)

/** Logarithms and what leads to them over nodes that pass a test. */
function before(graph: Graph, test: (node: Node) => boolean): ReadonlySet<Node> {
  const found = new Set<Node>()
  const pending = [...allNodes(graph)].filter(({ opType }) => opType === 'Log')
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (found.has(node) || !test(node)) continue
    found.add(node)
    for (const input of node.inputs) if (input?.producer) pending.push(input.producer)
  }
  return found
}
