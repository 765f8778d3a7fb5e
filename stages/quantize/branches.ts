// The branches of If, for the schemes of integers: a branch is a graph of its own, in which layers are found, measured and
// written as they are in the graph around it.
import { hashOf, sha256 } from '../../base/hash.ts'
import { type Builder, build } from '../../onnx/build.ts'
import { type Graph, type Model, type Node, Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { foldConstants } from '../../runtime/fold.ts'

/** The branches of a node, if it is an If. Bodies of Loop and Scan are none: in them a value has many contents a run. */
const branchesOfNode = (node: Node): readonly Graph[] =>
  node.opType === 'If' && node.domain === '' ? node.subgraphs : []

/** A graph and the branches of If in it, outer ones first. */
export function withBranches(graph: Graph): Graph[] {
  return [graph, ...graph.nodes.flatMap(branchesOfNode).flatMap(withBranches)]
}

/**
 * Computes in every branch once what depends on constants alone, in place, as exporters leave it of the weights of an LSTM.
 *
 * What comes out alike in several branches is stored once, around them. What a file says of shapes in a branch holds for
 * the sizes that it was written with only, so it is forgotten.
 */
export async function foldBranches(model: Model, where: string): Promise<void> {
  const [, ...branches] = withBranches(model.graph)
  for (const graph of branches) {
    for (const node of graph.nodes) for (const output of node.outputs) forget(graph, output)
    await foldConstants({ ...model, graph }, where)
  }
  storeOnce(model.graph, branches)
}

/** Constants of fewer bytes may stand in several branches. */
const worthSharing = 1024

/** Moves constants that several branches have into the graph around them. */
function storeOnce(graph: Graph, branches: readonly Graph[]): void {
  const known = new Map<string, { readonly value: Value; readonly branch: Graph }>()
  for (const branch of branches)
    for (const value of [...branch.initializers]) {
      const { tensor } = value
      if (!tensor || tensor.byteLength < worthSharing || branch.outputs.includes(value)) continue
      const content = hashOf([tensor.dtype, tensor.dims, sha256(tensor.bytes)])
      const first = known.get(content)
      if (!first) {
        known.set(content, { value, branch })
        continue
      }
      if (first.branch.initializers.delete(first.value)) {
        first.value.name = graph.uniqueName(first.value.name)
        graph.initializers.add(first.value)
      }
      branch.initializers.delete(value)
      branch.replaceUses(value, first.value)
    }
}

function forget(graph: Graph, value: Value | undefined): void {
  if (!value) return
  const isResult = graph.outputs.includes(value)
  value.type = isResult && value.type ? { dtype: value.type.dtype } : undefined
}

/**
 * Makes what `write` makes of named values in branches outputs of the If, and of every If around that, in place; gives them
 * by the name of the value. Where another branch is taken they are empty.
 */
export function bringOut(
  graph: Graph,
  names: ReadonlySet<string>,
  write: (g: Builder, value: Value) => readonly Value[],
): ReadonlyMap<string, readonly Value[]> {
  const out = new Map<string, readonly Value[]>()
  for (const node of graph.nodes) {
    const branches = branchesOfNode(node)
    const found = branches.map((branch) => wantedIn(branch, names, write))
    for (const [index, branch] of branches.entries())
      for (const [name, values] of found[index]!) {
        branch.outputs.push(...values)
        const others = branches.filter((other) => other !== branch)
        for (const other of others) other.outputs.push(...values.map(() => emptyIn(other)))
        const given = values.map(() => new Value(graph.uniqueName('brought')))
        for (const value of given) node.setOutput(node.outputs.length, value)
        out.set(name, given)
      }
  }
  return out
}

/** What is wanted of the values of a branch and of those in it. */
function wantedIn(
  branch: Graph,
  names: ReadonlySet<string>,
  write: (g: Builder, value: Value) => readonly Value[],
): ReadonlyMap<string, readonly Value[]> {
  const own = branch.nodes.flatMap(({ outputs }) =>
    outputs.filter((output) => output !== undefined && names.has(output.name)),
  ) as Value[]
  const deeper = bringOut(branch, names, write)
  const g = build(branch)
  return new Map([...deeper, ...own.map((value) => [value.name, write(g, value)] as const)])
}

/** An output of a branch without any element. */
const emptyIn = (branch: Graph): Value =>
  build(branch).Identity(tensorOf('float32', [0], new Float32Array(0)))
