// Models exported for one sample hold its batch of 1 in the shapes that they reshape to.
import { constantOf, type Graph, type Node, type Value } from '../graph.ts'
import { elements, type Tensor, tensorOf } from '../tensor.ts'

/**
 * Lets Reshape nodes of a model for one sample keep any batch: `[1, 256]` becomes `[-1, 256]`, and `[1, -1]` becomes
 * `[0, -1]` where the first dimension of what is reshaped is stated to be 1.
 *
 * Outputs for one sample stay the same. Reshapes of weights, and those that nothing fed reaches, stay.
 */
export function freeBatch(graph: Graph): boolean {
  const fed = new Set<Value | undefined>(graph.feeds)
  let changed = false
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => input !== undefined && fed.has(input))) continue
    for (const output of node.outputs) if (output) fed.add(output)
    const shape = node.opType === 'Reshape' && node.domain === '' && constantOf(node.inputs[1])
    if (!shape || !fed.has(node.inputs[0])) continue
    const freed = freedShape(node, shape)
    if (!freed) continue
    node.setInput(1, graph.addInitializer(`${node.input(1).name}_free`, freed))
    changed = true
  }
  return changed
}

function freedShape(node: Node, shape: Tensor): Tensor | undefined {
  const [first, ...rest] = elements(shape, 'int64')
  if (first !== 1n) return undefined
  if (!rest.includes(-1n)) return tensorOf('int64', shape.dims, BigInt64Array.of(-1n, ...rest))
  const copies = node.number('allowzero', 0) === 0 && node.input(0).type?.shape?.[0] === 1
  return copies ? tensorOf('int64', shape.dims, BigInt64Array.of(0n, ...rest)) : undefined
}
