// What the numbers of a classifier's output mean, and one scale for all of them: logits, whose softmax (or, where
// classes do not exclude each other, whose sigmoid) is the probabilities.
import { closingOf } from '../onnx/closing.ts'
import type { Graph, Value } from '../onnx/graph.ts'
import { mapRows } from './predictions.ts'
import type { Predictions } from './task.ts'

/** How a classifier says what it believes. */
export type OutputKind = 'logits' | 'log-probabilities' | 'probabilities'

/** What the last operator makes of its input; every other operator gives logits. */
const kindByOperator: Readonly<Record<string, OutputKind>> = {
  Softmax: 'probabilities',
  Sigmoid: 'probabilities',
  HardSigmoid: 'probabilities',
  QLinearSoftmax: 'probabilities',
  QLinearSigmoid: 'probabilities',
  LogSoftmax: 'log-probabilities',
}

/** What an output of a graph holds, read off the operator that makes it; the first output unless told. */
export function outputKind(graph: Graph, output: Value | undefined = graph.outputs[0]): OutputKind {
  return kindByOperator[(output && closingOf(output).opType) ?? ''] ?? 'logits'
}

/** The smallest normal float32: what a probability that float32 rounded to 0 counts as. */
const leastProbability = 2 ** -126

/** What is left of a probability that float32 rounded to 1. */
const leastRest = 2 ** -25

/**
 * The outputs as logits of a softmax; probabilities become their logarithms (log-probabilities are logits already, since
 * softmax(log p) = p), anything else is given back as it is.
 *
 * Probabilities are clamped to at least 2^-126 (log: -87.3), so that a class ruled out by rounding costs much but
 * not infinitely; what is not a number stays so.
 */
export function toLogits(outputs: Float32Array, kind: OutputKind): Float32Array {
  if (kind !== 'probabilities') return outputs
  return outputs.map((probability) => Math.log(Math.max(probability, leastProbability)))
}

/**
 * One output as a logit of a sigmoid: log(p / (1 - p)) of a probability, within -87.3..17.3; what is not a number stays
 * so.
 */
export function toBinaryLogit(output: number, kind: OutputKind): number {
  if (kind === 'logits') return output
  const p = Math.max(leastProbability, kind === 'probabilities' ? output : Math.exp(output))
  return Math.log(p) - Math.log(Math.max(1 - p, leastRest))
}

/** Puts predictions of a graph on the scale of a softmax's logits. */
export function softmaxNormaliser(graph: Graph): (predictions: Predictions) => Predictions {
  const kind = outputKind(graph)
  if (kind !== 'probabilities') return (predictions) => predictions
  return (predictions) => mapRows(predictions, (row, into) => into.set(toLogits(row, kind)))
}

/** Puts predictions of a graph on the scale of a sigmoid's logits. */
export function sigmoidNormaliser(graph: Graph): (predictions: Predictions) => Predictions {
  const kind = outputKind(graph)
  if (kind === 'logits') return (predictions) => predictions
  return (predictions) =>
    mapRows(predictions, (row, into) => {
      for (let i = 0; i < row.length; i++) into[i] = toBinaryLogit(row[i]!, kind)
    })
}
