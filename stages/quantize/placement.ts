// Where the QuantizeLinear/DequantizeLinear pairs go, decided before the graph is touched. A node computes in 8 bits when
// ONNX Runtime can fuse it with the pairs around it into one integer kernel; a pair that would only cost time is left out.
import { constantOf, type Graph, type Node, type Value } from '../../onnx/graph.ts'
import { withBranches } from './branches.ts'
import { type QuantizationRule, quantizationRuleOf } from './operators.ts'

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

/**
 * Decides what is quantized, in a graph and in the branches of If; nodes in `excluded` compute in float.
 *
 * With `symmetric` activations, what is cut off on one side of zero only is not cut off by a quantization.
 */
export function place(
  graph: Graph,
  excluded: ReadonlySet<Node>,
  options: { readonly symmetric?: boolean } = {},
): Placement {
  const parts = withBranches(graph).map((each) => placeIn(each, excluded, options))
  return {
    nodes: new Set(parts.flatMap(({ nodes }) => [...nodes])),
    made: new Set(parts.flatMap(({ made }) => [...made])),
    entering: new Set(parts.flatMap(({ entering }) => [...entering])),
    merged: new Map(parts.flatMap(({ merged }) => [...merged])),
    rangeOf: new Map(parts.flatMap(({ rangeOf }) => [...rangeOf])),
  }
}

function placeIn(
  graph: Graph,
  excluded: ReadonlySet<Node>,
  { symmetric = false }: { readonly symmetric?: boolean },
): Placement {
  const nodes = graph.nodes
  const rules = new Map(nodes.map((node) => [node, excluded.has(node) ? undefined : ruleFor(node)]))
  const { wanted, useful } = lookAhead(nodes, rules)
  const chosen = new Set<Node>()
  const made = new Set<Value>()
  const merged = new Map<Node, Node>()
  const choose = (node: Node, outputs: readonly (Value | undefined)[] = node.outputs) => {
    chosen.add(node)
    for (const output of outputs) if (output) made.add(output)
  }
  for (const [node, rule] of rules) {
    const inputs = node.inputs.filter((input) => input && made.has(input))
    if (rule?.kind === 'layer') {
      choose(node, rule.floatOutput && !wanted.has(node.output()) ? [] : node.outputs)
    } else if (rule?.kind === 'arithmetic') {
      if (inputs.length > 0 && useful.has(node.output())) choose(node)
    } else if (rule?.kind === 'passing') {
      if (inputs.includes(node.input(0))) choose(node)
    } else if (rule?.kind === 'clipping' && inputs.length > 0) {
      const clipped = node.input(0)
      const maker = clipped.producer
      const bounds = rule.bounds(node)
      // Zero is in every quantized range, so it has to be inside the bounds.
      const covers =
        bounds && bounds.min <= 0 && bounds.max >= 0 && (!symmetric || bounds.min === -bounds.max)
      const alone = clipped.users.size === 1 && !graph.outputs.includes(clipped)
      if (maker && rules.get(maker)?.kind !== 'passing' && alone && covers) {
        merged.set(node, maker)
        made.delete(clipped)
        made.add(node.output())
      } else if (rule.kernel && useful.has(node.output())) choose(node)
    }
  }
  dropUselessMoves(rules, chosen, made, merged)

  const entering = new Set<Value>()
  const rangeOf = new Map<Value, Value>()
  for (const node of chosen) {
    for (const input of activationsOf(node)) if (!made.has(input)) entering.add(input)
    if (rules.get(node)?.kind !== 'passing') continue
    const source = rangeOf.get(node.input(0)) ?? node.input(0)
    for (const output of node.outputs) if (output) rangeOf.set(output, source)
  }
  return { nodes: chosen, made, entering, merged, rangeOf }
}

/** The rule of a node that has all its operator's kernel needs. */
function ruleFor(node: Node): QuantizationRule | undefined {
  const rule = quantizationRuleOf(node)
  if (rule?.kind === 'clipping') return rule
  if (rule?.kind !== 'layer') return rule?.supports(node) ? rule : undefined
  const weights = constantOf(node.inputs[1])
  if (weights?.dtype !== 'float32' || !rule.supports(node, weights)) return undefined
  if (node.inputs[2] === undefined) return rule
  const bias = constantOf(node.inputs[2])
  const channels = weights.dims[rule.channelAxis(node, weights)]
  return bias?.dtype === 'float32' && (bias.size === channels || bias.size === 1) ? rule : undefined
}

/**
 * Looks from the end: `wanted` are the values that a layer reads, if only moved or clipped, so that even a layer that
 * could give float had better give 8 bits; `useful` those that go into a layer in any way. What only shapes the graph's
 * outputs costs little and stays float.
 */
function lookAhead(
  nodes: readonly Node[],
  rules: ReadonlyMap<Node, QuantizationRule | undefined>,
): { readonly wanted: ReadonlySet<Value>; readonly useful: ReadonlySet<Value> } {
  const wanted = new Set<Value>()
  const useful = new Set<Value>()
  for (const node of nodes.toReversed()) {
    const rule = rules.get(node)
    if (!rule) continue
    const leads = (to: ReadonlySet<Value>) =>
      node.outputs.some((output) => output && to.has(output))
    const isLayer = rule.kind === 'layer'
    if (isLayer || (rule.kind !== 'arithmetic' && leads(wanted))) wanted.add(node.input(0))
    if (isLayer || leads(useful)) for (const input of activationsOf(node)) useful.add(input)
  }
  return { wanted, useful }
}

/** The inputs of a node that are activations: all of an arithmetic operator, else the first. */
export const activationsOf = (node: Node): readonly Value[] =>
  (quantizationRuleOf(node)?.kind === 'arithmetic' ? node.inputs : node.inputs.slice(0, 1)).filter(
    (input) => input !== undefined,
  )

/** Moving elements in 8 bits pays only when something reads them in 8 bits. */
function dropUselessMoves(
  rules: ReadonlyMap<Node, QuantizationRule | undefined>,
  chosen: Set<Node>,
  made: Set<Value>,
  merged: ReadonlyMap<Node, Node>,
): void {
  for (const [node, rule] of [...rules].reverse()) {
    if (!chosen.has(node) || rule?.kind !== 'passing') continue
    const users = node.outputs.flatMap((output) => [...(output?.users ?? [])])
    if (users.some((user) => chosen.has(user) || merged.has(user))) continue
    chosen.delete(node)
    for (const output of node.outputs) if (output) made.delete(output)
  }
}
