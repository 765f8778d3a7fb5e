// The weights of layers by output channel.
import { constantOf, type Graph, type Node, type Value } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { type MatrixLayer, matrixLayersOf, offsetOf } from '../../prune/matrix-layers.ts'

/** The layers whose weights may be changed, each weight once: no excluded node reads it. */
export function weightLayers(graph: Graph, excluded: ReadonlySet<Node>): MatrixLayer[] {
  const seen = new Set<Value>()
  return matrixLayersOf(graph).filter(({ weight }) => {
    const isOwn = weight.tensor && ![...weight.users].some((user) => excluded.has(user))
    if (!isOwn || seen.has(weight)) return false
    seen.add(weight)
    return true
  })
}

/** Replaces the weights of each output channel, in place, by what a function makes of them. */
export function mapChannels(
  { form, weight }: MatrixLayer,
  change: (values: Float32Array, channel: number) => Float32Array,
): void {
  const { groups, rows, columns } = form
  const tensor = constantOf(weight)!
  const values = elements(tensor, 'float32')
  const changed = new Float32Array(values.length)
  for (let group = 0; group < groups; group++)
    for (let row = 0; row < rows; row++) {
      const at = (column: number) => offsetOf(form, group, row, column)
      const own = Float32Array.from({ length: columns }, (_, column) => values[at(column)]!)
      const result = change(own, group * rows + row)
      for (let column = 0; column < columns; column++) changed[at(column)] = result[column]!
    }
  weight.tensor = tensorOf('float32', tensor.dims, changed)
}
