// Sizes that are known although others of the same value are not: what a graph picks of a Shape becomes a constant.
import { constantOf, type Graph, type Node } from '../graph.ts'
import { numbers, type Tensor, tensorOf } from '../tensor.ts'
import { becomeConstants } from './become-constants.ts'

/**
 * Replaces Gather and Slice of a Shape by constants of the same name where all the sizes that they pick are stated;
 * true if there were any. Types must hold for the model as it is (see `inferShapes` of runtime/).
 */
export function foldKnownSizes(graph: Graph): boolean {
  const known = new Map<Node, Tensor>()
  for (const node of graph.nodes) {
    const shape = node.inputs[0]?.producer
    if (node.domain !== '' || shape?.opType !== 'Shape' || shape.domain !== '') continue
    const dims = shape.input(0).type?.shape
    const [start, end] = [shape.number('start', 0), shape.number('end')]
    const picked = dims && pickers[node.opType]?.(node, dims.slice(start, end))
    if (picked && !graph.outputs.includes(node.output())) known.set(node, picked)
  }
  return becomeConstants(graph, known)
}

/** What an operator picks of a vector of sizes; undefined where one of them is not known. */
const pickers: Readonly<
  Record<string, (node: Node, sizes: readonly unknown[]) => Tensor | undefined>
> = {
  Gather(node, sizes) {
    const indices = constantOf(node.inputs[1])
    const picked = indices && numbers(indices).map((index) => sizes.at(index))
    return picked && areKnown(picked) ? tensorOf('int64', indices.dims, picked) : undefined
  },
  Slice(node, sizes) {
    const bounds = [1, 2].map((input) => constantOf(node.inputs[input]))
    const steps = node.inputs[4] ? constantOf(node.inputs[4]) : tensorOf('int64', [1], [1])
    if (!bounds[0] || !bounds[1] || !steps || numbers(steps)[0] !== 1) return undefined
    const picked = sizes.slice(numbers(bounds[0])[0], numbers(bounds[1])[0])
    return areKnown(picked) ? tensorOf('int64', [picked.length], picked) : undefined
  },
}

const areKnown = (sizes: readonly unknown[]): sizes is readonly number[] =>
  sizes.every((size) => typeof size === 'number')
