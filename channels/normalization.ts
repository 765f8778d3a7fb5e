// Rules of the norms. Where a norm takes its mean or sum of squares over the channels themselves, a channel that goes
// leaves the statistics to those that remain.

import type { Node } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import { mixing, type Rule } from './rule.ts'
import { axesOf, broadcastAxes, keptAxes, type Role, slot, type Tie, tie } from './ties.ts'

/** Scale, bias, mean and variance have one element for each index of axis 1. */
export const batchNormalization: Rule = {
  ties(node) {
    if (node.number('training_mode', 0)) return 'is in training mode'
    const roles = ['scale', 'bias', 'other', 'other'] as const
    return { ties: [...keptAxes(node), ...vectors(node, 1, roles)] }
  },
}

/** Scale and bias have one element for each index of axis 1; the axes after it are normalised together. */
export const instanceNormalization: Rule = {
  ties: (node) => ({ ties: [...keptAxes(node), ...vectors(node, 1, ['scale', 'bias'])] }),
}

/**
 * The channels of axis 1 are normalised in groups of equally many.
 *
 * Either whole groups go, or the same positions of every group; unless something decides, whichever leaves more to
 * choose from. Before opset 21 scale and bias have one element for each group.
 */
export const groupNormalization: Rule = {
  ties(node) {
    const channels = slot(node.output(), 1)
    const count = statedShape(channels.value)?.[1] ?? 0
    const groups = node.number('num_groups', 1)
    const each = count / groups
    const byGroup = statedShape(node.input(1))?.[0] === groups && each > 1
    const whole = byGroup || groups >= each
    const alike = whole
      ? (index: number) => index - (index % each)
      : (index: number) => index % each
    const group = (index: number) => Math.floor(index / each)
    const roles = ['scale', 'bias'] as const
    return {
      ties: [
        ...keptAxes(node),
        { from: channels, to: channels, map: alike },
        ...(byGroup
          ? roles.map((role, at) => ({
              from: channels,
              to: slot(node.input(at + 1), 0),
              map: group,
              role,
            }))
          : vectors(node, 1, roles)),
      ],
    }
  },
  adjust(node, { kept, sizeBefore }) {
    const left = kept(node.output(), 1)
    if (!left) return
    const each = sizeBefore(node.output(), 1) / node.number('num_groups', 1)
    const groups = new Set(left.map((index) => Math.floor(index / each))).size
    node.attributes.set('num_groups', { type: 'int', value: groups })
  },
}

/** Ties of an axis of the first output to vectors that are the inputs after the first. */
const vectors = (node: Node, axis: number, roles: readonly Role[]): Tie[] =>
  roles.flatMap((role, index) => {
    const vector = node.inputs[index + 1]
    return vector ? [tie(slot(node.output(), axis), slot(vector, 0), role)] : []
  })

/** Statistics of all axes from one on, scale and bias broadcast to them; further outputs are the statistics. */
const overLastAxes = (roles: readonly Role[], from: (node: Node) => number): Rule => ({
  ties(node) {
    const [x, y] = [node.input(0), node.output()]
    const first = slot(x, from(node)).axis
    const statistics = node.outputs.slice(1).flatMap((output) =>
      output
        ? axesOf(output)
            .filter((axis) => axis < first)
            .map((axis) => tie(slot(x, axis), slot(output, axis)))
        : [],
    )
    const parameters = roles.flatMap((role, index) => {
      const input = node.inputs[index + 1]
      return input ? broadcastAxes(input, y, role) : []
    })
    return { ties: [...keptAxes(node), ...parameters, ...statistics], everyOutput: true }
  },
})

const lastAxisUnlessTold = (node: Node) => node.number('axis', -1)

/** X, Scale, B; Y, Mean, InvStdDev. */
export const layerNormalization = overLastAxes(['scale', 'bias'], lastAxisUnlessTold)

/** X, scale; Y, and in ONNX Runtime's own form the inverse root of the mean square. */
export const rmsNormalization = overLastAxes(['scale'], lastAxisUnlessTold)

/** The sum of input, skip and bias is normalised, and given out as the fourth output. */
const skipping = (vectorsAfterSkip: readonly Role[]): Rule => ({
  ties(node) {
    const y = node.output()
    const [statistics, sum] = [node.outputs.slice(1, 3), node.outputs[3]]
    const last = axesOf(y).length - 1
    return {
      ties: [
        ...keptAxes(node),
        ...broadcastAxes(node.input(1), y, 'bias'),
        ...vectorsAfterSkip.flatMap((role, index) => {
          const vector = node.inputs[index + 2]
          return vector ? broadcastAxes(vector, y, role) : []
        }),
        ...(sum ? axesOf(y).map((axis) => tie(slot(y, axis), slot(sum, axis))) : []),
        ...statistics.flatMap((output) =>
          output
            ? axesOf(output)
                .filter((axis) => axis < last)
                .map((axis) => tie(slot(y, axis), slot(output, axis)))
            : [],
        ),
      ],
      everyOutput: true,
    }
  },
})

/** input, skip, gamma, beta, bias. */
export const skipLayerNormalization = skipping(['scale', 'bias', 'bias'])

/** input, skip, gamma, bias. */
export const skipSimplifiedLayerNormalization = skipping(['scale', 'bias'])

/**
 * Ids, segment ids, embeddings of words, positions and segments, gamma, beta, mask, position ids; the output, how many
 * places count, and the sum before the norm.
 */
export const embedLayerNormalization: Rule = {
  ties(node) {
    const [y, counts, sum] = [node.output(), node.outputs[1], node.outputs[2]]
    const places = [node.inputs[0], node.inputs[1], node.inputs[7], node.inputs[8]]
    const tables = [2, 3, 4].flatMap((index) => node.inputs[index] ?? [])
    const wide = slot(y, 2)
    return {
      ties: [
        ...places.flatMap((value) =>
          value ? axesOf(value).map((axis) => tie(slot(y, axis), slot(value, axis))) : [],
        ),
        ...tables.map((table) => tie(wide, slot(table, 1), 'out')),
        tie(wide, slot(node.input(5), 0), 'scale'),
        tie(wide, slot(node.input(6), 0), 'bias'),
        ...(counts ? [tie(slot(y, 0), slot(counts, 0))] : []),
        ...(sum ? axesOf(y).map((axis) => tie(slot(y, axis), slot(sum, axis))) : []),
      ],
      everyOutput: true,
    }
  },
}

/** Divided by its own norm or deviation along some axes: every axis stays, and what remains is normalised. */
export const normalizedInPlace: Rule = { ties: (node) => ({ ties: keptAxes(node) }) }

/** Every channel is divided by the squares of its neighbours; whoever they are is not to change. */
export const localResponse = mixing(() => [1])
