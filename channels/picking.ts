// Rules of the operators that pick indices of an axis by constants: each index that stays is followed to its place.
import { build } from '../onnx/build.ts'
import { constantOf, type Node } from '../onnx/graph.ts'
import { type ShapeOf, statedShape } from '../onnx/multiplications.ts'
import { type ArrayType, numbers, numberTypes, type Tensor, tensorOf } from '../onnx/tensor.ts'
import { canFit, type Extent, extentsOf } from './extents.ts'
import { fitTo } from './fit.ts'
import { type Rule, range } from './rule.ts'
import { axesOf, slot, type Tie, tie } from './ties.ts'

/** The outputs lie one after the other along the axis; their sizes are written out after a cut. */
export const split: Rule = {
  ties(node) {
    const x = node.input(0)
    const { axis } = slot(x, node.number('axis', 0))
    const starts = startsOf(node, statedShape(x)?.[axis] ?? 0, statedShape)
    if (!starts) return 'computes its sizes from data'
    const ties = node.outputs.flatMap((output, part) =>
      output
        ? axesOf(output).map((own): Tie => {
            const start = own === axis ? starts[part]! : 0
            return { from: slot(output, own), to: slot(x, own), map: (index) => start + index }
          })
        : [],
    )
    return { ties, everyOutput: true }
  },
  adjust(node, { model, graph, kept, sizeBefore, shapeBefore, replace }) {
    const x = node.input(0)
    const { axis } = slot(x, node.number('axis', 0))
    const indices = kept(x, axis)
    if (!indices) {
      // Sizes that are computed of others, which were cut, stay what they were.
      const written = node.inputs[1] && extentsOf(node.inputs[1], shapeBefore)
      const amounts = written?.map(({ amount }) => amount)
      if (amounts) fitTo(graph, node, 1, amounts)
      return
    }
    const total = sizeBefore(x, axis)
    const starts = startsOf(node, total, shapeBefore)!
    const sizes = starts.map((start, part) => {
      const end = starts[part + 1] ?? total
      return indices.filter((index) => index >= start && index < end).length
    })
    if ((model.opsets.get('') ?? 1) < 13) {
      node.attributes.set('split', { type: 'ints', value: sizes })
      return
    }
    node.attributes.delete('num_outputs')
    if (node.inputs[1]) fitTo(graph, node, 1, sizes)
    else replace(1, tensorOf('int64', [sizes.length], sizes))
  },
}

/** Where each part of a Split begins; undefined where its sizes are computed from data. */
function startsOf(node: Node, total: number, shapeOf: ShapeOf): number[] | undefined {
  const given = node.inputs[1] ? extentsOf(node.inputs[1], shapeOf) : []
  if (!given?.every(canFit)) return undefined
  const count = node.number('num_outputs', node.outputs.length)
  const equal = new Array<number>(count).fill(Math.ceil(total / count))
  const sizes = given.length > 0 ? given.map(({ amount }) => amount) : node.numbers('split', equal)
  let start = 0
  return sizes.map((size) => {
    start += size
    return start - size
  })
}

/** What a Slice takes of one axis: `count` indices from `first` on. */
interface Cutout {
  readonly axis: number
  readonly first: number
  readonly step: number
  readonly count: number
  /** True where start and end can be brought in line with a cut. */
  readonly fits: boolean
}

/** Starts and ends follow; where what is left of the picked indices has no one step, a Gather picks them. */
export const slice: Rule = {
  ties(node) {
    const x = node.input(0)
    const cutouts = cutoutsOf(node, statedShape)
    if (typeof cutouts === 'string') return cutouts
    return {
      ties: axesOf(x).flatMap((axis): Tie[] => {
        const [from, to] = [slot(node.output(), axis), slot(x, axis)]
        const cutout = cutouts.find((one) => one.axis === axis)
        if (!cutout) return [tie(from, to)]
        const { first, step, fits } = cutout
        return fits ? [{ from, to, map: (index) => first + index * step }] : []
      }),
    }
  },
  adjust(node, { graph, kept, sizeOf, sizeBefore, shapeBefore }) {
    const x = node.input(0)
    const cutouts = cutoutsOf(node, shapeBefore)
    if (typeof cutouts === 'string') return
    const names = ['starts', 'ends', 'axes', 'steps']
    const [starts = [], ends = [], , steps] = names.map((name, at) =>
      boundsOf(node, at + 1, name, shapeBefore)?.map(({ amount }) => amount),
    )
    for (const [entry, { axis, first, step, count }] of cutouts.entries()) {
      const indices = kept(x, axis)
      if (!indices) continue
      const position = new Map(indices.map((index, at) => [index, at]))
      const picked = range(0, count).flatMap((at) => position.get(first + at * step) ?? [])
      if (picked.some((at, index) => at !== picked[0]! + index * step)) {
        const list = tensorOf('int64', [picked.length], picked)
        node.setInput(0, build(graph, node).Gather(node.input(0), list, { axis }))
        starts[entry] = 0
        ends[entry] = picked.length
        if (steps) steps[entry] = 1
        continue
      }
      const [start = 0, last = -1] = [picked[0], picked.at(-1)]
      starts[entry] = start
      // An end beyond the axis stays there; from before its beginning, -1 would be counted from its end.
      const beyond = step > 0 ? ends[entry]! >= sizeBefore(x, axis) : last + Math.sign(step) < 0
      if (!beyond) ends[entry] = last + Math.sign(step)
      else if (step < 0) ends[entry] = -(sizeOf(x, axis) + 1)
    }
    for (const [at, wanted] of [starts, ends, undefined, steps].entries()) {
      if (!wanted) continue
      if (node.inputs[at + 1]) fitTo(graph, node, at + 1, wanted)
      else node.attributes.set(names[at]!, { type: 'ints', value: wanted })
    }
  },
}

/** A list that says where to slice: an input or, before opset 10, an attribute; undefined where there is none. */
function boundsOf(
  node: Node,
  input: number,
  name: string,
  shapeOf: ShapeOf,
): readonly Extent[] | undefined {
  if (node.inputs[input]) return extentsOf(node.inputs[input], shapeOf)
  return node.numbers(name)?.map((amount) => ({ amount, axes: [], proportional: true }))
}

function cutoutsOf(node: Node, shapeOf: ShapeOf): Cutout[] | string {
  const [starts, ends, axes, steps] = ['starts', 'ends', 'axes', 'steps'].map((name, at) =>
    boundsOf(node, at + 1, name, shapeOf),
  )
  const given = [node.inputs[3], node.inputs[4]]
  if (given.some((input, at) => input && ![axes, steps][at])) return 'computes its axes from data'
  // Which indices it takes is not known, but of which axes is.
  if (!starts || !ends) {
    if (!axes) return 'computes what it takes from data'
    return axes.map(({ amount }) => ({
      axis: slot(node.input(0), amount).axis,
      first: 0,
      step: 1,
      count: 0,
      fits: false,
    }))
  }
  return starts.map((start, entry) => {
    const { axis } = slot(node.input(0), axes ? axes[entry]!.amount : entry)
    const step = steps?.[entry]?.amount ?? 1
    const size = shapeOf(node.input(0))?.[axis] ?? 0
    const end = ends[entry]!
    const [from, to] = [start.amount, end.amount].map((at) => (at < 0 ? at + size : at))
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
    const clamp = (at: number) => Math.min(Math.max(at, low), high)
    const [first, past] = [clamp(from!), clamp(to!)]
    return {
      axis,
      first,
      step,
      count: Math.max(0, Math.ceil((past - first) / step)),
      fits: canFit(start) && canFit(end),
    }
  })
}

/**
 * Axes of the data stay; that along which is gathered can be followed where the indices are constant. A constant table
 * (an embedding) makes channels with its other axes, and stays whole along this one.
 */
export const gather: Rule = {
  ties(node) {
    const [data, indices, y] = [node.input(0), node.input(1), node.output()]
    const { axis } = slot(data, node.number('axis', 0))
    const rank = axesOf(indices).length
    const isTable = data.tensor?.dtype.startsWith('float')
    const list = constantOf(indices)
    const ties = axesOf(data)
      .filter((own) => own !== axis)
      .map((own) =>
        tie(
          slot(y, own < axis ? own : own + rank - 1),
          slot(data, own),
          isTable ? 'out' : undefined,
        ),
      )
    if (!list)
      ties.push(...axesOf(indices).map((own) => tie(slot(y, axis + own), slot(indices, own))))
    else if (rank === 1) {
      const places = placesOf(list, statedShape(data)?.[axis] ?? 0)
      ties.push({ from: slot(y, axis), to: slot(data, axis), map: (index) => places[index]! })
    }
    return { ties }
  },
  adjust(node, { kept, sizeBefore, replace }) {
    const [data, y] = [node.input(0), node.output()]
    const { axis } = slot(data, node.number('axis', 0))
    const list = constantOf(node.inputs[1])
    const indices = kept(data, axis)
    if (!indices || list?.dims.length !== 1) return
    const position = new Map(indices.map((index, at) => [index, at]))
    const places = placesOf(list, sizeBefore(data, axis))
    const left = kept(y, axis) ?? range(0, places.length)
    const renumbered = left.map((index) => position.get(places[index]!)!)
    replace(1, tensorOf(list.dtype as ArrayType, [renumbered.length], renumbered))
  },
}

/** Indices counted from the beginning. */
const placesOf = (list: Tensor, size: number): number[] =>
  numbers(list).map((index) => (index < 0 ? index + size : index))

/**
 * Axes other than that along which is gathered stay; the latter can be followed where constant indices are the same
 * wherever it is gathered.
 */
export const gatherElements: Rule = {
  ties(node) {
    const [data, indices, y] = [node.input(0), node.input(1), node.output()]
    const { axis } = slot(data, node.number('axis', 0))
    const line = lineOf(node, axis)
    const places = line && placesOf(line, statedShape(data)?.[axis] ?? 0)
    return {
      ties: axesOf(y).flatMap((own): Tie[] => {
        const [from, to] = [slot(y, own), slot(data, own)]
        if (own !== axis) return [tie(from, to), tie(from, slot(indices, own), 'other')]
        if (!places) return []
        return [
          { from, to, map: (index) => places[index]! },
          tie(from, slot(indices, own), 'other'),
        ]
      }),
    }
  },
  adjust(node, { kept, sizeBefore, replace }) {
    const data = node.input(0)
    const { axis } = slot(data, node.number('axis', 0))
    const indices = kept(data, axis)
    const list = constantOf(node.inputs[1])
    // The indices themselves, cut already, are numbered as before.
    if (!indices || !list) return
    const position = new Map(indices.map((index, at) => [index, at]))
    const renumbered = placesOf(list, sizeBefore(data, axis)).map((place) => position.get(place)!)
    replace(1, tensorOf(list.dtype as ArrayType, list.dims, renumbered))
  },
}

/** The indices along the axis where they are constant and the same along all others. */
function lineOf(node: Node, axis: number): Tensor | undefined {
  const list = constantOf(node.inputs[1])
  if (!list || !numberTypes.has(list.dtype)) return undefined
  const all = numbers(list)
  const stride = list.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const length = list.dims[axis]!
  const line = range(0, length).map((index) => all[index * stride]!)
  const isSame = all.every((index, at) => index === line[Math.floor(at / stride) % length])
  return isSame ? tensorOf(list.dtype as ArrayType, [length], line) : undefined
}
