// Channel shuffle (Zhang et al. 2018, ShuffleNet): Reshape splits an axis in two, Transpose swaps these, Reshape merges
// them again. As a whole that is a permutation, of which any index may go; what is left is written as a Gather.
import { build } from '../onnx/build.ts'
import { type Node, Value } from '../onnx/graph.ts'
import { type ShapeOf, statedShape } from '../onnx/multiplications.ts'
import { sizeOf as productOf, tensorOf } from '../onnx/tensor.ts'
import { type Change, range } from './rule.ts'
import { type Slot, slot, type Tie, type Ties } from './ties.ts'

/** A Reshape that a shuffle begins or ends with, and the shuffle. */
interface Shuffle {
  readonly first: Node
  readonly last: Node
  /** The axis that is shuffled, of the first input and the last output. */
  readonly axis: number
  /** It is taken as a matrix of so many rows and columns, which is transposed. */
  readonly rows: number
  readonly columns: number
}

/** The shuffle that a Reshape begins. */
export function shuffleFrom(
  first: Node,
  outputs: ReadonlySet<Value>,
  shapeOf: ShapeOf = statedShape,
): Shuffle | undefined {
  const transpose = onlyUser(first, outputs)
  const last = transpose?.opType === 'Transpose' ? onlyUser(transpose, outputs) : undefined
  if (!transpose || last?.opType !== 'Reshape' || last.input(0) !== transpose.output())
    return undefined
  const [x, split] = [shapeOf(first.input(0)), shapeOf(first.output())]
  const end = shapeOf(last.output())
  const order = transpose.numbers('perm')
  if (!x || !split || !order || x.join() !== end?.join()) return undefined
  const axis = order.findIndex((from, to) => from !== to)
  const swapped = order.every(
    (from, to) => from === (to === axis ? axis + 1 : to === axis + 1 ? axis : to),
  )
  const [rows = 1, columns = 1] = split.slice(axis, axis + 2)
  const isSplit =
    axis >= 0 &&
    swapped &&
    rows * columns === x[axis] &&
    x.slice(0, axis).join() === split.slice(0, axis).join() &&
    productOf(x.slice(axis + 1)) === productOf(split.slice(axis + 2))
  return isSplit ? { first, last, axis, rows, columns } : undefined
}

/** The shuffle that a Reshape ends. */
export function shuffleTo(
  last: Node,
  outputs: ReadonlySet<Value>,
  shapeOf: ShapeOf = statedShape,
): Shuffle | undefined {
  const first = last.inputs[0]?.producer?.inputs[0]?.producer
  const found = first?.opType === 'Reshape' ? shuffleFrom(first, outputs, shapeOf) : undefined
  return found?.last === last ? found : undefined
}

function onlyUser(node: Node, outputs: ReadonlySet<Value>): Node | undefined {
  const y = node.output()
  const [user] = y.users
  return y.users.size === 1 && !outputs.has(y) ? user : undefined
}

/** The ties of a Reshape without those along the axis that a shuffle it belongs to splits; instead, the permutation. */
export function shuffled(
  node: Node,
  { first, last, axis, rows, columns }: Shuffle,
  found: Ties,
): Ties {
  const [from, to] = [slot(first.input(0), axis), slot(last.output(), axis)]
  const own = node === first ? from : to
  const isOwn = (end: Slot) => end.value === own.value && end.axis === own.axis
  const without = (ties: readonly Tie[]) => ties.filter((tie) => !isOwn(tie.from) && !isOwn(tie.to))
  const map = (index: number) => (index % columns) * rows + Math.floor(index / columns)
  const ties = without(found.ties)
  return {
    ties: node === first ? [...ties, { from, to, map }] : ties,
    choices: (found.choices ?? []).map(without),
    free: [own],
  }
}

/** Writes what is left of a shuffle that a node ends. */
export function writeShuffle({ first, last, axis, rows, columns }: Shuffle, change: Change): void {
  const [x, y] = [first.input(0), last.output()]
  const indices = change.kept(x, axis)
  if (!indices) return
  const positions = new Map(indices.map((index, position) => [index, position]))
  const picked = range(0, rows * columns).flatMap(
    (index) => positions.get((index % rows) * columns + Math.floor(index / rows)) ?? [],
  )
  const list = tensorOf('int64', [picked.length], picked)
  const gathered = build(change.graph, last).Gather(x, list, { axis })
  last.setOutput(0, new Value(change.graph.uniqueName(`${y.name}_shuffled`)))
  gathered.producer!.setOutput(0, y)
}
