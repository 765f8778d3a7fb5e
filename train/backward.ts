// Reverse-mode differentiation over the graph: walk the nodes backwards, ask each one's rule for the gradients of its
// inputs, and add up what arrives at a value from all its users (Griewank and Walther 2008, chapter 3).
import { UserError } from '../base/errors.ts'
import type { Builder } from '../onnx/build.ts'
import { type Graph, type Node, operatorOf, type Value } from '../onnx/graph.ts'
import { gradients, passive } from './gradients.ts'
import type { Lowering } from './lowerings/lowering.ts'
import { refused } from './refused.ts'
import { fill, type Rule, shapeOf, sumTo, unary } from './rule.ts'

/** How a graph is differentiated. */
export interface BackwardOptions {
  /** What errors call the model. */
  readonly where?: string | undefined
  /** Values through which no gradient passes. */
  readonly detached?: ReadonlySet<Value> | undefined
  /** Outputs whose gradient goes to the first input of their operator as it is. */
  readonly straight?: ReadonlySet<Value> | undefined
}

const none: ReadonlySet<Value> = new Set()

/**
 * Appends the nodes that compute the gradient of a scalar by each wanted value, and gives the gradients.
 *
 * The graph's values must have settled shapes, and its nodes topological order. Wanted values on which the scalar does
 * not depend are missing from the result. An operator on the way without a rule is a {@link UserError} that names it;
 * nothing has been appended then.
 */
export function backward(
  g: Builder,
  scalar: Value,
  wanted: ReadonlySet<Value>,
  lowering: Lowering,
  { where = 'model', detached, straight = none }: BackwardOptions = {},
): Map<Value, Value> {
  const path = nodesBetween(g.graph, wanted, scalar, { detached, straight })
  for (const node of path) ruleOf(node, where, straight)

  const arrived = new Map<Value, Value>([[scalar, g.constant(1)]])
  const arrive = (value: Value, gradient: Value) => {
    // A gradient has its value's shape; that of a level of a quantization is a float.
    gradient.type ??= isFloat(value) ? value.type : { dtype: 'float32', shape: value.type?.shape }
    const before = arrived.get(value)
    arrived.set(value, before ? g.Add(before, gradient) : gradient)
  }
  const active = new Set([...wanted, ...path.flatMap((node) => node.outputs)])
  for (const node of path.reverse()) {
    const dys = node.outputs.map((output) => output && arrived.get(output))
    if (!dys.some((dy) => dy !== undefined)) continue
    const rule = ruleOf(node, where, straight)
    const y = node.output()
    const dy = dys[0] ?? fill(g, 0, shapeOf(y))
    const context = { g, node, inputs: node.inputs, x: node.input(0), y, dy, dys, lowering }
    const found = rule.gradients(context)
    for (const [index, gradient] of found.entries()) {
      const input = node.inputs[index]
      if (!gradient || !input || !active.has(input)) continue
      arrive(input, rule.broadcasts ? sumTo(g, gradient, shapeOf(y), shapeOf(input)) : gradient)
    }
  }
  return new Map(
    [...wanted].flatMap((value) => {
      const gradient = arrived.get(value)
      return gradient ? [[value, gradient] as const] : []
    }),
  )
}

/** Those of some values on which a scalar depends through operators that carry a gradient. */
export function reachedFrom(
  graph: Graph,
  scalar: Value,
  values: ReadonlySet<Value>,
  ways: Pick<BackwardOptions, 'detached' | 'straight'> = {},
): ReadonlySet<Value> {
  const path = nodesBetween(graph, values, scalar, ways)
  const read = new Set(path.flatMap((node) => node.inputs))
  return new Set([...values].filter((value) => read.has(value)))
}

/** The nodes at which the way from some values ends because no gradient passes them. */
export function endsOf(graph: Graph, values: ReadonlySet<Value>): Node[] {
  const reached = new Set<Value | undefined>(values)
  return graph.nodes.filter((node) => {
    if (!node.inputs.some((input) => reached.has(input))) return false
    if (operatorOf(node) in passive) return true
    for (const output of node.outputs) reached.add(output)
    return false
  })
}

/** The nodes through which the scalar depends on the sources, in the graph's order. */
function nodesBetween(
  graph: Graph,
  sources: ReadonlySet<Value>,
  scalar: Value,
  { detached = none, straight = none }: Pick<BackwardOptions, 'detached' | 'straight'>,
): Node[] {
  const reached = new Set<Value | undefined>(sources)
  const downstream = graph.nodes.filter((node) => {
    const carriers = node.inputs.filter((input) => reached.has(input))
    if (carriers.length === 0) return false
    if (operatorOf(node) in passive && !isStraight(node, straight)) return false
    // Behind a quantization the integers that are moved carry the gradient of its levels.
    const levels = carriers.some((input) => !isFloat(input))
    const carried = node.outputs.filter(
      (output) => output && !detached.has(output) && (levels || carries(node, output)),
    )
    for (const output of carried) reached.add(output)
    return carried.length > 0
  })
  const needed = new Set<Value | undefined>([scalar])
  return downstream
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false
      for (const input of node.inputs) needed.add(input)
      return true
    })
    .reverse()
}

const floats: ReadonlySet<string> = new Set(['float32', 'float16', 'float64', 'bfloat16'])
/** True where a gradient may arrive at an output of a node. */
const carries = (node: Node, output: Value | undefined): boolean =>
  isFloat(output) || gradients[operatorOf(node)]?.straightThrough === true

// Nodes that were just written have no type yet; they are part of the loss, and float.
const isFloat = (value: Value | undefined): boolean =>
  value !== undefined && (value.type === undefined || floats.has(value.type.dtype))

const isStraight = (node: Node, straight: ReadonlySet<Value>): boolean =>
  straight.size > 0 && node.outputs.some((output) => output && straight.has(output))

/** The gradient goes to the first input. */
const passing = unary(({ dy }) => dy)

function ruleOf(node: Node, where: string, straight: ReadonlySet<Value>): Rule {
  if (isStraight(node, straight)) return passing
  const name = operatorOf(node)
  const rule = gradients[name]
  if (rule) return rule
  const shapes = node.inputs.map((input) => (input ? describe(input) : 'none')).join(', ')
  const reason = refused[name] ? `: ${refused[name]}` : ''
  throw new UserError(
    `${where}: no gradient for op '${name}' (node '${node.name}', inputs ${shapes})${reason} — freeze the layers before it, or export the model without it`,
  )
}

function describe(value: Value): string {
  const dims = value.tensor?.dims ?? value.type?.shape
  return `[${dims?.map((dim) => dim ?? '?').join(',') ?? '?'}] ${value.type?.dtype ?? ''}`.trim()
}
