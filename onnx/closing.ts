// What a model ends with: the Softmax or Sigmoid that makes probabilities of logits, however its answer is reshaped
// afterwards, and the logits themselves.
import { constantOf, type Graph, Node, Value } from './graph.ts'
import { numbers } from './tensor.ts'

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

/** Those of them that logits do without: the scales that fit probabilities do not fit logits. */
const omitted: ReadonlySet<string> = new Set(['DequantizeLinear', 'Dropout', 'QuantizeLinear'])

/** What makes an output, and what only reshapes it afterwards. */
export interface Closing {
  /** The name of the operator; a Softmax that is written out (eᶻ / Σ eᶻ) counts as one. */
  readonly opType: string | undefined
  /** What goes into it. */
  readonly before: Value | undefined
  /** The nodes from it to the output that keep the meaning of the numbers. */
  readonly path: readonly Node[]
}

/** Finds the operator that gives an output its meaning. */
export function closingOf(output: Value): Closing {
  const path: Node[] = []
  let value: Value | undefined = output
  while (value?.producer && transparent.has(value.producer.opType)) {
    path.unshift(value.producer)
    value = value.producer.inputs[0]
  }
  const maker = value?.producer
  const written = maker && writtenSoftmax(maker)
  if (written) return { opType: 'Softmax', before: written, path }
  return { opType: maker?.opType, before: maker?.inputs[0], path }
}

/**
 * Gives an output as it would be without a closing operator of this type: its logits, in the output's own shape; the
 * output itself where something else closes it. What reshapes it is repeated at the end of the graph.
 */
export function withoutClosing(graph: Graph, output: Value, opType: string): Value {
  const closing = closingOf(output)
  if (closing.opType !== opType || !closing.before) return output
  const count = (type: string) => closing.path.filter((node) => node.opType === type).length
  // What stays quantized has the type of its numbers from there.
  if (count('QuantizeLinear') !== count('DequantizeLinear')) return output
  let value = closing.before
  for (const node of closing.path) {
    if (omitted.has(node.opType)) continue
    const { attributes, domain, inputs, extra } = node
    const { type } = node.output()
    const made = new Value(graph.uniqueName(`${node.output().name}_logits`), type && { type })
    const name = graph.uniqueName(`${node.name || node.opType}_logits`)
    graph.add(
      new Node(node.opType, [value, ...inputs.slice(1)], [made], {
        ...{ name, domain, attributes, extra },
      }),
    )
    value = made
  }
  return value
}

/** What goes into a Softmax that is written out, as eᶻ over its sum along one axis. */
function writtenSoftmax({ opType, inputs: [powers, sum] }: Node): Value | undefined {
  const summing = sum?.producer
  if (opType !== 'Div' || powers?.producer?.opType !== 'Exp') return undefined
  if (summing?.opType !== 'ReduceSum' || summing.inputs[0] !== powers) return undefined
  const given = constantOf(summing.inputs[1])
  const axes = summing.numbers('axes') ?? (given && numbers(given))
  // Along the first axis it would be over the samples.
  return axes?.length === 1 && axes[0] !== 0 ? powers.producer.inputs[0] : undefined
}
