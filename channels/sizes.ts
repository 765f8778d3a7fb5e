// Rules of the operators that tell sizes, or make values of nothing but a shape.
import { canFit, extentsOf } from './extents.ts'
import { fitTo, readingsOf } from './fit.ts'
import type { Rule } from './rule.ts'
import { axesOf, broadcastAxes, slot, tie } from './ties.ts'

/**
 * Shape and Size. What is computed of the size of a cut axis follows by itself, is brought in line by its user (the
 * shape of a Reshape), or is held at what it was (a scale that depends on the width): see `cutChannels`.
 */
export const tellingSizes: Rule = {
  ties(node, context) {
    const found = readingsOf(node, context)
    if (!found) return 'gives the sizes to an output of the model or a subgraph'
    const x = node.input(0)
    const fixed = found.readings
      .flatMap(({ extents }) => extents.filter((extent) => !canFit(extent)))
      .flatMap(({ axes }) => axes.filter(({ value }) => value === x).map(({ axis }) => axis))
    const free = axesOf(x).filter((axis) => !fixed.includes(axis))
    return { ties: [], free: free.map((axis) => slot(x, axis)) }
  },
}

/** ConstantOfShape: any index of any axis may go, for all elements are the same. */
export const constantOfShape: Rule = {
  ties(node) {
    const shape = extentsOf(node.input(0))
    if (!shape) return 'computes its shape from data'
    const axes = axesOf(node.output()).filter((axis) => shape[axis] && canFit(shape[axis]))
    return { ties: [], free: axes.map((axis) => slot(node.output(), axis)) }
  },
  adjust(node, { graph, sizeOf }) {
    const y = node.output()
    fitTo(
      graph,
      node,
      0,
      axesOf(y).map((axis) => sizeOf(y, axis)),
    )
  },
}

/** Expand: axes that are repeated may lose any index, for all are the same; the others stay. */
export const expand: Rule = {
  ties(node) {
    const shape = extentsOf(node.input(1))
    if (!shape) return 'computes its shape from data'
    const [x, y] = [node.input(0), node.output()]
    const [own, all] = [axesOf(x), axesOf(y)]
    const extentOf = (axis: number) => shape[axis + shape.length - all.length]
    const fits = all.filter((axis) => extentOf(axis) === undefined || canFit(extentOf(axis)!))
    const source = (axis: number) => axis - (all.length - own.length)
    const kept = new Set(broadcastAxes(x, y, 'other').map(({ from }) => from.axis))
    return {
      ties: fits
        .filter((axis) => kept.has(axis))
        .map((axis) => tie(slot(y, axis), slot(x, source(axis)), 'other')),
      free: fits.filter((axis) => !kept.has(axis)).map((axis) => slot(y, axis)),
    }
  },
  adjust(node, { graph, sizeOf, shapeBefore }) {
    const y = node.output()
    const shape = extentsOf(node.input(1), shapeBefore)!
    const shift = axesOf(y).length - shape.length
    const wanted = shape.map(({ amount }, at) => (amount === 1 ? 1 : sizeOf(y, at + shift)))
    fitTo(graph, node, 1, wanted)
  },
}
