// Layers that are a product with a matrix, `y = x W + b`, and what x and y are of convolutions: every output is the sum
// over what its window of the input holds. Statistics of x and y are all that least squares need.
import type { Attributes, Builder } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { type Layer, layersOf } from '../../onnx/layers.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { matricesOf } from './structures/matrix.ts'

/** How the elements of a weight form matrices: one for each group of a convolution, `[rows, columns]`. */
export interface MatrixForm {
  readonly groups: number
  /** Outputs of a group. */
  readonly rows: number
  /** Inputs of a group, those of a convolution's window included. */
  readonly columns: number
  /** Steps in the weight from one group, row and column to the next. */
  readonly strides: { readonly group: number; readonly row: number; readonly column: number }
}

/** A layer as a matrix. */
export interface MatrixLayer {
  readonly name: string
  readonly node: Node
  readonly weight: Value
  readonly form: MatrixForm
  /** The axes of the weight that inputs and outputs are along. */
  readonly axes: { readonly in: number; readonly out: number }
  /** The input that flows. */
  readonly data: number
  /** The input that holds one constant number for each output; undefined where there is none. */
  readonly bias: number | undefined
  /** Writes the input as `[groups, positions, columns]`. */
  features(g: Builder, x: Value): Value
  /** Writes the output, of as many rows, as `[groups, positions, rows]`. */
  results(g: Builder, y: Value, rows: number): Value
}

/** The layers of a graph that are matrices of float32, each node once. */
export const matrixLayersOf = (graph: Graph): MatrixLayer[] =>
  layersOf(graph).flatMap((layer) => {
    const { name, node, weight } = layer
    const tensor = constantOf(weight)
    if (node.domain !== '' || tensor?.dtype !== 'float32') return []
    const kind = kinds[node.opType]
    if (!kind) return []
    const form = formOf(layer, tensor.dims)
    const found = kind(layer, form, tensor.dims)
    return found ? [{ name, node, weight, form, ...found }] : []
  })

/** The matrices of a weight with the window of a convolution among the inputs. */
function formOf(layer: Layer, dims: readonly number[]): MatrixForm {
  const { count, rows, columns, kernel, steps } = matricesOf(layer, dims)
  return {
    ...{ groups: count, rows, columns: columns * kernel },
    strides: {
      group: steps.matrix,
      row: steps.row,
      column: kernel > 1 ? steps.position : steps.column,
    },
  }
}

type Kind = (
  layer: Layer,
  form: MatrixForm,
  dims: readonly number[],
) => Omit<MatrixLayer, 'name' | 'node' | 'weight' | 'form'> | undefined

/** W `[M, C / group, …kernel]`. */
const convolution: Kind = ({ node }, { groups, rows, columns }, [, taken = 0, ...kernel]) => ({
  axes: { in: 1, out: 0 },
  data: 0,
  bias: vectorAt(node, 2, groups * rows),
  features: (g, x) => inRows(g, unfold(g, x, node, taken * groups, kernel), groups, columns),
  results: (g, y, count) => inRows(g, y, groups, count),
})

/** B `[K, N]`, or `[N, K]` where it is transposed. Scaled products are left alone. */
const gemm: Kind = ({ node, input }, { rows, columns }) => {
  if (input !== 1 || node.number('alpha', 1) !== 1 || node.number('beta', 1) !== 1) return undefined
  const bias = vectorAt(node, 2, rows)
  if (node.inputs[2] && bias === undefined) return undefined
  return {
    axes: node.number('transB', 0) !== 0 ? { in: 1, out: 0 } : { in: 0, out: 1 },
    data: 0,
    bias,
    features: (g, x) =>
      g.Reshape(node.number('transA', 0) ? g.Transpose(x, { perm: [1, 0] }) : x, [1, -1, columns]),
    results: (g, y, count) => g.Reshape(y, [1, -1, count]),
  }
}

/** Either side `[K, N]` or `[M, K]`; batches of matrices are left alone. */
const matMul: Kind = ({ input }, { columns }, { length }) => {
  if (length !== 2) return undefined
  // A matrix on the left side works along the columns of what flows.
  const upright = (g: Builder, value: Value) =>
    input === 1 ? value : g.Einsum(value, { equation: '...kn->...nk' })
  return {
    axes: input === 1 ? { in: 0, out: 1 } : { in: 1, out: 0 },
    data: 1 - input,
    bias: undefined,
    features: (g, x) => g.Reshape(upright(g, x), [1, -1, columns]),
    results: (g, y, count) => g.Reshape(upright(g, y), [1, -1, count]),
  }
}

const kinds: Readonly<Record<string, Kind>> = { Conv: convolution, Gemm: gemm, MatMul: matMul }

/** The place of a constant vector among the inputs, where it is one. */
function vectorAt(node: Node, input: number, length: number): number | undefined {
  const tensor = constantOf(node.inputs[input])
  return tensor?.dtype === 'float32' && tensor.size === length ? input : undefined
}

/** `[N, groups * width, …positions]` as `[groups, N * positions, width]`. */
const inRows = (g: Builder, value: Value, groups: number, width: number): Value =>
  g.Reshape(g.Transpose(g.Reshape(value, [0, groups, width, -1]), { perm: [1, 0, 3, 2] }), [
    groups,
    -1,
    width,
  ])

/** Writes what the window holds at every position: `[N, C * window, …positions]`, by a filter of its own for each. */
function unfold(
  g: Builder,
  x: Value,
  node: Node,
  channels: number,
  kernel: readonly number[],
): Value {
  const window = kernel.reduce((product, size) => product * size, 1)
  const picks = new Float32Array(channels * window * window)
  for (let channel = 0; channel < channels; channel++)
    for (let place = 0; place < window; place++)
      picks[(channel * window + place) * window + place] = 1
  const filters = g.constant(tensorOf('float32', [channels * window, 1, ...kernel], picks), 'picks')
  const attributes: Record<string, Attributes[string]> = { group: channels }
  for (const name of ['strides', 'pads', 'dilations', 'kernel_shape']) {
    const values = node.numbers(name)
    if (values) attributes[name] = values
  }
  const padding = node.string('auto_pad', '')
  if (padding) attributes.auto_pad = padding
  return g.Conv(x, filters, attributes)
}

/** Where an element of a weight is: its group, output and input. */
export const offsetOf = (
  { strides }: MatrixForm,
  group: number,
  row: number,
  column: number,
): number => group * strides.group + row * strides.row + column * strides.column
