// Where the QuantizeLinear/DequantizeLinear pairs go, decided before the graph is touched. A node computes in 8 bits when
// ONNX Runtime can fuse it with the pairs around it into one integer kernel; a pair that would only cost time is left out.
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { quantizationRuleOf } from './operators.ts'

/** What is going to be in 8 bits. */
export interface Placement {
  /** The nodes that will be integer kernels. */
  readonly nodes: ReadonlySet<Node>
  /** Outputs of those nodes that are quantized where they are made: every user reads the 8 bits. */
  readonly made: ReadonlySet<Value>
  /** Values made in float (inputs of the graph among them), and constants, of which integer kernels read 8 bits. */
  readonly entering: ReadonlySet<Value>
  /** Clippings that the quantization of their output replaces, each with the node whose output it clips. */
  readonly merged: ReadonlyMap<Node, Node>
  /** For outputs of nodes that only move elements: the value whose range they have. */
  readonly rangeOf: ReadonlyMap<Value, Value>
}

/** Decides what is quantized; nodes in `excluded` compute in float. */
export function place(graph: Graph, excluded: ReadonlySet<Node>): Placement {
  const nodes = graph.nodes
  const ruleOf = (node: Node) => (excluded.has(node) ? undefined : quantizationRuleOf(node))
  const isOutput = new Set(graph.outputs)
  const isLayer = (node: Node) => {
    const rule = ruleOf(node)
    const weights = constantOf(node.inputs[1])
    return (
      rule?.kind === 'layer' &&
      weights?.dtype === 'float32' &&
      rule.supports(node, weights) &&
      (node.inputs[2] === undefined || constantOf(node.inputs[2])?.dtype === 'float32') &&
      node.number('transA', 0) === 0
    )
  }

  // Backwards: values that a layer reads, directly or moved or clipped; there 8 bits pay even for optional outputs.
  const wanted = new Set<Value>()
  for (const node of nodes.toReversed()) {
    const rule = ruleOf(node)
    const carries =
      (rule?.kind === 'passing' || rule?.kind === 'clipping') &&
      node.outputs.some((output) => output && wanted.has(output))
    if (carries || isLayer(node)) wanted.add(node.input(0))
  }

  // Forwards: what is made in 8 bits.
  const chosen = new Set<Node>()
  const made = new Set<Value>()
  const merged = new Map<Node, Node>()
  for (const node of nodes) {
    const rule = ruleOf(node)
    const first = node.inputs[0]
    if (isLayer(node)) {
      chosen.add(node)
      if (rule?.kind === 'layer' && (!rule.floatOutput || wanted.has(node.output())))
        made.add(node.output())
    } else if (rule?.kind === 'arithmetic' && rule.supports(node)) {
      if (!node.inputs.some((input) => input && made.has(input))) continue
      chosen.add(node)
      made.add(node.output())
    } else if (rule?.kind === 'passing' && first && made.has(first) && rule.supports(node)) {
      chosen.add(node)
      for (const output of node.outputs) if (output) made.add(output)
    } else if (rule?.kind === 'clipping' && first && made.has(first)) {
      const bounds = rule.bounds(node)
      const maker = first.producer
      const makes = maker && ruleOf(maker)?.kind
      const alone = first.users.size === 1 && !isOutput.has(first)
      // Zero is in every quantized range, so it has to be inside the bounds.
      if (!maker || (makes !== 'layer' && makes !== 'arithmetic') || !alone) continue
      if (!bounds || bounds.min > 0 || bounds.max < 0) continue
      merged.set(node, maker)
      made.delete(first)
      made.add(node.output())
    }
  }

  dropUselessMoves(nodes, { chosen, made, merged, isOutput, ruleOf })
  const entering = new Set<Value>()
  const rangeOf = new Map<Value, Value>()
  for (const node of chosen) {
    const rule = ruleOf(node)
    for (const input of activationsOf(node, rule?.kind === 'arithmetic'))
      if (!made.has(input)) entering.add(input)
    if (rule?.kind !== 'passing') continue
    for (const output of node.outputs)
      if (output) rangeOf.set(output, rangeOf.get(node.input(0)) ?? node.input(0))
  }
  return { nodes: chosen, made, entering, merged, rangeOf }
}

/** The inputs of a node that are activations: all of an arithmetic operator, else the first. */
export const activationsOf = (node: Node, all: boolean): readonly Value[] =>
  (all ? node.inputs : [node.input(0)]).filter((input) => input !== undefined)

/** Moving elements in 8 bits pays only when something reads them in 8 bits. */
function dropUselessMoves(
  nodes: readonly Node[],
  {
    chosen,
    made,
    merged,
    ruleOf,
  }: {
    readonly chosen: Set<Node>
    readonly made: Set<Value>
    readonly merged: ReadonlyMap<Node, Node>
    readonly isOutput: ReadonlySet<Value>
    readonly ruleOf: (node: Node) => ReturnType<typeof quantizationRuleOf>
  },
): void {
  for (const node of nodes.toReversed()) {
    if (!chosen.has(node) || ruleOf(node)?.kind !== 'passing') continue
    const users = node.outputs.flatMap((output) => [...(output?.users ?? [])])
    if (users.some((user) => chosen.has(user) || merged.has(user))) continue
    chosen.delete(node)
    for (const output of node.outputs) if (output) made.delete(output)
  }
}
