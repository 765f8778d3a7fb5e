// The graph: objects that know each other. A Value knows who makes it and who uses it, so that an edit is local
// and needs no look-up by name. Nothing here knows protobuf, files or a runtime.
import type { DataType, Tensor } from './tensor.ts'

/** One dimension: a number, a symbolic name, or unknown. */
export type Dim = number | string | undefined

/** Type of a tensor value; `shape` is undefined where even the rank is unknown. */
export interface ValueType {
  readonly dtype: DataType
  readonly shape?: readonly Dim[] | undefined
}

/** Something that flows: a graph input, an initializer (then it has a `tensor`), or an output of a node. */
export class Value {
  name: string
  /** Undefined where unknown, or where it is not a tensor (sequence, optional, map). */
  type: ValueType | undefined
  /** The constant content of an initializer. */
  tensor: Tensor | undefined
  /** The node that makes it; undefined for inputs and initializers. */
  producer: Node | undefined
  /** The nodes that take it as an input, nodes of subgraphs included. */
  readonly users = new Set<Node>()
  /** What the file said beyond this class; only proto.ts reads it. */
  extra: unknown

  constructor(name: string, rest: { type?: ValueType; tensor?: Tensor; extra?: unknown } = {}) {
    this.name = name
    this.type = rest.type
    this.tensor = rest.tensor
    this.extra = rest.extra
  }
}

/** An attribute of a node. Integers are plain numbers; INT64_MAX and its like are saturated on saving. */
export type Attribute = (
  | { readonly type: 'float' | 'int'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'floats' | 'ints'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  /** Kinds that no stage works with (types, sparse tensors, references to a function's attribute). */
  | { readonly type: 'other'; readonly value: undefined }
) & { readonly extra?: unknown }

/** One operation. Change its inputs with `setInput`, so that the values know of it. */
export class Node {
  name: string
  opType: string
  /** '' is the standard domain. */
  domain: string
  readonly attributes: Map<string, Attribute>
  extra: unknown
  readonly #inputs: (Value | undefined)[] = []
  readonly #outputs: (Value | undefined)[] = []

  constructor(
    opType: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly (Value | undefined)[],
    rest: {
      name?: string
      domain?: string
      attributes?: Iterable<readonly [string, Attribute]>
      extra?: unknown
    } = {},
  ) {
    this.opType = opType
    this.domain = rest.domain ?? ''
    this.name = rest.name ?? ''
    this.attributes = new Map(rest.attributes)
    this.extra = rest.extra
    for (const [index, input] of inputs.entries()) this.setInput(index, input)
    for (const [index, output] of outputs.entries()) this.setOutput(index, output)
  }

  /** Inputs in order; an omitted optional input is undefined. */
  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs
  }

  /** Outputs in order; an omitted optional output is undefined. */
  get outputs(): readonly (Value | undefined)[] {
    return this.#outputs
  }

  /** Replaces (or appends) one input. */
  setInput(index: number, value: Value | undefined): void {
    const before = this.#inputs[index]
    while (this.#inputs.length < index) this.#inputs.push(undefined)
    this.#inputs[index] = value
    if (before && !this.#inputs.includes(before)) before.users.delete(this)
    value?.users.add(this)
  }

  /** Cuts the list of inputs to a length. */
  truncateInputs(length: number): void {
    for (let index = length; index < this.#inputs.length; index++) this.setInput(index, undefined)
    this.#inputs.length = Math.min(length, this.#inputs.length)
  }

  /** Replaces (or appends) one output; the value before loses its producer. */
  setOutput(index: number, value: Value | undefined): void {
    const before = this.#outputs[index]
    if (before?.producer === this) before.producer = undefined
    while (this.#outputs.length < index) this.#outputs.push(undefined)
    this.#outputs[index] = value
    if (value) value.producer = this
  }

  /** The input at an index, which must be there. */
  input(index: number): Value {
    const value = this.#inputs[index]
    if (!value) throw new Error(`internal: ${this.opType} '${this.name}' has no input ${index}`)
    return value
  }

  /** The output at an index (the first one unless told), which must be there. */
  output(index = 0): Value {
    const value = this.#outputs[index]
    if (!value) throw new Error(`internal: ${this.opType} '${this.name}' has no output ${index}`)
    return value
  }

  /** An int or float attribute. */
  number(name: string, fallback: number): number
  number(name: string): number | undefined
  number(name: string, fallback?: number): number | undefined {
    const attribute = this.attributes.get(name)
    return attribute?.type === 'int' || attribute?.type === 'float' ? attribute.value : fallback
  }

  /** An ints or floats attribute. */
  numbers(name: string, fallback: readonly number[]): readonly number[]
  numbers(name: string): readonly number[] | undefined
  numbers(name: string, fallback?: readonly number[]): readonly number[] | undefined {
    const attribute = this.attributes.get(name)
    return attribute?.type === 'ints' || attribute?.type === 'floats' ? attribute.value : fallback
  }

  /** A string attribute. */
  string(name: string, fallback: string): string {
    const attribute = this.attributes.get(name)
    return attribute?.type === 'string' ? attribute.value : fallback
  }

  /** The graphs among the attributes (the branches of If, the body of Loop and Scan). */
  get subgraphs(): readonly Graph[] {
    return [...this.attributes.values()].flatMap((attribute) =>
      attribute.type === 'graph'
        ? [attribute.value]
        : attribute.type === 'graphs'
          ? attribute.value
          : [],
    )
  }
}

/** The name of a node's operator as tables have it: with its domain, where that is not ONNX's own. */
export const operatorOf = ({ domain, opType }: Pick<Node, 'domain' | 'opType'>): string =>
  domain ? `${domain}.${opType}` : opType

/** Nodes in topological order with their inputs, outputs and initializers. */
export class Graph {
  name: string
  readonly inputs: Value[] = []
  readonly outputs: Value[] = []
  /** Values with a tensor that no node makes. (In old files they are listed in `inputs` too.) */
  readonly initializers = new Set<Value>()
  extra: unknown
  readonly #nodes: Node[] = []
  /** Every taken name, with the number to try next where it is a base of others. */
  readonly #names: Map<string, number>

  /** `parent` is the graph whose values a subgraph may use; names are unique in the whole family. */
  constructor(name: string, parent?: Graph) {
    this.name = name
    this.#names = parent ? parent.#names : new Map()
  }

  /** The nodes as they are now; the list may be walked while the graph is edited. */
  get nodes(): readonly Node[] {
    return [...this.#nodes]
  }

  /** A name that nothing in this graph or its subgraphs has, made from a base. */
  uniqueName(base: string): string {
    let count = this.#names.get(base)
    if (count === undefined) {
      this.#names.set(base, 1)
      return base
    }
    while (this.#names.has(`${base}_${count}`)) count++
    this.#names.set(base, count + 1)
    this.#names.set(`${base}_${count}`, 1)
    return `${base}_${count}`
  }

  /** Every name that is taken in this graph and those it shares names with. */
  get names(): Iterable<string> {
    return this.#names.keys()
  }

  /** Marks a name as taken (proto.ts does so for all names of a file). */
  reserveName(name: string): void {
    if (!this.#names.has(name)) this.#names.set(name, 1)
  }

  /** Gives up a name that nothing has any more. */
  freeName(name: string): void {
    this.#names.delete(name)
  }

  /** Adds an initializer under a name made unique. */
  addInitializer(name: string, tensor: Tensor): Value {
    const value = new Value(this.uniqueName(name), {
      tensor,
      type: { dtype: tensor.dtype, shape: tensor.dims },
    })
    this.initializers.add(value)
    return value
  }

  /** Adds a graph input under a name made unique. */
  addInput(name: string, type: ValueType): Value {
    const value = new Value(this.uniqueName(name), { type })
    this.inputs.push(value)
    return value
  }

  /** Appends nodes, or puts them before another. */
  add(nodes: Node | readonly Node[], before?: Node): void {
    const list = nodes instanceof Node ? [nodes] : nodes
    const index = before ? this.#nodes.indexOf(before) : this.#nodes.length
    if (index < 0) throw new Error(`internal: '${before?.name}' is not in graph '${this.name}'`)
    this.#nodes.splice(index, 0, ...list)
  }

  /** Removes a node; its inputs forget it. Its outputs stay, without a producer. */
  remove(node: Node): void {
    const index = this.#nodes.indexOf(node)
    if (index < 0) throw new Error(`internal: '${node.name}' is not in graph '${this.name}'`)
    this.#nodes.splice(index, 1)
    node.truncateInputs(0)
    for (const output of node.outputs) if (output?.producer === node) output.producer = undefined
  }

  /** Keeps the nodes for which the predicate holds, in one pass. */
  retain(keep: (node: Node) => boolean): void {
    const removed = this.#nodes.filter((node) => !keep(node))
    const kept = this.#nodes.filter(keep)
    this.#nodes.length = 0
    for (const node of kept) this.#nodes.push(node)
    for (const node of removed) {
      node.truncateInputs(0)
      for (const output of node.outputs) if (output?.producer === node) output.producer = undefined
    }
  }

  /** Sets the order of the nodes (a permutation of them). */
  reorder(nodes: readonly Node[]): void {
    this.#nodes.length = 0
    for (const node of nodes) this.#nodes.push(node)
  }

  /** Lets every user of a value, and the graph's outputs, use another instead. */
  replaceUses(value: Value, replacement: Value): void {
    for (const user of [...value.users])
      for (const [index, input] of user.inputs.entries())
        if (input === value) user.setInput(index, replacement)
    for (const [index, output] of this.outputs.entries())
      if (output === value) this.outputs[index] = replacement
  }

  /** Inputs that a caller has to feed: those that are not initializers as well. */
  get feeds(): readonly Value[] {
    return this.inputs.filter((input) => !input.tensor)
  }
}

/** A graph with what a file says around it. */
export interface Model {
  graph: Graph
  /** Operator set version by domain; '' is the standard domain. */
  readonly opsets: Map<string, number>
  irVersion: number
  /** Free text by key; stages keep what they do not understand. */
  readonly metadata: Map<string, string>
  /** Functions, producer and whatever else the file said; only proto.ts reads it. */
  extra: unknown
}

/** The constant content of a value: an initializer's, or a Constant node's tensor. */
export function constantOf(value: Value | undefined): Tensor | undefined {
  if (value?.tensor) return value.tensor
  const attribute =
    value?.producer?.opType === 'Constant' ? value.producer.attributes.get('value') : undefined
  return attribute?.type === 'tensor' ? attribute.value : undefined
}

/** Every node of a graph and of its subgraphs, outer nodes first. */
export function* allNodes(graph: Graph): Generator<Node> {
  for (const node of graph.nodes) {
    yield node
    for (const subgraph of node.subgraphs) yield* allNodes(subgraph)
  }
}

/** Names version 1 of every domain of the model's nodes that it does not name yet. */
export function declareDomains({ graph, opsets }: Model): void {
  for (const { domain } of allNodes(graph)) if (!opsets.has(domain)) opsets.set(domain, 1)
}

/** The opset of the standard domain. */
export const opsetOf = (model: Model): number => model.opsets.get('') ?? 1
