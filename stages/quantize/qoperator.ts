// The operator form of a statically quantized graph: where an integer operator stands for what the pairs around a float
// operator mean, it is written instead. Operators without one stay float between their pairs.
import { type Attributes, attributeOf } from '../../onnx/build.ts'
import {
  constantOf,
  declareDomains,
  type Graph,
  type Model,
  Node,
  type Value,
} from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { quantizationRuleOf } from './operators.ts'

/** Integers with what they mean: values, scale and zero point. */
type Quantized = readonly [values: Value, scale: Value, zeroPoint: Value]

/** What an integer operator is made of. */
interface Parts {
  readonly node: Node
  /** The node's inputs that were dequantized. */
  readonly sources: readonly Quantized[]
  /** Scale and zero point of the output; undefined where that stays float. */
  readonly target: readonly [scale: Value, zeroPoint: Value] | undefined
  /** The integers of a bias. */
  readonly bias: Value | undefined
}

/** The integer operator of a float one. */
interface IntegerOperator {
  readonly opType: string
  readonly domain: string
  inputs(parts: Parts): readonly (Value | undefined)[]
  /** The one that gives float numbers, if there is one. */
  readonly toFloat?: IntegerOperator
  /** Attributes that it has beyond those of the float operator. */
  readonly attributes?: Attributes
  /** Attributes of the float operator that it knows; all unless told. */
  readonly keeps?: readonly string[]
  /** Whether it can be written for this node; always unless told. */
  supports?(node: Node): boolean
}

/** ONNX Runtime's own operators. */
const runtimeDomain = 'com.microsoft'

const sourcesThenTarget = ({ sources, target }: Parts) => [...sources.flat(), ...(target ?? [])]

const unary = (opType: string, rest: Partial<IntegerOperator> = {}): IntegerOperator => ({
  opType,
  domain: runtimeDomain,
  inputs: sourcesThenTarget,
  ...rest,
})

const binary = unary

const gemm: IntegerOperator = {
  opType: 'QGemm',
  domain: runtimeDomain,
  inputs: ({ sources, target, bias }) => [...sources.flat(), bias, ...(target ?? [])],
  // beta, which is 1 here, is no attribute of QGemm.
  keeps: ['transA', 'transB', 'alpha'],
}

/** The integer operators by float operator, tried one by one on ONNX Runtime 1.30. */
const integerOperators: Readonly<Record<string, IntegerOperator>> = {
  Conv: {
    opType: 'QLinearConv',
    domain: '',
    inputs: (parts) => [...sourcesThenTarget(parts), parts.bias],
  },
  MatMul: {
    opType: 'QLinearMatMul',
    domain: '',
    inputs: sourcesThenTarget,
    toFloat: {
      opType: 'MatMulIntegerToFloat',
      domain: runtimeDomain,
      // Values, scales and zero points of both, not one after the other.
      inputs: ({ sources }) => [0, 1, 2].flatMap((part) => sources.map((source) => source[part])),
    },
  },
  Gemm: { ...gemm, toFloat: gemm },
  Add: binary('QLinearAdd'),
  Mul: binary('QLinearMul'),
  Sigmoid: unary('QLinearSigmoid'),
  LeakyRelu: unary('QLinearLeakyRelu'),
  GlobalAveragePool: unary('QLinearGlobalAveragePool', { attributes: { channels_last: 0 } }),
  AveragePool: unary('QLinearAveragePool', {
    attributes: { channels_last: 0 },
    supports: (node) => node.numbers('dilations', []).every((dilation) => dilation === 1),
    keeps: ['auto_pad', 'ceil_mode', 'count_include_pad', 'kernel_shape', 'pads', 'strides'],
  }),
  Concat: {
    opType: 'QLinearConcat',
    domain: runtimeDomain,
    inputs: ({ sources, target }) => [...(target ?? []), ...sources.flat()],
  },
}

/** Writes integer operators in place of float ones between pairs of 8 bits, in place; gives how many there are. */
export function writeIntegerOperators(model: Model): number {
  const { graph } = model
  let written = 0
  for (const node of graph.nodes) {
    const rule = quantizationRuleOf(node)
    if (!rule || rule.kind === 'clipping') continue
    if (rule.kind === 'passing' ? moveIntegers(node) : replace(node)) written++
  }
  removeDeadNodes(graph)
  declareDomains(model)
  return written

  /** Lets an operator that moves elements move integers. */
  function moveIntegers(node: Node): boolean {
    const source = dequantizedFrom(node.inputs[0])
    const targets = node.outputs.map((output) => output && quantizedTo(graph, output))
    if (!source || targets.some((target) => target === undefined)) return false
    if (!targets.every((target) => sameMeaning(target!, source))) return false
    node.setInput(0, source[0])
    for (const [index, target] of targets.entries()) {
      const integers = target!.output()
      graph.remove(target!)
      target!.setOutput(0, undefined)
      node.setOutput(index, integers)
    }
    return true
  }

  function replace(node: Node): boolean {
    const quantizer = quantizedTo(graph, node.output())
    const operator = Object.hasOwn(integerOperators, node.opType)
      ? integerOperators[node.opType]
      : undefined
    const row = quantizer ? operator : operator?.toFloat
    if (!row || row.supports?.(node) === false) return false
    const isLayer = quantizationRuleOf(node)?.kind === 'layer'
    const read = (isLayer ? node.inputs.slice(0, 2) : node.inputs).map(dequantizedFrom)
    const sources = read.filter((source) => source !== undefined)
    const bias = isLayer ? node.inputs[2] : undefined
    const integers = bias && integersOf(bias)
    if (sources.length < read.length || (bias && !integers)) return false
    const target = quantizer && ([quantizer.input(1), quantizer.input(2)] as const)
    const inputs = [...row.inputs({ node, sources, target, bias: integers })]
    while (inputs.at(-1) === undefined) inputs.pop()
    const output = (quantizer ?? node).output()
    const kept = [...node.attributes].filter(([name]) => row.keeps?.includes(name) ?? true)
    const added = Object.entries(row.attributes ?? {}).map(
      ([name, value]) => [name, attributeOf(name, value)] as const,
    )
    const integer = new Node(row.opType, inputs, [], {
      name: node.name,
      domain: row.domain,
      attributes: [...kept, ...added],
    })
    graph.add(integer, node)
    for (const old of [node, quantizer]) {
      if (!old) continue
      graph.remove(old)
      old.setOutput(0, undefined)
    }
    integer.setOutput(0, output)
    return true
  }
}

/** The integers that a value was made of. */
function dequantizedFrom(value: Value | undefined): Quantized | undefined {
  const node = value?.producer
  if (node?.opType !== 'DequantizeLinear' || node.domain !== '' || !node.inputs[2]) return undefined
  return [node.input(0), node.input(1), node.input(2)]
}

/** The integers of a bias, whose scale is known from those of input and weights. */
function integersOf(value: Value): Value | undefined {
  const node = value.producer
  const integers = node?.opType === 'DequantizeLinear' ? node.inputs[0] : undefined
  return constantOf(integers)?.dtype === 'int32' ? integers : undefined
}

/** The node that quantizes a value which nothing else reads. */
function quantizedTo(graph: Graph, value: Value): Node | undefined {
  if (graph.outputs.includes(value)) return undefined
  const [user, ...others] = value.users
  if (user?.opType !== 'QuantizeLinear' || user.domain !== '' || others.length > 0) return undefined
  return user.input(0) === value && user.inputs[2] ? user : undefined
}

/** Whether a node quantizes to the integers that its source has: constants are stored once, so they are the same. */
const sameMeaning = (quantizer: Node, [, scale, zeroPoint]: Quantized): boolean =>
  quantizer.input(1) === scale && quantizer.input(2) === zeroPoint
