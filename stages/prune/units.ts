// What can go as a whole: residual branches, whose sums then are the identity, and blocks that a model repeats.
import { repeatedBlocks } from '../../models/blocks.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Graph, Model, Node, Value } from '../../onnx/graph.ts'
import { layerName } from '../../onnx/layers.ts'
import { bypass } from '../../onnx/passes/bypass.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'

/** A part of a graph that can be left out: its exit has the type of its entry. */
export interface Unit {
  /** The name of its first layer with weights. */
  readonly name: string
  readonly entry: Value
  readonly exit: Value
  /** The nodes that nobody needs without it, in the order of the graph. */
  readonly nodes: readonly Node[]
}

/** The kinds of units. */
export const unitNames = ['branch', 'block'] as const

/** The name of a kind of units. */
export type UnitName = (typeof unitNames)[number]

/** Finds the units of a kind in a model whose values state their shapes, in the order of the graph. */
export const findUnits = (model: Model, kind: UnitName): Unit[] => finders[kind](model.graph)

const finders: Readonly<Record<UnitName, (graph: Graph) => Unit[]>> = {
  branch: residualBranches,
  /** Blocks in a row that compute the same with weights of their own, and whose inputs and outputs are alike. */
  block: (graph) =>
    repeatedBlocks(graph, ({ type }) => type)
      .flat()
      .flatMap(({ entry, exit, nodes }) => unitOf(entry, exit, nodes)),
}

/** A copy of the model without some units, found by the names of their values. */
export function withoutUnits(model: Model, units: readonly Unit[]): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  const values = new Map<string, Value>()
  for (const value of [...graph.inputs, ...graph.nodes.flatMap(({ outputs }) => outputs)])
    if (value) values.set(value.name, value)
  const passed = new Map<Value, Value>()
  for (const { entry, exit } of units) {
    const [from, to] = [values.get(exit.name), values.get(entry.name)]
    if (!from || !to) throw new Error(`internal: no values '${entry.name}' and '${exit.name}'`)
    // What went in may be what came out of a unit that is gone.
    let instead = to
    for (let next = passed.get(instead); next; next = passed.get(instead)) instead = next
    bypass(graph, from, instead)
    passed.set(from, instead)
  }
  removeDeadNodes(graph)
  return copy
}

const sums: ReadonlySet<string> = new Set(['Add', 'Sum'])

/** The branches f of sums x + f(x) whose shape is that of x; those without weights are none. */
function residualBranches(graph: Graph): Unit[] {
  const position = new Map(graph.nodes.map((node, index) => [node, index]))
  const outputs = new Set(graph.outputs)
  return graph.nodes.flatMap((node) => {
    const [a, b] = node.inputs
    if (node.domain !== '' || !sums.has(node.opType) || node.inputs.length !== 2) return []
    if (!a || !b || a === b || a.tensor || b.tensor) return []
    for (const [trunk, branch] of [
      [a, b],
      [b, a],
    ] as const)
      if (isAlike(trunk, node.output()) && leadsTo(trunk, branch, position))
        return unitOf(trunk, node.output(), neededFor(node, trunk, outputs, position))
    return []
  })
}

/** True where both state the same shape; a free dimension has to have a name. */
function isAlike({ type: one }: Value, { type: other }: Value): boolean {
  const [a, b] = [one?.shape, other?.shape]
  return (
    a !== undefined &&
    a.length === b?.length &&
    a.every((dim, axis) => dim !== undefined && dim === b[axis])
  )
}

/** True where there is a way from a value to another that it was there before. */
function leadsTo(from: Value, to: Value, position: ReadonlyMap<Node, number>): boolean {
  const first = from.producer ? position.get(from.producer)! : -1
  const seen = new Set<Node>()
  const open = [to]
  for (const value of open) {
    if (value === from) return true
    const maker = value.producer
    // Nothing before the value depends on it.
    if (!maker || seen.has(maker) || (position.get(maker) ?? -1) <= first) continue
    seen.add(maker)
    for (const input of maker.inputs) if (input) open.push(input)
  }
  return false
}

/** The sum itself and the nodes behind the trunk that it alone needs, in the order of the graph. */
function neededFor(
  sum: Node,
  trunk: Value,
  outputs: ReadonlySet<Value>,
  position: ReadonlyMap<Node, number>,
): Node[] {
  const found = new Set<Node>([sum])
  const open = sum.inputs.filter((input) => input !== undefined)
  for (const value of open) {
    const { producer } = value
    if (value === trunk || !producer || found.has(producer) || !position.has(producer)) continue
    const isNeeded = producer.outputs.some(
      (output) =>
        output && (outputs.has(output) || [...output.users].some((one) => !found.has(one))),
    )
    // Where another user turns out to be needed for this alone, the maker is looked at again from there.
    if (isNeeded) continue
    found.add(producer)
    for (const input of producer.inputs) if (input) open.push(input)
  }
  return [...found].sort((a, b) => position.get(a)! - position.get(b)!)
}

/** A unit, where its nodes have weights. */
function unitOf(entry: Value, exit: Value, nodes: readonly Node[]): Unit[] {
  const first = nodes.find(({ inputs }) => inputs.some(isWeight))
  return first ? [{ name: layerName(first), entry, exit, nodes }] : []
}

/** The float constants of more than one element that a unit's nodes read. */
export const weightsOf = ({ nodes }: Unit): Value[] => [
  ...new Set(nodes.flatMap(({ inputs }) => inputs.filter(isWeight))),
]

const isWeight = (value: Value | undefined): value is Value =>
  value?.tensor?.dtype === 'float32' && value.tensor.size > 1
