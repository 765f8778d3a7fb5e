// What the numbers of a classifier's output mean, and one scale for all of them: logits, whose softmax is the
// probabilities. Log-probabilities are logits already, since softmax(log p) = p.
import type { Graph, Value } from '../onnx/graph.ts'

/** How a classifier says what it believes. */
export type OutputKind = 'logits' | 'log-probabilities' | 'probabilities'

/** What the last operator makes of its input; every other operator gives logits. */
const kindByOperator: Readonly<Record<string, OutputKind>> = {
  Softmax: 'probabilities',
  Sigmoid: 'probabilities',
  QLinearSoftmax: 'probabilities',
  QLinearSigmoid: 'probabilities',
  LogSoftmax: 'log-probabilities',
}

/** Operators that keep the meaning of their first input. */
const transparent: ReadonlySet<string> = new Set([
  'Cast',
  'DequantizeLinear',
  'Dropout',
  'Flatten',
  'Identity',
  'QuantizeLinear',
  'Reshape',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
])

/** What an output of a graph holds, read off the operator that makes it; the first output unless told. */
export function outputKind(graph: Graph, output: Value | undefined = graph.outputs[0]): OutputKind {
  let value = output
  while (value?.producer && transparent.has(value.producer.opType)) value = value.producer.inputs[0]
  return kindByOperator[value?.producer?.opType ?? ''] ?? 'logits'
}

/** The smallest normal float32: what a probability that float32 rounded to 0 counts as. */
const leastProbability = 2 ** -126

/**
 * The outputs as logits; probabilities become their logarithms, anything else is given back as it is.
 *
 * Probabilities are clamped to at least 2^-126 (log: -87.3), so that a class ruled out by rounding costs much but
 * not infinitely; what is not a number stays so.
 */
export function toLogits(outputs: Float32Array, kind: OutputKind): Float32Array {
  if (kind !== 'probabilities') return outputs
  return outputs.map((probability) => Math.log(Math.max(probability, leastProbability)))
}
