// Operators that lay elements out, row-major, in another shape (Reshape, Flatten): which axes survive.

import type { Node, Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import { canFit, extentsOf } from './extents.ts'
import { fitTo } from './fit.ts'
import type { Rule } from './rule.ts'
import { shuffled, shuffleFrom, shuffleTo, writeShuffle } from './shuffle.ts'
import { axesOf, type Slot, slot, type Tie, type Ties, tie } from './ties.ts'

/** Axes are merged or split; sizes in the shape follow the cut. */
export const reshape: Rule = {
  ties(node, { outputs }) {
    const shape = node.inputs[1] ? extentsOf(node.inputs[1]) : []
    if (!shape) return 'computes its shape from data'
    // A size that is a sum of others could not be brought in line.
    const fits = ({ from, to }: Tie) =>
      [from, to].every(
        ({ value, axis }) => value !== node.output() || !shape[axis] || canFit(shape[axis]),
      )
    const { ties, choices = [] } = reshapedAxes(node)
    const found = { ties: ties.filter(fits), choices: choices.map((list) => list.filter(fits)) }
    const shuffle = shuffleFrom(node, outputs) ?? shuffleTo(node, outputs)
    return shuffle ? shuffled(node, shuffle, found) : found
  },
  adjust(node, change) {
    const { graph, sizeOf } = change
    const shuffle = shuffleTo(node, new Set(graph.outputs), change.shapeBefore)
    if (shuffle && change.kept(shuffle.first.input(0), shuffle.axis)) {
      writeShuffle(shuffle, change)
      return
    }
    const [x, y] = [node.input(0), node.output()]
    const copies = node.number('allowzero', 0) === 0
    // Zeros and -1 follow the input by themselves.
    const follows = (amount: number, axis: number) =>
      amount === -1 || (amount === 0 && copies && sizeOf(x, axis) === sizeOf(y, axis))
    const inLine = (before: readonly number[]) =>
      before.map((amount, axis) => (follows(amount, axis) ? amount : sizeOf(y, axis)))
    const shape = node.numbers('shape')
    if (shape) node.attributes.set('shape', { type: 'ints', value: inLine(shape) })
    else fitTo(graph, node, 1, inLine(extentsOf(node.input(1))!.map(({ amount }) => amount)))
  },
}

/** Flatten; it has no shape of its own to keep in line. */
export const flatten: Rule = { ties: reshapedAxes }

/**
 * The ties of a node that lays the elements of its first input out, row-major, in another shape.
 *
 * Axes that stay are tied as they are. Where axes are merged or split, any one of the factors that they are made of
 * could be the one that keeps channels apart: that is a choice. `[N, C, H, W]` to `[N, C * H * W]` lets each of the
 * C channels become H * W consecutive indices; `[N, H, W, 3 * 4]` to `[N, H * W * 3, 4]` can lose any of the 4.
 */
export function reshapedAxes(node: Node): Ties {
  const ties: Tie[] = []
  const choices: Tie[][] = []
  for (const [before, after] of runs(realAxes(node.input(0)), realAxes(node.output()))) {
    if (before.length === 1 && after.length === 1) ties.push(tie(before[0]!, after[0]!))
    else choices.push(factorsOf(before, after))
  }
  return { ties, choices }
}

/** Ties of every axis that is one factor of an axis on the other side, from the latter. */
function factorsOf(before: readonly Slot[], after: readonly Slot[]): Tie[] {
  const [left, right] = [strided(before), strided(after)]
  const bounds = [...new Set([...left, ...right].map(({ stride }) => stride))].sort((a, b) => b - a)
  // Axes that overlap without one being a multiple of the other leave nothing apart.
  if (bounds.some((bound, index) => index > 0 && bounds[index - 1]! % bound !== 0)) return []
  const within = (axes: readonly Strided[], stride: number) =>
    axes.find((axis) => axis.stride <= stride && stride < axis.stride * axis.size)!
  return bounds.flatMap((stride): Tie[] => {
    const [a, b] = [within(left, stride), within(right, stride)]
    const [whole, part] = a.size <= b.size ? [b, a] : [a, b]
    const isFactor = part.stride === stride && whole.stride * whole.size >= part.stride * part.size
    if (!isFactor || whole.stride > part.stride) return []
    const step = part.stride / whole.stride
    return [
      { from: whole.slot, to: part.slot, map: (index) => Math.floor(index / step) % part.size },
    ]
  })
}

interface Strided {
  readonly slot: Slot
  readonly size: number
  /** How many elements of the run lie between neighbouring indices of the axis. */
  readonly stride: number
}

function strided(axes: readonly Slot[]): Strided[] {
  let stride = 1
  return axes
    .toReversed()
    .map((axis) => {
      const own = { slot: axis, size: sizeOf(axis), stride }
      stride *= own.size
      return own
    })
    .reverse()
}

/** Axes of size 1 hold nothing that could be cut, and fit in anywhere. */
const realAxes = (value: Value): Slot[] =>
  axesOf(value)
    .map((axis) => slot(value, axis))
    .filter((part) => sizeOf(part) !== 1)

const sizeOf = ({ value, axis }: Slot): number => statedShape(value)?.[axis] ?? 0

/** Splits two shapes into the shortest runs of axes that hold equally many elements. */
function runs(before: readonly Slot[], after: readonly Slot[]): (readonly [Slot[], Slot[]])[] {
  const found: (readonly [Slot[], Slot[]])[] = []
  let [left, right] = [0, 0]
  while (left < before.length && right < after.length) {
    const [startLeft, startRight] = [left, right]
    let sizeLeft = sizeOf(before[left++]!)
    let sizeRight = sizeOf(after[right++]!)
    while (sizeLeft !== sizeRight) {
      const next = sizeLeft < sizeRight ? before[left++] : after[right++]
      // Only an empty tensor runs out of axes; it has no channels.
      if (!next) return []
      if (sizeLeft < sizeRight) sizeLeft *= sizeOf(next)
      else sizeRight *= sizeOf(next)
    }
    found.push([before.slice(startLeft, left), after.slice(startRight, right)])
  }
  return found
}
