// Which axes survive when elements are laid out in another shape (Reshape, Flatten).
import { statedShape } from '../onnx/cost.ts'
import type { Node, Value } from '../onnx/graph.ts'
import { axesOf, type Slot, slot, type Tie, type Ties, tie } from './ties.ts'

/**
 * The ties of a node that lays the elements of its first input out, row-major, in another shape.
 *
 * Axes that stay are tied as they are. Where several axes are merged into one, or one is split into several, any of
 * the several could be the one that keeps channels apart: that is a choice. `[N, C, H, W]` to `[N, C * H * W]` lets
 * each of the C channels become H * W consecutive indices.
 */
export function reshapedAxes(node: Node): Ties {
  const ties: Tie[] = []
  const choices: Tie[][] = []
  for (const [before, after] of runs(realAxes(node.input(0)), realAxes(node.output()))) {
    const [first, second] = [before[0]!, after[0]!]
    if (before.length === 1 && after.length === 1) ties.push(tie(first, second))
    else if (after.length === 1) choices.push(partsOf(second, before))
    else if (before.length === 1) choices.push(partsOf(first, after))
  }
  return { ties, choices }
}

/** Ties of one axis to each of the axes that lie in it row-major. */
function partsOf(merged: Slot, parts: readonly Slot[]): Tie[] {
  return parts.map((to, index) => {
    const size = sizeOf(to)
    const stride = parts.slice(index + 1).reduce((product, part) => product * sizeOf(part), 1)
    return { from: merged, to, map: (position) => Math.floor(position / stride) % size }
  })
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
