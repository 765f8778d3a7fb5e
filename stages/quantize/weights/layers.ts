// The layers whose weights are stored in few bits: products with a matrix, and recurrences, which multiply what flows in
// and their state with one matrix each.
import type { Builder } from '../../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../../onnx/graph.ts'
import { layerName } from '../../../onnx/layers.ts'
import { type MatrixLayer, matrixLayersOf } from '../../prune/matrix-layers.ts'

/** A weight and the node that multiplies with it. */
export interface StoredLayer
  extends Pick<MatrixLayer, 'name' | 'node' | 'weight' | 'form' | 'axes' | 'data' | 'bias'> {
  /** The input of the node that the weight is. */
  readonly input: number
  /** Writes what the weight multiplies as `[groups, positions, columns]`; undefined where no value of the graph holds it. */
  readonly features: MatrixLayer['features'] | undefined
}

/** The layers of a graph, in order; a recurrence gives two. */
export function storedLayersOf(graph: Graph): StoredLayer[] {
  const matrices = new Map(matrixLayersOf(graph).map((layer) => [layer.node, layer]))
  return graph.nodes.flatMap((node) => {
    const layer = matrices.get(node)
    return layer ? [{ ...layer, input: 1 - layer.data }] : recurrentLayersOf(node)
  })
}

const recurrent: ReadonlySet<string> = new Set(['LSTM', 'GRU', 'RNN'])

/**
 * W `[directions, gates * hidden, inputs]` and R `[directions, gates * hidden, hidden]`, of which a row makes one gate of
 * one unit. Peepholes and biases are few numbers and stay what they are.
 *
 * Every step of the input is a position, also those behind the end of a shorter sequence; what R multiplies, the state of
 * every step, is inside the node.
 */
function recurrentLayersOf(node: Node): StoredLayer[] {
  if (node.domain !== '' || !recurrent.has(node.opType)) return []
  return [1, 2].flatMap((input) => {
    const tensor = constantOf(node.inputs[input])
    if (tensor?.dtype !== 'float32' || tensor.dims.length !== 3 || tensor.size === 0) return []
    const [directions, channels, columns] = tensor.dims as [number, number, number]
    const features = (g: Builder, x: Value) => g.Reshape(x, [1, -1, columns])
    return {
      ...{ name: layerName(node), node, weight: node.input(input), input, data: 0 },
      ...{ bias: undefined, features: input === 1 ? features : undefined },
      axes: { in: 2, out: 1 },
      form: {
        ...{ groups: 1, rows: directions * channels, columns },
        strides: { group: 0, row: columns, column: 1 },
      },
    }
  })
}
