// What constants say of a model before it is stored in fewer bits: that it is already, or that they are no numbers.
import { UserError } from '../../base/errors.ts'
import { type Float8Name, float8Formats } from '../../base/float8.ts'
import { allNodes, type Graph, type Node } from '../../onnx/graph.ts'
import { elements } from '../../onnx/tensor.ts'

/** Refuses constants that are no numbers, unless only excluded nodes read them. */
export function refuseNaN(graph: Graph, excluded: ReadonlySet<Node>, where: string): void {
  for (const each of [graph, ...[...allNodes(graph)].flatMap((node) => node.subgraphs)])
    for (const { name, tensor, users } of each.initializers) {
      if (tensor?.dtype !== 'float32' || [...users].every((node) => excluded.has(node))) continue
      const count = elements(tensor, 'float32').filter(Number.isNaN).length
      if (count > 0)
        throw new UserError(
          `${where}: the constant '${name}' has NaN: ${count} of ${tensor.size} numbers — repair the model, or exclude the nodes that use it`,
        )
    }
}

const smallFloats: ReadonlySet<string> = new Set<string>([
  'float16',
  'bfloat16',
  ...(Object.keys(float8Formats) as Float8Name[]),
])

/** A constant in fewer bits than float32 of a model that has most of its numbers in such; undefined for others. */
export function smallFloatOf(graph: Graph): { name: string; dtype: string } | undefined {
  let [small, single] = [0, 0]
  let found: { name: string; dtype: string } | undefined
  const count = (name: string, tensor: { dtype: string; size: number } | undefined) => {
    if (!tensor) return
    if (tensor.dtype === 'float32') single += tensor.size
    if (!smallFloats.has(tensor.dtype)) return
    small += tensor.size
    found ??= { name, dtype: tensor.dtype }
  }
  for (const each of [graph, ...[...allNodes(graph)].flatMap((node) => node.subgraphs)])
    for (const { name, tensor } of each.initializers) count(name, tensor)
  for (const { opType, attributes, outputs } of allNodes(graph)) {
    const value = opType === 'Constant' ? attributes.get('value') : undefined
    if (value?.type === 'tensor') count(outputs[0]?.name ?? '', value.value)
  }
  return small > single ? found : undefined
}
