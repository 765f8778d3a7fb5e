// Static quantization: a float graph with known ranges becomes one with QuantizeLinear/DequantizeLinear pairs, 8-bit
// weights and int32 biases, which ONNX Runtime fuses into integer kernels.
import { type Attributes, attributeOf } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import {
  type ActivationType,
  type Quantization,
  quantizationOf,
  quantizeValues,
  type Range,
} from './arithmetic.ts'
import { layerConstants, parametersOf, shareConstants, type WeightOptions } from './constants.ts'
import { extend } from './histogram.ts'
import { quantizationRuleOf } from './operators.ts'
import { activationsOf, type Placement } from './placement.ts'
import { orderedWriter } from './writer.ts'

/** How numbers are stored. */
export interface StaticOptions extends WeightOptions {
  readonly activations: ActivationType
}

/** The values whose ranges have to be known. */
export const valuesToMeasure = ({ made, entering, rangeOf }: Placement): readonly Value[] => [
  ...new Set(
    [...entering, ...made]
      .map((value) => rangeOf.get(value) ?? value)
      .filter((value) => !constantOf(value)),
  ),
]

/** Rewrites the graph in place; `measured` gives the range of every value of `valuesToMeasure`. */
export function quantizeGraph(
  graph: Graph,
  placement: Placement,
  measured: (value: Value) => Range,
  options: StaticOptions,
): void {
  mergeClippings(graph, placement)
  const add = shareConstants(graph)
  const constantsOf = layerConstants(graph, add, options)
  const quantizations = quantizationsOf(placement, measured, options.activations)
  const writer = orderedWriter(graph)

  const pair = (value: Value, output: Value, quantization: Quantization): Value => {
    const parameters = parametersOf(add, quantization)
    const quantized = writer.node('QuantizeLinear', [value, ...parameters], writer.value('q'))
    return writer.node('DequantizeLinear', [quantized, ...parameters], output)
  }
  /** What integer kernels read instead of a value that is made in float. */
  const entered = new Map<Value, Value>()
  const enter = (value: Value): void => {
    if (!placement.entering.has(value)) return
    const quantization = quantizations(value)
    const constant = constantOf(value)
    const output = writer.value('d')
    if (constant) {
      const values = quantizeValues(elements(constant, 'float32'), quantization)
      const tensor = tensorOf(quantization.dtype, constant.dims, values)
      const inputs = [graph.addInitializer(value.name, tensor), ...parametersOf(add, quantization)]
      entered.set(value, writer.node('DequantizeLinear', inputs, output))
    } else entered.set(value, pair(value, output, quantization))
  }
  const quantizeLayer = (node: Node): void => {
    const { weights, bias, axis } = constantsOf(node, quantizations(node.input(0)).scale)
    const dequantize = (inputs: readonly Value[], attributes: Attributes) =>
      writer.node('DequantizeLinear', inputs, writer.value('d'), attributes)
    node.setInput(1, dequantize(weights, axis === undefined ? {} : { axis }))
    if (bias) node.setInput(2, dequantize(bias, axis === undefined ? {} : { axis: 0 }))
  }

  for (const value of [...graph.inputs, ...graph.initializers]) enter(value)
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
      if (!placement.made.has(output)) continue
      // The name stays with what the users read, for it may be the graph's output.
      const raw = writer.value('r')
      node.setOutput(index, raw)
      pair(raw, output, quantizations(output))
    }
  }
  writer.finish()
}

/** Leaves clipping to the quantization of what was clipped. */
function mergeClippings(graph: Graph, { merged }: Placement): void {
  for (const [clipping, maker] of merged) {
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
  dtype: ActivationType,
): (value: Value) => Quantization {
  const known = new Map<Value, Quantization>()
  return (value) => {
    const source = placement.rangeOf.get(value) ?? value
    const found = known.get(source)
    if (found) return found
    const constant = constantOf(source)
    const nothing = { min: Infinity, max: -Infinity }
    const range = constant ? extend(nothing, elements(constant, 'float32')) : measured(source)
    const quantization = quantizationOf(range, dtype)
    known.set(source, quantization)
    return quantization
  }
}

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
