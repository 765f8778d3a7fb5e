// Which layers of a file became which node of the graph that ONNX Runtime made of it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Graph, type Model, type Node, type Value } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { multiplications } from '../../onnx/multiplications.ts'
import type { ProviderName } from '../../runtime/providers.ts'
import { withSession } from '../../runtime/session.ts'

/** What only carries numbers to those who compute. */
export const carriers: ReadonlySet<string> = new Set([
  'Constant',
  'Identity',
  'Cast',
  'QuantizeLinear',
  'DequantizeLinear',
])

/**
 * A copy in which every node has a name of its own, as profiles need it to tell nodes apart; the model itself where it
 * is so already.
 */
export function withOwnNames(model: Model): Model {
  const all = [...allNodes(model.graph)]
  if (new Set(all.map(({ name }) => name)).size === all.length && all.every(({ name }) => name))
    return model
  const copy = cloneModel(model)
  const taken = new Set<string>()
  for (const node of allNodes(copy.graph)) {
    // What a value is called tells of the layer that computes it, not of what carries it on.
    const made = carriers.has(node.opType) ? undefined : node.outputs.find((output) => output)
    const base = node.name || made?.name || node.opType
    let name = base
    for (let count = 2; taken.has(name); count++) name = `${base}_${count}`
    taken.add(name)
    node.name = name
  }
  return copy
}

/**
 * The graph as ONNX Runtime rewrites it on a provider; undefined where that cannot be written, as for graphs of more
 * than 2 GB.
 */
export async function optimizedGraph(
  model: Model | string,
  provider: ProviderName,
): Promise<Graph | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'condense-optimized-'))
  const optimizedFile = join(folder, 'model.onnx')
  try {
    await withSession(model, { provider, optimizedFile }, async () => undefined)
    return (await loadModel(optimizedFile)).graph
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What ONNX Runtime appends to the name of a value when it names the node that makes that value. */
const blocked = /_nchwc(_token_\d+|_\d+)?$/

/** What stands before that where it makes a convolution of a normalization or of a product. */
const rewritten = /_(bn|mul)$/

/** What it appends to a name that is taken. */
const numbered = /_token_\d+$/

/** What it puts before the name of a value that it keeps as float32 where the file has float16. */
const widened = /^InsertedPrecisionFreeCast_/

/** What puts values into another order, shape or type for the kernels, without computing. */
const converters: ReadonlySet<string> = new Set([
  'ReorderInput',
  'ReorderOutput',
  'Transpose',
  'Reshape',
  'Cast',
])

/**
 * Gives the nodes of a file by the name of the node that they became.
 *
 * Rewriting keeps the names of the values that are left, so a node belongs to whoever makes its output. Where that
 * value is gone, the node that has its name took in what follows, up to the next one that multiplies, and a convolution
 * that adds something took in the Add; else it was taken in by the node that uses it. Nodes that are gone for good
 * belong to nobody.
 */
export function originsOf(
  file: Graph,
  optimized: Graph | undefined,
  ran: readonly string[],
): ReadonlyMap<string, readonly Node[]> {
  const nodes = [...allNodes(file)]
  const makers = makersIn(optimized, ran, new Set(nodes.map(({ name }) => name)))
  const byName = new Map(ran.flatMap((name) => [[name.replace(numbered, ''), name] as const]))
  for (const name of ran) byName.set(name, name)
  const adding = addingConvolutions(optimized)
  const owners = new Map<Node, string>()
  const takesIn = new Set<Node>()
  for (const node of nodes) {
    const made = firstKnown(node.outputs, (value) => makers.get(value.name))
    const before = node.inputs.flatMap((input) => input?.producer ?? [])
    const follows = Object.hasOwn(multiplications, node.opType)
      ? undefined
      : before.slice(0, 1).find((first) => takesIn.has(first))
    const added =
      node.opType === 'Add' ? before.find((term) => adding.has(owners.get(term))) : undefined
    const taken = made ?? byName.get(node.name) ?? owners.get((added ?? follows)!)
    if (taken !== undefined) owners.set(node, taken)
    if (taken !== undefined && made === undefined) takesIn.add(node)
  }
  const giveToUsers = (graph: Graph, around: string | undefined): void => {
    // From the end: the users of a value come first.
    for (const node of graph.nodes.toReversed()) {
      const users = node.outputs.flatMap((output) => [...(output?.users ?? [])])
      const owner =
        owners.get(node) ?? users.map((user) => owners.get(user)).find(Boolean) ?? around
      if (owner !== undefined) owners.set(node, owner)
      for (const subgraph of node.subgraphs) giveToUsers(subgraph, owner)
    }
  }
  giveToUsers(file, undefined)
  const origins = new Map<string, Node[]>(ran.map((name) => [name, []]))
  for (const node of nodes) {
    const owner = owners.get(node)
    if (owner !== undefined) origins.get(owner)!.push(node)
  }
  return origins
}

/** The convolutions that add another value to what they compute: they have taken in an Add that follows. */
const addingConvolutions = (optimized: Graph | undefined): ReadonlySet<string | undefined> =>
  new Set(
    (optimized?.nodes ?? []).flatMap(({ opType, name, inputs }) =>
      (opType === 'Conv' || opType === 'FusedConv') && inputs[3] ? [name] : [],
    ),
  )

/** The node that computes each value of the file: not the one that converts it afterwards. */
function makersIn(
  optimized: Graph | undefined,
  ran: readonly string[],
  inFile: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const names = new Set(ran)
  const makers = new Map<string, string>()
  for (const node of optimized ? allNodes(optimized) : []) {
    let maker = node
    while (converters.has(maker.opType) && !inFile.has(maker.name)) {
      const before = maker.inputs[0]?.producer
      if (!before) break
      maker = before
    }
    if (!names.has(maker.name)) continue
    for (const output of node.outputs)
      if (output) makers.set(output.name.replace(widened, ''), maker.name)
  }
  for (const name of ran) {
    if (!blocked.test(name)) continue
    const value = name.replace(blocked, '').replace(widened, '')
    makers.set(value, name)
    const before = value.replace(rewritten, '')
    if (!makers.has(before)) makers.set(before, name)
  }
  return makers
}

/** What is found of the first value of which something is. */
function firstKnown<Found>(
  values: readonly (Value | undefined)[],
  find: (value: Value) => Found | undefined,
): Found | undefined {
  for (const value of values) {
    const found = value && find(value)
    if (found !== undefined) return found
  }
  return undefined
}
