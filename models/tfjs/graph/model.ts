// Walks the nodes of a graph model that its outputs need, and writes each through its rule.
import { z } from 'zod'
import { UserError } from '../../../base/errors.ts'
import type { Dim } from '../../../onnx/graph.ts'
import type { Tensor } from '../../../onnx/tensor.ts'
import { firstIssue, type ModelFile, plainName } from '../model-file.ts'
import type { Term } from '../term.ts'
import type { Writer } from '../writer.ts'
import { contentOf } from './content.ts'
import { type GraphNode, graphDefinition, graphNode } from './node.ts'
import { operatorRules } from './table.ts'

/** Nodes that the walk writes itself. */
const ends: ReadonlySet<string> = new Set(['Placeholder', 'PlaceholderV2', 'Const', 'NoOp'])

const tensorInfo = z.object({ name: plainName })
const signature = z.object({
  inputs: z.record(plainName, tensorInfo).nullish(),
  outputs: z.record(plainName, tensorInfo).nullish(),
})

/** Writes a graph model and its outputs. */
export function writeGraphModel(
  w: Writer,
  file: ModelFile,
  tensors: ReadonlyMap<string, Tensor>,
): void {
  const parsed = graphDefinition.safeParse(file.modelTopology)
  if (!parsed.success)
    throw new UserError(`${w.where}: no GraphDef: ${firstIssue(parsed.error)} — convert it again`)
  const nodes = new Map(parsed.data.node.map((each) => [each.name, graphNode(each, w.where)]))
  const { inputNames, outputs } = interfaceOf(w, file, nodes)
  const order = sorted(
    w,
    nodes,
    outputs.map(({ from }) => nodeOf(from)),
  )
  refuseUnknown(w, order)

  const made = new Map<string, readonly Term[]>()
  // Placeholders come in the order of the file, used or not: they are the interface.
  for (const node of nodes.values())
    if (node.op.startsWith('Placeholder') && !node.op.endsWith('WithDefault'))
      made.set(node.name, [placeholder(w, node, inputNames.get(node.name) ?? node.name)])
  const find = (reference: string): Term => {
    const term = made.get(nodeOf(reference))?.[indexOf(reference)]
    if (term) return term
    throw new UserError(`${w.where}: no output '${reference}' is made — convert the model again`)
  }
  for (const node of order) {
    if (made.has(node.name)) continue
    if (node.op === 'Const') made.set(node.name, [constant(w, node, tensors)])
    else made.set(node.name, written(w, node, node.inputs.map(find)))
  }
  for (const { name, from } of outputs) w.output(name, find(from))
}

/** `scope/name:1` is the second output of `scope/name`. */
const nodeOf = (reference: string): string => reference.replace(/(:[^/:]*)+$/, '')
const indexOf = (reference: string): number => {
  const index = Number(reference.split(':').at(-1))
  return reference.includes(':') && Number.isInteger(index) ? index : 0
}

/** Inputs and outputs by the names that TensorFlow.js gives them: a signature's keys, else the nodes' names. */
function interfaceOf(w: Writer, file: ModelFile, nodes: ReadonlyMap<string, GraphNode>) {
  const metadata = z.object({ signature }).safeParse(file.userDefinedMetadata)
  const given = signature.safeParse(file.signature)
  const { inputs, outputs } = given.success
    ? given.data
    : metadata.success
      ? metadata.data.signature
      : {}
  const inputNames = new Map(
    Object.entries(inputs ?? {}).map(([key, { name }]) => [nodeOf(name), key]),
  )
  const named = Object.entries(outputs ?? {}).flatMap(([key, { name }]) =>
    nodes.has(nodeOf(name)) ? [{ name: key, from: name }] : [],
  )
  const used = new Set([...nodes.values()].flatMap((node) => node.inputs.map(nodeOf)))
  const last = [...nodes.values()].filter((node) => !used.has(node.name) && !ends.has(node.op))
  const found = named.length > 0 ? named : last.map(({ name }) => ({ name, from: name }))
  if (found.length === 0) throw new UserError(`${w.where}: a graph without outputs`)
  return { inputNames, outputs: found }
}

/** The nodes that some need, each after what it needs; depth first without recursion, since graphs are deep. */
function sorted(
  w: Writer,
  nodes: ReadonlyMap<string, GraphNode>,
  wanted: readonly string[],
): readonly GraphNode[] {
  const order: GraphNode[] = []
  const state = new Map<string, 'open' | 'done'>()
  const pending = [...wanted].reverse()
  while (pending.length > 0) {
    const name = pending.at(-1)!
    const node = nodes.get(name)
    if (!node) throw new UserError(`${w.where}: no node '${name}' — convert the model again`)
    if (state.has(name)) {
      pending.pop()
      if (state.get(name) === 'open') order.push(node)
      state.set(name, 'done')
      continue
    }
    state.set(name, 'open')
    for (const input of node.inputs.map(nodeOf)) {
      if (state.get(input) === 'open')
        throw new UserError(`${w.where}: nodes in a circle at '${input}' — loops are not converted`)
      if (!state.has(input)) pending.push(input)
    }
  }
  return order
}

function refuseUnknown(w: Writer, order: readonly GraphNode[]): void {
  const unknown = new Map<string, string>()
  for (const { op, name } of order)
    if (!operatorRules.has(op) && !ends.has(op) && !unknown.has(op)) unknown.set(op, name)
  if (unknown.size === 0) return
  const list = [...unknown].map(([op, name]) => `${op} ('${name}')`).join(', ')
  throw new UserError(
    `${w.where}: operators that are not converted: ${list} — replace them, or convert the model to ONNX elsewhere`,
  )
}

function placeholder(w: Writer, node: GraphNode, name: string): Term {
  const shape = node.shape('shape')
  const dtype = node.type('dtype')
  if (!shape)
    throw new UserError(
      `${w.where}: input '${name}' has no known number of axes — convert the model with its input's shape`,
    )
  if (!dtype)
    throw new UserError(
      `${w.where}: input '${name}' has a dtype that is not converted — use numbers`,
    )
  const dims = shape.map((dim, axis): Dim => dim ?? (axis === 0 ? 'N' : `${name}_${axis}`))
  return w.input(name, { dtype, shape: dims })
}

function constant(w: Writer, node: GraphNode, tensors: ReadonlyMap<string, Tensor>): Term {
  const tensor = tensors.get(node.name)
  if (!tensor)
    throw new UserError(
      `${w.where}: Const '${node.name}' is not in the manifest — convert the model again`,
    )
  return { ...w.constant(node.name, () => tensor), content: contentOf(tensor) }
}

function written(w: Writer, node: GraphNode, inputs: readonly Term[]): readonly Term[] {
  const missing = (index: number) =>
    new UserError(`${w.where}: ${node.op} '${node.name}' has no input ${index} — convert it again`)
  const input = (index: number): Term => {
    const term = inputs[index]
    if (!term) throw missing(index)
    return term
  }
  const rule = operatorRules.get(node.op)
  if (!rule) throw new UserError(`${w.where}: ${node.op} '${node.name}' makes nothing`)
  const result = rule({ w, node, inputs, x: input(0), input })
  return Array.isArray(result) ? result : [result as Term]
}
