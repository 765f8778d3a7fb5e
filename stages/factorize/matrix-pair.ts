// A product with a constant matrix as two smaller products: x·W becomes (x·D)·E.
import type { Dense } from '../../base/linear-algebra.ts'
import { transposed } from '../../base/linear-algebra.ts'
import { type Graph, Node, Value } from '../../onnx/graph.ts'
import type { Cost, Factor, Ranks } from './method.ts'
import type { LinearUnit } from './units.ts'

/** What two products with `[inputs, rank]` and `[rank, outputs]` cost. */
export const pairCost =
  ({ inputs, outputs, rows }: LinearUnit) =>
  ([rank = 0]: Ranks): Cost => {
    const parameters = rank * (inputs + outputs)
    return { parameters, macs: rows * parameters }
  }

/** The factors as the file is to have them: stored the same way round as the old weight. */
export function pairFactors(unit: LinearUnit, left: Dense, right: Dense): Factor[] {
  const stored = ({ rows, columns, values }: Dense, suffix: string): Factor => ({
    suffix,
    dims: [rows, columns],
    values,
  })
  return [
    stored(unit.isTransposed ? transposed(left) : left, 'reduce'),
    stored(unit.isTransposed ? transposed(right) : right, 'expand'),
  ]
}

/**
 * Puts the first product before a node, which becomes the second: MatMul, or Gemm, which keeps alpha, beta and C.
 */
export const writePair =
  ({ input }: LinearUnit) =>
  (graph: Graph, node: Node, [reduce, expand]: readonly Value[]): void => {
    const data = node.input(1 - input)
    const inputs = input === 1 ? [data, reduce] : [reduce, data]
    const name = graph.uniqueName(`${node.name || node.opType}/reduce`)
    const between = new Value(graph.uniqueName(`${name}_output`))
    const transposes = [...node.attributes].filter(([key]) => key === 'transA' || key === 'transB')
    graph.add(new Node(node.opType, inputs, [between], { name, attributes: transposes }), node)
    node.setInput(1 - input, between)
    node.setInput(input, expand)
    // The first product has turned the data round already.
    node.attributes.delete(input === 1 ? 'transA' : 'transB')
  }
