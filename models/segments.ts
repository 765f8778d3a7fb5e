// The parts of a graph that data passes one after the other: between two values of which the second is on every way
// from the first to an output. Two parts with the same signature compute the same with other weights.
import {
  type Attribute,
  allNodes,
  type Graph,
  type Node,
  operatorOf,
  type Value,
} from '../onnx/graph.ts'
import { sizeOf, type Tensor } from '../onnx/tensor.ts'

/** What lies between two values. */
export interface Segment {
  readonly entry: Value
  readonly exit: Value
  readonly nodes: readonly Node[]
  /** The constants among its inputs that can be weights: float32, of more than one element. */
  readonly weights: number
  /** Equal for segments that only differ in the content of their weights. */
  readonly signature: string
}

/**
 * Splits a graph into chains of segments, each as short as possible; constants have to be initializers.
 *
 * A chain begins at an input of the model, or where the data forks, and ends where its way meets a longer one.
 */
export function segmentChains(graph: Graph): Segment[][] {
  const meets = meetingPoints(graph)
  const surroundings = {
    position: new Map(graph.nodes.map((node, index) => [node, index])),
    outputs: new Set(graph.outputs),
  }
  const followed = new Set<Value>()
  const chains: Segment[][] = []
  // The longest ways come first, as they start at the inputs.
  for (const start of meets.keys()) {
    const chain: Segment[] = []
    let entry: Value = start
    for (let exit = meets.get(entry); exit; exit = meets.get(exit)) {
      if (followed.has(entry)) break
      followed.add(entry)
      chain.push(segmentBetween(entry, exit, surroundings))
      entry = exit
    }
    if (chain.length > 0) chains.push(chain)
  }
  return chains
}

/**
 * For every value the next one that all of its ways to outputs meet in, undefined where there is none: the immediate
 * post-dominators, which a graph without cycles has in one backward walk (Cooper, Harvey and Kennedy 2001).
 */
function meetingPoints(graph: Graph): Map<Value, Value | undefined> {
  const owners = new Map<Node, Node>()
  for (const node of graph.nodes)
    for (const inner of [node, ...node.subgraphs.flatMap((subgraph) => [...allNodes(subgraph)])])
      owners.set(inner, node)
  const values = [
    ...graph.feeds,
    ...graph.nodes.flatMap(({ outputs }) => outputs.filter((output) => output !== undefined)),
  ]
  const meets = new Map<Value, Value | undefined>()
  const depths = new Map<Value | undefined, number>([[undefined, 0]])
  const common = (one: Value | undefined, other: Value | undefined): Value | undefined => {
    let [a, b] = [one, other]
    while (a !== b) {
      if (depths.get(a)! >= depths.get(b)!) a = a && meets.get(a)
      else b = b && meets.get(b)
    }
    return a
  }
  for (const value of values.toReversed()) {
    const next = [...value.users].flatMap((user) =>
      (owners.get(user)?.outputs ?? []).filter(
        (output): output is Value => output !== undefined && depths.has(output),
      ),
    )
    // Values that nobody needs lie on no way.
    const isOutput = graph.outputs.includes(value)
    if (next.length === 0 && !isOutput) continue
    const [first, ...rest] = next
    const meet = isOutput ? undefined : rest.reduce<Value | undefined>(common, first)
    meets.set(value, meet)
    depths.set(value, depths.get(meet)! + 1)
  }
  return new Map([...meets].reverse())
}

/** What is known of a graph as a whole. */
interface Surroundings {
  readonly position: ReadonlyMap<Node, number>
  readonly outputs: ReadonlySet<Value>
}

function segmentBetween(entry: Value, exit: Value, { position, outputs }: Surroundings): Segment {
  const core = new Set<Node>()
  const open = [...entry.users]
  for (let node = open.pop(); node; node = open.pop()) {
    if (core.has(node) || !position.has(node)) continue
    core.add(node)
    if (node.outputs.includes(exit)) continue
    for (const output of node.outputs) open.push(...(output?.users ?? []))
  }
  const members = withHelpers(core, entry, outputs)
  const weights = new Set<Value>()
  for (const node of members)
    for (const input of node.inputs)
      if (input?.tensor?.dtype === 'float32' && input.tensor.size > 1) weights.add(input)
  return {
    entry,
    exit,
    nodes: [...members].sort((a, b) => position.get(a)! - position.get(b)!),
    weights: weights.size,
    signature: signatureOf(entry, exit, members),
  }
}

/** The nodes themselves and those that work for them alone, as on a mask that every block prepares anew. */
function withHelpers(
  core: ReadonlySet<Node>,
  entry: Value,
  outputs: ReadonlySet<Value>,
): Set<Node> {
  const members = new Set(core)
  const open = [...core]
  for (let node = open.pop(); node; node = open.pop())
    for (const input of node.inputs) {
      const maker = input?.producer
      if (!maker || input === entry || members.has(maker)) continue
      const alone = maker.outputs.every(
        (output) =>
          !output || (!outputs.has(output) && [...output.users].every((user) => members.has(user))),
      )
      // Where another user turns out to be a member later, the maker is looked at again from there.
      if (!alone) continue
      members.add(maker)
      open.push(maker)
    }
  return members
}

/** Writes down what is computed from the entry to the exit, numbered in the order of a backward walk. */
function signatureOf(entry: Value, exit: Value, members: ReadonlySet<Node>): string {
  const numbers = new Map<Node, number>()
  const lines: string[] = []
  const nameOf = (value: Value | undefined): string => {
    if (!value) return '-'
    if (value === entry) return 'entry'
    if (value.tensor) return tensorText(value.tensor)
    const maker = value.producer
    // What comes from elsewhere has to be the very same for all.
    if (!maker || !members.has(maker)) return `outside ${value.name}`
    return `${numbers.get(maker)}:${maker.outputs.indexOf(value)}`
  }
  // Depth first without recursion: the inputs of a node come before it.
  const open: Node[] = exit.producer ? [exit.producer] : []
  const begun = new Set<Node>()
  for (let node = open.at(-1); node; node = open.at(-1)) {
    const makers = begun.has(node)
      ? []
      : node.inputs.flatMap((input) =>
          input?.producer &&
          input !== entry &&
          members.has(input.producer) &&
          !begun.has(input.producer)
            ? [input.producer]
            : [],
        )
    begun.add(node)
    if (makers.length > 0) {
      open.push(...makers.toReversed())
      continue
    }
    open.pop()
    if (numbers.has(node)) continue
    numbers.set(node, numbers.size)
    // What is in a subgraph is not compared.
    const unlike = node.subgraphs.length > 0 ? ` ${node.name} ${node.output().name}` : ''
    const attributes = [...node.attributes]
      .map(([name, attribute]) => `${name}=${attributeText(attribute)}`)
      .sort()
    lines.push(
      `${operatorOf(node)}${unlike}(${node.inputs.map(nameOf).join(', ')}) {${attributes.join(', ')}}`,
    )
  }
  return `${lines.join('\n')}\n${nameOf(exit)}`
}

const attributeText = (attribute: Attribute): string =>
  attribute.type === 'tensor' ? tensorText(attribute.value) : JSON.stringify(attribute.value ?? '')

/** Type and shape; of what is no weight (shapes, indices), the content too. */
function tensorText(tensor: Tensor): string {
  const { dtype, dims, bytes } = tensor
  const type = `${dtype}[${dims.join()}]`
  const isWeight = dtype.includes('float')
  return isWeight || tensor.strings || sizeOf(dims) > 64
    ? type
    : `${type}${Buffer.from(bytes).toString('hex')}`
}
