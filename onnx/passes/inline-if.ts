// Conditions that are constant: the branch that is taken becomes a part of the graph around it.
import { allNodes, constantOf, type Graph, type Model, Node, type Value } from '../graph.ts'

/**
 * Puts the nodes and initializers of the taken branch in the place of every If whose condition is a constant, in
 * subgraphs too; true if there were any.
 *
 * The values of the node's outputs stay. Whatever the branch holds keeps its name, unless something else in the model
 * has it. A condition within a branch that has to be folded first is for the next call.
 */
export function inlineConditionals({ graph }: Model): boolean {
  return inlineIn(graph, new Names(graph))
}

function inlineIn(graph: Graph, names: Names): boolean {
  let changed = false
  // A branch may hold conditions itself, which are nodes of this graph then.
  for (let found = findConstant(graph); found; found = findConstant(graph)) {
    inline(graph, found.node, found.branch, names)
    changed = true
  }
  for (const node of graph.nodes)
    for (const subgraph of node.subgraphs) changed = inlineIn(subgraph, names) || changed
  return changed
}

function findConstant(graph: Graph): { node: Node; branch: Graph } | undefined {
  for (const node of graph.nodes) {
    if (node.opType !== 'If' || node.domain !== '') continue
    const condition = constantOf(node.inputs[0])
    if (!condition) continue
    const name = condition.bytes.some((byte) => byte !== 0) ? 'then_branch' : 'else_branch'
    const branch = node.attributes.get(name)
    if (branch?.type === 'graph') return { node, branch: branch.value }
  }
  return undefined
}

function inline(graph: Graph, node: Node, branch: Graph, names: Names): void {
  for (const subgraph of node.subgraphs) {
    names.forget(subgraph)
    if (subgraph !== branch) for (const inner of allNodes(subgraph)) inner.truncateInputs(0)
  }
  const nodes = branch.nodes
  graph.add(nodes, node)
  for (const initializer of branch.initializers) graph.initializers.add(initializer)
  const handed = new Map<Value, Value>()
  for (const [index, output] of node.outputs.entries()) {
    const result = branch.outputs[index]!
    if (!output) continue
    pass(graph, handed.get(result) ?? result, output, nodes, node)
    if (!handed.has(result)) handed.set(result, output)
  }
  graph.remove(node)
  const outputs = new Set(node.outputs)
  for (const value of definedIn(nodes, branch.initializers))
    if (!outputs.has(value)) value.name = names.claim(value.name, graph, 'value')
  for (const inner of nodes) {
    inner.name = inner.name && names.claim(inner.name, graph, 'node')
    for (const subgraph of inner.subgraphs) names.note(subgraph)
  }
}

/** Lets the maker of a branch's result make the output of the If instead, or copies what is made elsewhere. */
function pass(
  graph: Graph,
  result: Value,
  output: Value,
  made: readonly Node[],
  before: Node,
): void {
  output.type ??= result.type
  const { producer } = result
  const isMade = producer !== undefined && made.includes(producer)
  const isResult = before.outputs.includes(result)
  // A subgraph that gives a value from around it would have to be told of the other one.
  const isRead = made.some((node) => node.subgraphs.some((each) => isOutputWithin(each, result)))
  if (!isMade || isResult || isRead) {
    const name = graph.uniqueName('Identity')
    graph.add(new Node('Identity', [result], [output], { name }), before)
    return
  }
  const index = producer.outputs.indexOf(result)
  for (const user of [...result.users])
    for (const [place, input] of user.inputs.entries())
      if (input === result) user.setInput(place, output)
  producer.setOutput(index, output)
}

const isOutputWithin = (graph: Graph, value: Value): boolean =>
  graph.outputs.includes(value) ||
  graph.nodes.some((node) => node.subgraphs.some((subgraph) => isOutputWithin(subgraph, value)))

const definedIn = (nodes: readonly Node[], initializers: Iterable<Value>): Set<Value> =>
  new Set([
    ...initializers,
    ...nodes.flatMap((node) => node.outputs.filter((output) => output !== undefined)),
  ])

/** How often each name stands in a model: branches of different nodes may use the same one. */
class Names {
  readonly #counts = { value: new Map<string, number>(), node: new Map<string, number>() }

  constructor(graph: Graph) {
    this.note(graph)
  }

  /** Counts what a graph and its subgraphs define. */
  note(graph: Graph): void {
    this.#change(graph, 1)
  }

  /** Takes it back. */
  forget(graph: Graph): void {
    this.#change(graph, -1)
  }

  /** The name itself where it is free, else a new one; counted. */
  claim(name: string, graph: Graph, kind: 'value' | 'node'): string {
    const counts = this.#counts[kind]
    const free = (counts.get(name) ?? 0) === 0 ? name : graph.uniqueName(name)
    counts.set(free, (counts.get(free) ?? 0) + 1)
    return free
  }

  #change(graph: Graph, by: number): void {
    const count = (counts: Map<string, number>, name: string) =>
      counts.set(name, (counts.get(name) ?? 0) + by)
    for (const value of new Set([...graph.inputs, ...definedIn(graph.nodes, graph.initializers)]))
      count(this.#counts.value, value.name)
    for (const node of graph.nodes) {
      count(this.#counts.node, node.name)
      for (const subgraph of node.subgraphs) this.#change(subgraph, by)
    }
  }
}
