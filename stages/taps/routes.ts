// The ways of floats through a graph: what leads to the output, and what every way passes.
import type { Node, Value } from '../../onnx/graph.ts'
import { floats, type Tappable } from './values.ts'

/** The part of a graph that leads from what is fed to the first output, along floats. */
export interface Route {
  readonly target: Value
  /** Its nodes in the order of the graph. */
  readonly nodes: readonly Node[]
  /** The float values that depend on an input and lead to the output. */
  readonly values: ReadonlySet<Value>
}

/** Gives the ways to the first output. */
export function routeOf({ graph, types }: Pick<Tappable, 'graph' | 'types'>): Route {
  const fed = new Set<Value | undefined>(graph.feeds)
  for (const node of graph.nodes)
    if (node.inputs.some((input) => fed.has(input)))
      for (const output of node.outputs) fed.add(output)
  const isFloat = (value: Value | undefined): value is Value =>
    value !== undefined && fed.has(value) && floats.has(types.get(value)?.dtype ?? '')
  const target = graph.outputs[0]!
  const values = new Set<Value>([target])
  const nodes: Node[] = []
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => output && values.has(output))) continue
    nodes.push(node)
    // The levels of a quantization stand for floats.
    const [levels] = node.inputs
    if (node.opType === 'DequantizeLinear' && levels && fed.has(levels)) values.add(levels)
    for (const input of node.inputs) if (isFloat(input)) values.add(input)
  }
  return { target, nodes: nodes.reverse(), values }
}

/** The values that all ways from a value to the output pass, in their order; the value itself is left out. */
export function cutsFrom(source: Value, { target, nodes, values }: Route): Value[] {
  const below = new Set<Value>([source])
  const ways = nodes.filter((node) => {
    if (!node.inputs.some((input) => input && below.has(input))) return false
    for (const output of node.outputs) if (output && values.has(output)) below.add(output)
    return true
  })
  const open = new Map<Value, number>()
  const onWay = new Set(ways)
  const note = (value: Value) => {
    const users = [...value.users].filter((node) => onWay.has(node)).length
    open.set(value, value === target ? Number.POSITIVE_INFINITY : users)
  }
  note(source)
  const cuts: Value[] = []
  for (const node of ways) {
    for (const input of new Set(node.inputs)) {
      const left = input && open.get(input)
      if (left === undefined) continue
      if (left === 1) open.delete(input!)
      else open.set(input!, left - 1)
    }
    for (const output of node.outputs) if (output && below.has(output)) note(output)
    // Every node lies on a way: where one value is open, nothing leads past it.
    const [only] = open.keys()
    if (open.size === 1 && only!.producer === node) cuts.push(only!)
  }
  return cuts
}

/** The values of the longest way from what is fed to the output, in their order. */
export function longestWay({ target, nodes, values }: Route): Value[] {
  const lengths = new Map<Value, number>()
  const before = new Map<Value, Value>()
  for (const node of nodes) {
    let longest: Value | undefined
    for (const input of node.inputs)
      if (input && values.has(input))
        if (!longest || (lengths.get(input) ?? 0) > (lengths.get(longest) ?? 0)) longest = input
    for (const output of node.outputs)
      if (output && longest) {
        lengths.set(output, (lengths.get(longest) ?? 0) + 1)
        before.set(output, longest)
      }
  }
  const way: Value[] = []
  for (let value: Value | undefined = target; value; value = before.get(value)) way.push(value)
  return way.reverse()
}

/** The value before Dropout and Identity, which change nothing of what a model has found. */
export function undropped(value: Value): Value {
  let found = value
  while (found.producer && transparent.has(found.producer.opType) && found.producer.inputs[0])
    found = found.producer.inputs[0]
  return found
}

const transparent: ReadonlySet<string> = new Set(['Dropout', 'Identity'])
