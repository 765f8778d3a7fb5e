// What a channel rule is, and what rules have in common.
import { constantOf, type Graph, type Model, type Node, type Value } from '../onnx/graph.ts'
import { numbers, type Tensor } from '../onnx/tensor.ts'
import { axesOf, keptAxes, slot, type Ties } from './ties.ts'

/**
 * What a rule may ask and do after a cut. It may also set attributes, and write nodes before or after its own with
 * `build(graph, node)`.
 */
export interface Change {
  readonly model: Model
  /** The graph that the node is in. */
  readonly graph: Graph
  /** The size of an axis after the cut. */
  sizeOf(value: Value, axis: number): number
  /** The size of an axis before the cut. */
  sizeBefore(value: Value, axis: number): number
  /** The sizes of all axes before the cut; undefined where they are not known. */
  shapeBefore(value: Value | undefined): readonly number[] | undefined
  /** The indices, of those before the cut, that an axis keeps; undefined where it was not cut. */
  kept(value: Value, axis: number): readonly number[] | undefined
  /** Gives one input of the node a constant of its own. */
  replace(input: number, tensor: Tensor): void
}

/** What a rule may go by besides its node. */
export interface TieContext {
  /** The opset of the standard domain. */
  readonly opset: number
  /** What keeps channels apart where heads and their width are on one axis and either could. */
  readonly split: 'heads' | 'width'
  /** The nodes of the graph that is cut; those of its subgraphs are none of them. */
  readonly nodes: ReadonlySet<Node>
  /** The outputs of the graph. */
  readonly outputs: ReadonlySet<Value>
}

/** What is known of the channels of an operator. */
export interface Rule {
  /** The ties of a node whose shapes are all known, or the reason why there are none. */
  readonly ties: (node: Node, context: TieContext) => Ties | string
  /** Brings attributes and shape constants in line after a cut of any axis of the node's inputs and outputs. */
  readonly adjust?: (node: Node, change: Change) => void
}

/** The axes that a node works along are mixed, all others stay; a string says why that is not known. */
export const mixing = (
  mixed: (node: Node, rank: number, opset: number) => readonly number[] | string,
): Rule => ({
  ties: (node, { opset }) => {
    const axes = mixed(node, axesOf(node.input(0)).length, opset)
    if (typeof axes === 'string') return axes
    return { ties: keptAxes(node, (axis) => !axes.includes(axis)) }
  },
})

/** Numbers that are an input or, in older opsets, an attribute; [] where absent, undefined where computed. */
export function numbersOf(
  node: Node,
  input: number,
  attribute: string,
): readonly number[] | undefined {
  if (!node.inputs[input]) return node.numbers(attribute, [])
  const tensor = constantOf(node.inputs[input])
  return tensor && numbers(tensor)
}

/** The axes that a node names, as axes of a value; [] where it names none, undefined where it computes them. */
export const namedAxes = (node: Node, value: Value): readonly number[] | undefined =>
  numbersOf(node, 1, 'axes')?.map((axis) => slot(value, axis).axis)

/** The whole numbers from `start` to `end` - 1. */
export const range = (start: number, end: number): number[] =>
  Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index)
