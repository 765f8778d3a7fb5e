// Rules of the operators that scale, repeat, pad or fold space: channels stay, or move together with a block of space.

import { constantOf, type Node } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import { type Extent, extentsOf } from './extents.ts'
import { fitTo } from './fit.ts'
import { mixing, numbersOf, type Rule, range } from './rule.ts'
import { axesOf, keptAxes, slot, type Tie, tie } from './ties.ts'

/** Axes that are not resized stay; sizes that are written out follow. */
export const resize: Rule = {
  ties(node, { opset }) {
    const [x, y] = [statedShape(node.input(0)) ?? [], statedShape(node.output()) ?? []]
    if (node.string('coordinate_transformation_mode', '') === 'tf_crop_and_resize')
      return 'crops the regions that it resizes'
    const axes = resizedAxes(node, x.length)
    const scales = scalesOf(node, opset)
    if (scales === undefined) return 'computes its scales from data'
    const isKept = (axis: number) => {
      const entry = axes.indexOf(axis)
      return entry < 0 || (x[axis] === y[axis] && (scales[entry]?.amount ?? 1) === 1)
    }
    return { ties: keptAxes(node, isKept) }
  },
  adjust(node, { graph, sizeOf }) {
    if (!node.inputs[3]) return
    const axes = resizedAxes(node, axesOf(node.input(0)).length)
    fitTo(
      graph,
      node,
      3,
      axes.map((axis) => sizeOf(node.output(), axis)),
    )
  },
}

const resizedAxes = (node: Node, rank: number): readonly number[] =>
  node.numbers('axes')?.map((axis) => (axis < 0 ? axis + rank : axis)) ?? range(0, rank)

/** Scales of the resized axes; [] where sizes say it, undefined where they are computed. */
function scalesOf(node: Node, opset: number): readonly Extent[] | undefined {
  const input = node.opType === 'Upsample' || opset < 11 ? 1 : 2
  const value = node.inputs[input]
  if (value && constantOf(value)?.size !== 0) return extentsOf(value)
  return (node.numbers('scales') ?? []).map((amount) => ({ amount, axes: [], proportional: true }))
}

/** An axis that is repeated as a whole keeps its indices apart. */
export const tile: Rule = {
  ties(node) {
    const [x, y] = [node.input(0), node.output()]
    return {
      ties: axesOf(x).map((axis) => {
        const size = statedShape(x)![axis]!
        return { from: slot(y, axis), to: slot(x, axis), map: (index) => index % size }
      }),
    }
  },
}

/** Constants before and after an axis are channels of their own, which nothing else follows from. */
export const pad: Rule = {
  ties(node) {
    const amounts = padsOf(node)
    if (!amounts) return 'computes its padding from data'
    const isConstant = node.string('mode', 'constant') === 'constant'
    const [x, y] = [node.input(0), node.output()]
    return {
      ties: axesOf(x).flatMap((axis): Tie[] => {
        const { begin, end } = amounts[axis]!
        if (begin === 0 && end === 0) return [tie(slot(x, axis), slot(y, axis))]
        if (!isConstant || begin < 0 || end < 0) return []
        return [{ from: slot(x, axis), to: slot(y, axis), map: (index) => index + begin }]
      }),
    }
  },
  adjust(node, { graph, kept, sizeBefore }) {
    const x = node.input(0)
    const written = numbersOf(node, 1, 'pads')
    const amounts = padsOf(node)
    if (!written || !amounts) return
    const wanted = [...written]
    for (const [axis, { begin, entry }] of amounts.entries()) {
      const indices = kept(node.output(), axis)
      if (!indices || entry < 0) continue
      const end = begin + sizeBefore(x, axis)
      wanted[entry] = indices.filter((index) => index < begin).length
      wanted[entry + written.length / 2] = indices.filter((index) => index >= end).length
    }
    if (node.inputs[1]) fitTo(graph, node, 1, wanted)
    else node.attributes.set('pads', { type: 'ints', value: wanted })
  },
}

/** What is put before and after each axis, and where the list of paddings says so; -1 where it does not. */
function padsOf(
  node: Node,
): { readonly begin: number; readonly end: number; readonly entry: number }[] | undefined {
  const rank = axesOf(node.input(0)).length
  const amounts = numbersOf(node, 1, 'pads')
  const chosen = numbersOf(node, 3, 'axes')
  if (!amounts || !chosen) return undefined
  const axes = chosen.length > 0 ? chosen.map((axis) => (axis + rank) % rank) : range(0, rank)
  return range(0, rank).map((axis) => {
    const entry = axes.indexOf(axis)
    if (entry < 0) return { begin: 0, end: 0, entry }
    return { begin: amounts[entry]!, end: amounts[entry + axes.length]!, entry }
  })
}

/** `[N, C b², H, W]` to `[N, C, H b, W b]`: a channel that stays took b² of those before. */
export const depthToSpace: Rule = {
  ties(node) {
    const [x, y] = [node.input(0), node.output()]
    const channels = statedShape(y)?.[1] ?? 1
    const block = node.number('blocksize', 1) ** 2
    const isLast = node.string('mode', 'DCR') === 'CRD'
    const map = (index: number) => (isLast ? Math.floor(index / block) : index % channels)
    return { ties: [tie(slot(x, 0), slot(y, 0)), { from: slot(x, 1), to: slot(y, 1), map }] }
  },
}

/** `[N, C, H b, W b]` to `[N, b² C, H, W]`: a channel becomes b² of them. */
export const spaceToDepth: Rule = {
  ties(node) {
    const [x, y] = [node.input(0), node.output()]
    const channels = statedShape(x)?.[1] ?? 1
    const map = (index: number) => index % channels
    return { ties: [tie(slot(x, 0), slot(y, 0)), { from: slot(y, 1), to: slot(x, 1), map }] }
  },
}

/** Sums along one axis, in order. */
export const cumulative = mixing((node, rank) => {
  const [axis] = numbersOf(node, 1, 'axis') ?? []
  return axis === undefined ? 'computes its axis from data' : [axis < 0 ? axis + rank : axis]
})
