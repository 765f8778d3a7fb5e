// A model as measuring processes ask it for gradients: in float32, with a batch that its memory bears, and with the gradient
// of one number a sample as its only output.
import { Float16Array } from '@petamoriken/float16'
import { UserError } from '../../base/errors.ts'
import { lengthOf, type Samples } from '../../base/samples.ts'
import { build } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { withoutClosing } from '../../onnx/closing.ts'
import type { Graph, Model, Node } from '../../onnx/graph.ts'
import { writeOutPackedProducts } from '../../onnx/packed-product.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { dataTypes, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { bindInputs, freeDims } from '../../runtime/bind.ts'
import type { ValueInfo } from '../../runtime/session.ts'
import { withInputGradient } from '../../train/input-gradient.ts'

/** Of what gradients are taken: the largest logit of a sample, or the cross-entropy with its label. */
export type GradientOf = 'largest' | 'cross-entropy'

/** Numbers that are fed in one run at most: a backward pass keeps all activations. */
const largestFeed = 2 ** 17

/** Samples a run at most. */
const mostSamples = 64

/** Operators whose results are integers, through which no gradient passes. */
const rounds = ({ opType, domain }: Node): boolean =>
  /^(Dynamic)?QuantizeLinear$|^QLinear|Integer(ToFloat)?$/.test(opType) ||
  (domain === 'com.microsoft' && /^(Q[A-Z]|DynamicQuantize)/.test(opType))

/** What gradients are taken with. */
export interface GradientSettings {
  readonly of: GradientOf
  /**
   * What logits are divided by first: the cross-entropy of very sure answers has a gradient of zeros in float32, which looks
   * like robustness (Carlini and Wagner 2017, section IV-D).
   */
  readonly temperature: number
  /** The inputs of the model as its session has them. */
  readonly inputs: readonly ValueInfo[]
  readonly samples: Samples
  /** The column that the gradient is taken by. */
  readonly column: number
  readonly classes: number
  readonly where: string
}

/**
 * A model whose only output is the gradient, for each sample, by the input that reads a column.
 *
 * Labels, where they are needed, are its last input. Models of float16 are taken in float32, weights in few bits as the
 * floats that they stand for. A model that computes in
 * integers, that carries state, or that does not read the column as floats, is a {@link UserError}.
 */
export async function gradientModel(
  model: Model,
  { of, temperature, inputs, samples, column, classes, where }: GradientSettings,
): Promise<Model> {
  if (model.graph.nodes.some(rounds))
    throw new UserError('it is quantized: no gradient passes through integers')
  const binding = bindInputs(inputs, samples, where)
  if (binding.carried.length > 0)
    throw new UserError('it carries state from one chunk of a sample to the next')
  const { name: input } = columnReader(inputs, samples, column, where)
  const width = lengthOf(samples.columns[column]!.shape)
  const bearable = Math.max(1, Math.min(mostSamples, samples.size, Math.ceil(largestFeed / width)))
  const batch = binding.fixedBatch ?? bearable
  const dims = freeDims(inputs, binding, batch)
  const whole = inSinglePrecision(model)
  writeOutPackedProducts(whole.graph)
  soften(whole.graph, temperature)
  const found = await withInputGradient(whole, { of, batch, input, classes, dims, where })
  found.graph.outputs.splice(0, found.graph.outputs.length - 1)
  removeDeadNodes(found.graph)
  return found
}

/** The input that reads a column as floats; where none does, what is changed there would not reach the model. */
export function columnReader(
  inputs: readonly ValueInfo[],
  samples: Samples,
  column: number,
  where: string,
): { readonly name: string } {
  const reader = bindInputs(inputs, samples, where).columns.find((input) => input.column === column)
  if (reader) return reader
  throw new UserError(`it does not read '${samples.columns[column]!.name}' as floats`)
}

/** Samples with one more column, the label of each. */
export function withLabels(samples: Samples, labels: Int32Array, name: string): Samples {
  const { columns, size, inputs } = samples
  return {
    ...{ size, inputs },
    columns: [...columns, { name, dtype: 'int32', shape: [] }],
    read(index, column, into, offset) {
      if (column === columns.length) into[offset] = labels[index]!
      else samples.read(index, column, into, offset)
    },
  }
}

/** Leaves a graph with one output: its logits, divided by a temperature. */
function soften(graph: Graph, temperature: number): void {
  const logits = withoutClosing(graph, graph.outputs[0]!, 'Softmax')
  const softened = temperature === 1 ? logits : build(graph).Mul(logits, 1 / temperature)
  graph.outputs.splice(0, graph.outputs.length, softened)
  removeDeadNodes(graph)
}

/** The same model, copied, with float32 wherever it had float16; gradients would lose most of their digits there. */
function inSinglePrecision(model: Model): Model {
  const copy = cloneModel(model)
  const nodes = copy.graph.nodes
  const all = new Set([
    ...copy.graph.inputs,
    ...copy.graph.initializers,
    ...copy.graph.outputs,
    ...nodes.flatMap((node) => [...node.inputs, ...node.outputs]),
  ])
  for (const value of all) {
    if (!value) continue
    if (value.tensor) value.tensor = single(value.tensor)
    if (value.type?.dtype === 'float16') value.type = { ...value.type, dtype: 'float32' }
  }
  for (const { attributes } of nodes)
    for (const [key, attribute] of attributes)
      if (attribute.type === 'tensor')
        attributes.set(key, { ...attribute, value: single(attribute.value) })
      else if (
        key === 'to' &&
        attribute.type === 'int' &&
        attribute.value === dataTypes.float16.code
      )
        attributes.set(key, { type: 'int', value: dataTypes.float32.code })
  return copy
}

function single(tensor: Tensor): Tensor {
  if (tensor.dtype !== 'float16') return tensor
  const { buffer, byteOffset, byteLength } = Uint8Array.from(tensor.bytes)
  const halves = new Float16Array(buffer, byteOffset, byteLength / 2)
  return tensorOf('float32', tensor.dims, Float32Array.from(halves))
}
