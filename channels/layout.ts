// Rules of the operators that move elements: join, turn, drop, pad, cut and lay them out anew.
import { statedShape } from '../onnx/cost.ts'
import { tensorOf } from '../onnx/tensor.ts'
import { reshapedAxes } from './reshape.ts'
import { mixing, namedAxes, numbersOf, type Rule, range } from './rule.ts'
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

/** An axis keeps its indices apart when nothing is put before or after it. */
export const pad = mixing((node, rank) => {
  const amounts = numbersOf(node, 1, 'pads')
  const chosen = numbersOf(node, 3, 'axes')
  if (!amounts || !chosen) return 'computes its padding'
  const axes = chosen.length > 0 ? chosen.map((axis) => (axis + rank) % rank) : range(0, rank)
  return axes.filter((_, index) => amounts[index] !== 0 || amounts[index + axes.length] !== 0)
})

/** The axes that are not sliced stay whole. */
export const slice = mixing((node, rank) => {
  const starts = numbersOf(node, 1, 'starts')
  const axes = numbersOf(node, 3, 'axes')
  if (!starts || !axes) return 'computes its axes'
  return axes.length > 0 ? axes.map((axis) => (axis + rank) % rank) : range(0, starts.length)
})

/** Axes are merged or split; sizes in the shape follow the cut. */
export const reshape: Rule = {
  ties: (node) => (numbersOf(node, 1, 'shape') ? reshapedAxes(node) : 'computes its shape'),
  adjust(node, { sizeOf, replace }) {
    const before = numbersOf(node, 1, 'shape') ?? []
    // Zeros and -1 follow the input by themselves.
    const after = before.map((size, axis) => (size > 0 ? sizeOf(node.output(), axis) : size))
    if (after.every((size, axis) => size === before[axis])) return
    if (node.inputs[1]) replace(1, tensorOf('int64', [after.length], after))
    else node.attributes.set('shape', { type: 'ints', value: after })
  },
}

/** Flatten; it has no shape of its own to keep in line. */
export const flatten: Rule = { ties: reshapedAxes }
