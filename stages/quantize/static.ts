// Static quantization: a float graph with known ranges becomes one with QuantizeLinear/DequantizeLinear pairs, 8-bit
// weights and int32 biases, which ONNX Runtime fuses into integer kernels.
import { type Attributes, attributeOf } from '../../onnx/build.ts'
import {
  constantOf,
  type Graph,
  type Model,
  type Node,
  opsetOf,
  type Value,
} from '../../onnx/graph.ts'
import { elements, numbers, tensorOf } from '../../onnx/tensor.ts'
import {
  type IntegerType,
  type Quantization,
  quantizationOf,
  quantizeValues,
  type Range,
} from './arithmetic.ts'
import { withBranches } from './branches.ts'
import { type LayerOptions, layerConstants, parametersOf, shareConstants } from './constants.ts'
import { keepFloatLayers } from './float-layers.ts'
import { extend } from './histogram.ts'
import { quantizationRuleOf } from './operators.ts'
import { activationsOf, type Placement } from './placement.ts'
import { orderedWriter } from './writer.ts'

/** The types of activations. */
export type ActivationType = Extract<IntegerType, 'uint8' | 'int8' | 'uint16' | 'int16'>

/** How numbers are stored. */
export interface StaticOptions extends LayerOptions {
  readonly activations: ActivationType
  readonly symmetricActivations: boolean
}

/** The values whose ranges have to be known. */
export const valuesToMeasure = ({ made, entering, rangeOf }: Placement): readonly Value[] => [
  ...new Set(
    [...entering, ...made]
      .map((value) => rangeOf.get(value) ?? value)
      .filter((value) => !constantOf(value)),
  ),
]

/** Since this opset QuantizeLinear has types of 16 bits; before, ONNX Runtime's own domain has it with them. */
const wideOpset = 21

/** Rewrites the graph and its branches in place; `measured` gives the range of every value of `valuesToMeasure`. */
export function quantizeGraph(
  model: Model,
  placement: Placement,
  measured: (value: Value) => Range,
  options: StaticOptions,
): void {
  const quantizations = quantizationsOf(placement, measured, options)
  // What flows into a branch has its final form by the time that the branch is written.
  for (const graph of withBranches(model.graph))
    quantizePart(model, graph, placement, quantizations, options)
}

function quantizePart(
  model: Model,
  graph: Graph,
  placement: Placement,
  quantizations: (value: Value) => Quantization,
  options: StaticOptions,
): void {
  mergeClippings(graph, placement)
  const add = shareConstants(graph)
  const constantsOf = layerConstants(graph, add, options)
  const { learned } = options
  const writer = orderedWriter(graph)
  const known = (value: Value) => knownQuantization(value, options.activations)
  const wide = options.activations.endsWith('16')
  const domain = wide && opsetOf(model) < wideOpset ? 'com.microsoft' : ''
  if (domain) model.opsets.set(domain, 1)

  const pair = (value: Value, output: Value, quantization: Quantization, bounds?: Range): Value => {
    const parameters = parametersOf(add, quantization)
    const ends = bounds && [bounds.min, bounds.max].map((end) => add('c', 'float32', [], [end]))
    const cut = ends ? writer.node('Clip', [value, ...ends], writer.value('c')) : value
    const quantized = writer.node(
      'QuantizeLinear',
      [cut, ...parameters],
      writer.value('q'),
      {},
      domain,
    )
    return writer.node('DequantizeLinear', [quantized, ...parameters], output, {}, domain)
  }
  /** Where the integers of a value that are used end, if not all are. */
  const boundsOf = (value: Value): Range | undefined =>
    learned?.bounds.get((placement.rangeOf.get(value) ?? value).name)
  /** What integer kernels read instead of a value that is made in float. */
  const entered = new Map<Value, Value>()
  const enter = (value: Value): void => {
    if (!placement.entering.has(value)) return
    const quantization = quantizations(value)
    const before = known(value) && value.producer
    if (before) {
      // What was integers before, in the type that is wanted, is what kernels read; they want one scale.
      if (before.input(1).tensor?.size === 1) return
      const inputs = [before.input(0), ...parametersOf(add, quantization)]
      entered.set(value, writer.node('DequantizeLinear', inputs, writer.value('d'), {}, domain))
      return
    }
    const constant = constantOf(value)
    const output = writer.value('d')
    if (constant) {
      const values = quantizeValues(elements(constant, 'float32'), quantization)
      const tensor = tensorOf(options.activations, constant.dims, values)
      const inputs = [graph.addInitializer(value.name, tensor), ...parametersOf(add, quantization)]
      entered.set(value, writer.node('DequantizeLinear', inputs, output, {}, domain))
    } else entered.set(value, pair(value, output, quantization, boundsOf(value)))
  }
  const quantizeLayer = (node: Node): void => {
    const { weights, bias, axis } = constantsOf(node, quantizations(node.input(0)).scale)
    const dequantize = (inputs: readonly Value[], attributes: Attributes) =>
      writer.node('DequantizeLinear', inputs, writer.value('d'), attributes)
    node.setInput(1, dequantize(weights, axis === undefined ? {} : { axis }))
    if (bias) node.setInput(2, dequantize(bias, axis === undefined ? {} : { axis: 0 }))
  }

  const given = [...graph.inputs, ...graph.initializers]
  for (const value of new Set([...given, ...takenFromAround(graph, given, placement)])) enter(value)
  for (const node of graph.nodes) {
    if (placement.nodes.has(node)) {
      const rule = quantizationRuleOf(node)
      if (rule?.kind === 'layer') quantizeLayer(node)
      for (const input of activationsOf(node)) exchange(node, input, entered.get(input))
      if (rule?.kind === 'clipping' && rule.kernel) become(node, rule.kernel)
    }
    writer.keep(node)
    for (const [index, output] of node.outputs.entries()) {
      if (!output) continue
      enter(output)
      if (!placement.made.has(output) || isQuantizedBehind(output)) continue
      // The name stays with what the users read, for it may be the graph's output.
      const raw = writer.value('r')
      node.setOutput(index, raw)
      pair(raw, output, quantizations(output), boundsOf(output))
    }
  }
  writer.finish()
  keepFloatLayers(graph, add)
}

/** The values that are made around a branch and read in it by integer kernels. */
function takenFromAround(
  graph: Graph,
  given: readonly Value[],
  { nodes }: Placement,
): readonly Value[] {
  const own = new Set([...given, ...graph.nodes.flatMap((node) => node.outputs)])
  const read = graph.nodes.filter((node) => nodes.has(node)).flatMap(activationsOf)
  return read.filter((value) => !own.has(value))
}

/** Leaves clipping to the quantization of what was clipped. */
function mergeClippings(graph: Graph, { merged }: Placement): void {
  for (const clipping of graph.nodes) {
    const maker = merged.get(clipping)
    if (!maker) continue
    const output = clipping.output()
    graph.remove(clipping)
    clipping.setOutput(0, undefined)
    maker.setOutput(0, output)
  }
}

/** How each value is stored: by its measured range, or its content where it is constant. */
function quantizationsOf(
  placement: Placement,
  measured: (value: Value) => Range,
  { activations, symmetricActivations, learned }: StaticOptions,
): (value: Value) => Quantization {
  const known = new Map<Value, Quantization>()
  return (value) => {
    const source = placement.rangeOf.get(value) ?? value
    const found = known.get(source) ?? learned?.activations.get(source.name)
    if (found) return found
    const already = knownQuantization(source, activations)
    if (already) return already
    const constant = constantOf(source)
    const nothing = { min: Infinity, max: -Infinity }
    const range = constant ? extend(nothing, elements(constant, 'float32')) : measured(source)
    const quantization = quantizationOf(range, activations, symmetricActivations)
    known.set(source, quantization)
    return quantization
  }
}

/** How a value was stored that another stage has dequantized from integers of a type. */
function knownQuantization(value: Value, dtype: ActivationType): Quantization | undefined {
  const node = value.producer
  if (node?.opType !== 'DequantizeLinear' || constantOf(node.inputs[0])) return undefined
  const [scale, zeroPoint] = [constantOf(node.inputs[1]), constantOf(node.inputs[2])]
  if (scale?.dtype !== 'float32' || zeroPoint?.dtype !== dtype) return undefined
  const [scales, zeros] = [numbers(scale), numbers(zeroPoint)]
  const uniform = [scales, zeros].every((all) => all.every((each) => each === all[0]))
  return uniform ? { dtype, scale: scales[0]!, zeroPoint: zeros[0]! } : undefined
}

/** Whether all that reads a value quantizes it, because another stage has put that there. */
const isQuantizedBehind = ({ users }: Value): boolean =>
  users.size > 0 && [...users].every(({ opType }) => opType === 'QuantizeLinear')

function exchange(node: Node, before: Value, after: Value | undefined): void {
  if (!after) return
  for (const [index, input] of node.inputs.entries())
    if (input === before) node.setInput(index, after)
}

/** Writes a node as another operator of one input. */
function become(
  node: Node,
  { opType, attributes }: { readonly opType: string; readonly attributes: Attributes },
): void {
  node.opType = opType
  node.truncateInputs(1)
  node.attributes.clear()
  for (const [name, value] of Object.entries(attributes))
    node.attributes.set(name, attributeOf(name, value))
}
