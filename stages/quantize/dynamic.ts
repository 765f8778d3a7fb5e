// Dynamic quantization: weights are stored in 8 bits, and activations are quantized at run time with the range that they
// then have. Input and output of every layer stay float.
import { type Builder, build } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { dataTypes, elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { quantizeWeights } from './arithmetic.ts'
import { shareConstants, type WeightOptions } from './constants.ts'
import { quantizationRuleOf } from './operators.ts'

/** The integer operator of a layer, and the form in which it takes the constants. */
interface IntegerForm {
  readonly opType: string
  readonly keepsAttributes: boolean
  /** The type of its weights where another may be wanted; 128 stands for 0 in unsigned ones. */
  dtype(wanted: WeightType): WeightType
  /** Weights in the order that it reads them in. */
  layOut(
    values: Int8Array,
    dims: readonly number[],
    transposed: boolean,
  ): { readonly values: Int8Array; readonly dims: readonly number[] }
  /** The shape in which numbers, one a channel, broadcast over the output. */
  broadcastDims(count: number, weights: Tensor): readonly number[]
}

type WeightType = DynamicOptions['dtype']

/** How weights are stored in dynamic quantization. */
export interface DynamicOptions extends WeightOptions {
  readonly dtype: 'int8' | 'uint8'
}

/** Not every version of ONNX Runtime has a ConvInteger for signed weights; unsigned ones they all take. */
const convolution: IntegerForm = {
  opType: 'ConvInteger',
  keepsAttributes: true,
  dtype: () => 'uint8',
  layOut: (values, dims) => ({ values, dims }),
  broadcastDims: (count, { dims }) => [count, ...dims.slice(2).map(() => 1)],
}

const matrix: IntegerForm = {
  opType: 'MatMulInteger',
  keepsAttributes: false,
  dtype: (wanted) => wanted,
  layOut(values, dims, transposed) {
    const [rows, columns] = dims as [number, number]
    if (!transposed) return { values, dims }
    const moved = values.map(
      (_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!,
    )
    return { values: moved, dims: [columns, rows] }
  },
  broadcastDims: (count) => [count],
}

/** What stands for 0. */
export const middleOf = { int8: 0, uint8: 128 } as const

/** Signed integers as a type has them. */
export const storedAs = (dtype: WeightType, dims: readonly number[], values: Int8Array): Tensor =>
  dtype === 'int8'
    ? tensorOf(dtype, dims, values)
    : tensorOf(
        dtype,
        dims,
        Uint8Array.from(values, (value) => value + middleOf.uint8),
      )

const forms: Readonly<Record<string, IntegerForm>> = {
  Conv: convolution,
  Gemm: matrix,
  MatMul: matrix,
}

/** What an integer operator reads in place of float weights. */
interface StoredWeights {
  readonly values: Value
  /** Undefined where it is 0, which need not be said. */
  readonly zeroPoint: Value | undefined
  /** One number a channel, or one, in a shape that broadcasts over the output. */
  readonly scale: Value
}

/** Rewrites the layers in place, in branches too, those in `excluded` excepted; gives how many there were. */
export function quantizeDynamically(
  graph: Graph,
  excluded: ReadonlySet<Node>,
  options: DynamicOptions,
): number {
  const inner = graph.nodes
    .flatMap(({ subgraphs }) => subgraphs)
    .map((subgraph) => quantizeDynamically(subgraph, excluded, options))
  const store = weightStore(graph, options)
  /** Each activation is quantized once, however many layers read it. */
  const activations = new Map<Value, readonly Value[]>()
  const layers = graph.nodes.filter((node) => !excluded.has(node) && isLayer(node))
  for (const node of layers) {
    const form = forms[node.opType]!
    const g = build(graph, node)
    const input = node.input(0)
    const activation =
      activations.get(input) ?? g.node('DynamicQuantizeLinear', [input], { outputs: 3 })
    activations.set(input, activation)
    const [data, inputScale, inputZero] = activation
    const { values, zeroPoint, scale } = store(node)
    const [products] = g.node(form.opType, [data, values, inputZero, zeroPoint], {
      inPlaceOf: node,
    })
    // Gemm's attributes are in its constants by now.
    if (form.keepsAttributes)
      for (const [name, attribute] of node.attributes)
        products?.producer?.attributes.set(name, attribute)
    const sum = g.Mul(g.Cast(products, { to: dataTypes.float32.code }), g.Mul(inputScale, scale))
    takeOver(graph, node, addBias(g, node, sum, form))
  }
  return inner.reduce((sum, count) => sum + count, layers.length)
}

function isLayer(node: Node): boolean {
  const rule = quantizationRuleOf(node)
  const weights = constantOf(node.inputs[1])
  if (!forms[node.opType] || rule?.kind !== 'layer' || weights?.dtype !== 'float32') return false
  const biasIsConstant = !node.inputs[2] || constantOf(node.inputs[2])?.dtype === 'float32'
  return biasIsConstant && rule.supports(node, weights)
}

function addBias(g: Builder, node: Node, sum: Value, form: IntegerForm): Value {
  const bias = constantOf(node.inputs[2])
  if (!bias) return sum
  const dims = form.broadcastDims(bias.size, constantOf(node.inputs[1])!)
  return g.Add(
    sum,
    g.constant(tensorOf('float32', dims, elements(bias, 'float32')), node.input(2).name),
  )
}

/** Lets what was written make the output of a node, which is removed. */
function takeOver(graph: Graph, node: Node, result: Value): void {
  const output = node.output()
  graph.remove(node)
  node.setOutput(0, undefined)
  result.producer?.setOutput(0, output)
}

/** Quantizes weights; nodes that share them share the result. */
function weightStore(
  graph: Graph,
  { weightBits, perChannel, dtype: wanted }: DynamicOptions,
): (node: Node) => StoredWeights {
  const add = shareConstants(graph)
  const known = new Map<string, Value>()
  return (node) => {
    const form = forms[node.opType]!
    const rule = quantizationRuleOf(node)
    const weights = constantOf(node.inputs[1])
    if (rule?.kind !== 'layer' || !weights) throw new Error(`internal: ${node.opType} is no layer`)
    const transposed = node.number('transB', 0) === 1
    const channelAxis = rule.channelAxis(node, weights)
    const axis = perChannel ? channelAxis : undefined
    const quantized = quantizeWeights(elements(weights, 'float32'), weights.dims, axis, weightBits)
    const { name } = node.input(1)
    const key = JSON.stringify([name, form.opType, transposed])
    const dtype = form.dtype(wanted)
    const laidOut = form.layOut(quantized.values, weights.dims, transposed)
    const values =
      known.get(key) ?? graph.addInitializer(name, storedAs(dtype, laidOut.dims, laidOut.values))
    known.set(key, values)
    const dims = axis === undefined ? [] : form.broadcastDims(quantized.scales.length, weights)
    return {
      values,
      zeroPoint: dtype === 'int8' ? undefined : add('z', dtype, [], [middleOf[dtype]]),
      scale: add('s', 'float32', dims, quantized.scales),
    }
  }
}
