// Putting a chain of smaller operators in the place of a layer.
import { attributeOf } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node } from '../../onnx/graph.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import type { Built, Opened, Ranks } from './method.ts'
import type { Unit } from './units.ts'

/**
 * Replaces the nodes of a unit, in place, by the chain that a method makes of them at these ranks; the last operator
 * of each keeps the name and the output. The new weights are called after the old one.
 */
export function replaceUnit(graph: Graph, unit: Unit, opened: Opened, ranks: Ranks): Built {
  const built = opened.build(ranks)
  const factors = built.factors.map(({ suffix, dims, values }) =>
    graph.addInitializer(
      `${unit.weight.name}.${suffix}`,
      tensorOf('float32', dims, Float32Array.from(values)),
    ),
  )
  for (const node of unit.nodes) {
    if (built.shift) addToBias(graph, unit, node, built.shift)
    opened.write(graph, node, factors)
  }
  graph.initializers.delete(unit.weight)
  graph.freeName(unit.weight.name)
  return built
}

/** Whether all nodes of a unit have a bias, or a free place for one, that numbers can be added to. */
export const takesShift = (unit: Unit): boolean =>
  unit.opType !== 'MatMul' &&
  (unit.kind === 'conv' || unit.input === 1) &&
  unit.nodes.every((node) => {
    const bias = node.inputs[2]
    if (!bias) return true
    const tensor = constantOf(bias)
    return tensor?.dtype === 'float32' && node.number('beta', 1) === 1
  })

/** Adds one number for each output to what a node adds anyway; the old bias may have other users. */
function addToBias(graph: Graph, unit: Unit, node: Node, shift: readonly number[]): void {
  const old = node.inputs[2]
  const tensor = constantOf(old)
  // A Gemm's C may have a row for each row of x, or a single number for all.
  const dims = tensor && tensor.size >= shift.length ? tensor.dims : [shift.length]
  const before = tensor ? elements(tensor, 'float32') : new Float32Array(1)
  const size = dims.reduce((product, dim) => product * dim, 1)
  const values = Float32Array.from(
    { length: size },
    (_, index) => before[index % before.length]! + shift[index % shift.length]!,
  )
  const name = `${old?.name ?? `${unit.weight.name}.bias`}`
  node.setInput(2, graph.addInitializer(name, tensorOf('float32', dims, values)))
  if (node.opType === 'Gemm') node.attributes.set('beta', attributeOf('beta', 1))
  if (old && old.users.size === 0) graph.initializers.delete(old)
}
