// What a channel rule is, and what rules have in common.
import { constantOf, type Node, type Value } from '../onnx/graph.ts'
import { numbers, type Tensor } from '../onnx/tensor.ts'
import { axesOf, keptAxes, slot, type Ties } from './ties.ts'

/** What a rule may ask and do after a cut. */
export interface Change {
  /** The size of an axis after the cut. */
  sizeOf(value: Value, axis: number): number
  /** Gives one input of the node a constant of its own. */
  replace(input: number, tensor: Tensor): void
}

/** What is known of the channels of an operator. */
export interface Rule {
  /** The ties of a node whose shapes are all known, or the reason why there are none. */
  readonly ties: (node: Node) => Ties | string
  /** Brings attributes and shape constants in line after a cut. */
  readonly adjust?: (node: Node, change: Change) => void
}

/** The axes that a node works along are mixed, all others stay; a string says why that is not known. */
export const mixing = (mixed: (node: Node, rank: number) => readonly number[] | string): Rule => ({
  ties: (node) => {
    const axes = mixed(node, axesOf(node.input(0)).length)
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
