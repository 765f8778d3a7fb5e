// Rules of the operators that move elements: join them, turn axes, take axes of size 1 in and out.
import { statedShape } from '../onnx/multiplications.ts'
import { namedAxes, type Rule } from './rule.ts'
import { axesOf, remainingAxes, slot, type Tie, tie } from './ties.ts'

/** The inputs lie one after the other along the axis. */
export const concat: Rule = {
  ties(node) {
    const output = node.output()
    const joined = slot(output, node.number('axis', 0)).axis
    let offset = 0
    const ties = node.inputs.flatMap((input): Tie[] => {
      if (!input) return []
      const start = offset
      offset += statedShape(input)?.[joined] ?? 0
      return axesOf(input).map((axis) => ({
        from: slot(input, axis),
        to: slot(output, axis),
        map: (index) => (axis === joined ? start + index : index),
      }))
    })
    return { ties }
  },
}

/** Axes change places. */
export const transpose: Rule = {
  ties(node) {
    const axes = axesOf(node.input(0))
    const order = node.numbers('perm', axes.toReversed())
    return {
      ties: order.map((from, to) => tie(slot(node.input(0), from), slot(node.output(), to))),
    }
  },
}

/** Named axes of size 1 go. */
export const squeeze: Rule = {
  ties(node) {
    const axes = namedAxes(node, node.input(0))
    if (!axes) return 'computes its axes'
    // Channels that were cut down to one would be squeezed, too.
    if (axes.length === 0) return 'squeezes whatever has size 1'
    return { ties: remainingAxes(node.input(0), node.output(), new Set(axes), true) }
  },
}

/** Axes of size 1 come in. */
export const unsqueeze: Rule = {
  ties(node) {
    const axes = namedAxes(node, node.output())
    if (!axes) return 'computes its axes'
    return { ties: remainingAxes(node.output(), node.input(0), new Set(axes), true) }
  },
}
