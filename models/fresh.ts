// New weights for a graph that exists: what each operator's weights are drawn from, as the reference architectures do.
import { random } from '../base/random.ts'
import { type Model, type Node, operatorOf, type Value } from '../onnx/graph.ts'
import { sizeOf, tensorOf } from '../onnx/tensor.ts'

/** How the elements of a weight begin. */
type Start =
  /** All the same. */
  | { readonly all: number }
  /** Normal, with this standard deviation. */
  | { readonly deviation: number }

/** Says how a weight of a node begins; undefined where it is not for this operator to say. */
type Rule = (dims: readonly number[], node: Node) => Start | undefined

const all = (value: number): Rule => {
  return () => ({ all: value })
}

/** Normal with a variance of 2 over the numbers that are summed up (He et al. 2015, equation 10). */
const he =
  (summed: (dims: readonly number[], node: Node) => number): Rule =>
  (dims, node) => ({ deviation: Math.sqrt(2 / Math.max(1, summed(dims, node))) })

/** Variance of 1 over the numbers that are summed up, for layers that end in a sigmoid (LeCun et al. 1998). */
const lecun =
  (summed: (dims: readonly number[]) => number): Rule =>
  (dims) => ({ deviation: Math.sqrt(1 / Math.max(1, summed(dims))) })

const recurrent: Readonly<Record<number, Rule>> = {
  1: lecun((dims) => dims[2] ?? 1),
  2: lecun((dims) => dims[2] ?? 1),
  3: all(0),
}
const scaleAndBias: Readonly<Record<number, Rule>> = { 1: all(1), 2: all(0) }

/** By operator, by input: how the constant there begins. What has no row keeps its content. */
const rules: Readonly<Record<string, Readonly<Record<number, Rule>>>> = {
  Conv: { 1: he((dims) => sizeOf(dims.slice(1))), 2: all(0) },
  ConvTranspose: {
    // Each output gets a share of the filter that its stride leaves.
    1: he((dims, node) => (dims[0]! * sizeOf(dims.slice(2))) / sizeOf(node.numbers('strides', []))),
    2: all(0),
  },
  Gemm: {
    1: he((dims, node) => dims[node.number('transB', 0) ? 1 : 0] ?? 1),
    2: all(0),
  },
  MatMul: { 0: he((dims) => dims.at(-1) ?? 1), 1: he((dims) => dims.at(-2) ?? 1) },
  BatchNormalization: { 1: all(1), 2: all(0), 3: all(0), 4: all(1) },
  InstanceNormalization: scaleAndBias,
  LayerNormalization: scaleAndBias,
  GroupNormalization: scaleAndBias,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  // Tables of embeddings (Devlin et al. 2018 draw them so).
  Gather: { 0: (dims) => (dims.length === 2 ? { deviation: 0.02 } : undefined) },
  PRelu: { 1: all(0.25) },
  Add: { 0: biasOf, 1: biasOf },
  Mul: { 0: scaleOf, 1: scaleOf },
}

const products: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'])

/** The operators that make the other inputs of a node. */
const beside = (node: Node): readonly Node[] =>
  node.inputs.flatMap((input) => (input?.producer ? [input.producer] : []))

/** A vector after a product is its bias, one after the scale of a normalisation that is written out its shift. */
function biasOf(_: readonly number[], node: Node): Start | undefined {
  const isBias = beside(node).some(
    (maker) => products.has(maker.opType) || (maker.opType === 'Mul' && isNormalised(maker)),
  )
  return isBias ? { all: 0 } : undefined
}

/** A vector after the division by a root is the scale of a normalisation that is written out. */
function scaleOf(_: readonly number[], node: Node): Start | undefined {
  return isNormalised(node) ? { all: 1 } : undefined
}

const isNormalised = (node: Node): boolean =>
  beside(node).some(
    (maker) => maker.opType === 'Div' && maker.inputs[1]?.producer?.opType === 'Sqrt',
  )

/**
 * Draws the weights of a graph anew, in place: float32 constants of more than one element that the table above knows.
 *
 * Everything else, as scales of inputs and grids of detectors, stays as it is. The same seed and names give the same
 * weights; a weight that several nodes use begins as the first of them wants it.
 */
export function initialise({ graph }: Model, seed: number): void {
  const done = new Set<Value>()
  for (const node of graph.nodes)
    for (const [input, rule] of Object.entries(rules[operatorOf(node)] ?? {})) {
      const value = node.inputs[Number(input)]
      if (value?.tensor?.dtype !== 'float32' || done.has(value)) continue
      const { dims, size } = value.tensor
      const start = size > 1 ? rule(dims, node) : undefined
      if (!start) continue
      done.add(value)
      const source = random(seed, 'weights', value.name)
      const next = 'all' in start ? () => start.all : () => start.deviation * source.normal()
      value.tensor = tensorOf('float32', dims, Float32Array.from({ length: size }, next))
    }
}
