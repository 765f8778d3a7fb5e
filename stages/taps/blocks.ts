// The blocks of a transformer: residual sums, some of which hold attention.
import type { Node, Value } from '../../onnx/graph.ts'
import { cutsFrom, type Route, undropped } from './routes.ts'
import type { Tappable } from './values.ts'

/** x + f(x) on sequences. */
interface Residual {
  readonly sum: Value
  /** x, before Dropout. */
  readonly trunk: Value
  /** True where f looks from one position at others. */
  readonly attends: boolean
}

const sums: ReadonlySet<string> = new Set(['Add', 'Sum'])

const attention: ReadonlySet<string> = new Set([
  'Attention',
  'GroupQueryAttention',
  'MultiHeadAttention',
  'Softmax',
])

/**
 * The ends of blocks of attention and what follows it, on values `[N, L, D]`: what the next block adds its branches to,
 * which is a residual sum, or its normalization where blocks are normalized at their ends (post-norm).
 */
export function attentionBlocks({ byValue }: Tappable, route: Route): Value[] {
  const isSequence = (value: Value | undefined) =>
    value !== undefined && byValue.get(value)?.shape.length === 2
  const position = new Map(route.nodes.map((node, index) => [node, index]))
  const residuals = route.nodes.flatMap((node): Residual[] => {
    if (!sums.has(node.opType) || !isSequence(node.output())) return []
    const carried = node.inputs.filter((input) => input && route.values.has(input)) as Value[]
    const [a, b] = carried
    if (carried.length !== 2 || !isSequence(a) || !isSequence(b)) return []
    for (const [trunk, branch] of [
      [a!, b!],
      [b!, a!],
    ] as const) {
      const between = nodesBetween(undropped(trunk), branch, route, position)
      if (!between) continue
      const attends = between.some(({ opType }) => attention.has(opType))
      return [{ sum: node.output(), trunk: undropped(trunk), attends }]
    }
    return []
  })
  const starts = residuals.flatMap(({ attends }, index) => (attends ? [index] : []))
  if (starts.length === 0) return []
  const last = residuals.at(-1)!
  return [
    ...starts.slice(1).map((start) => residuals[start]!.trunk),
    normalizedEnd(last.sum, residuals, byValue, route),
  ]
}

/** The end of the last block: normalized where the sums before are. */
function normalizedEnd(
  sum: Value,
  residuals: readonly Residual[],
  byValue: Tappable['byValue'],
  route: Route,
): Value {
  const [before, own] = residuals.slice(-2)
  if (!before || !own || undropped(own.trunk) === before.sum) return sum
  const maker = own.trunk.producer?.opType
  const shape = String(byValue.get(sum)?.shape)
  const alike = cutsFrom(sum, route).find(
    (value) =>
      value.producer?.opType === maker &&
      String(byValue.get(value)?.shape) === shape &&
      value !== route.target,
  )
  return alike ?? sum
}

/** The nodes on the ways from a value to another; undefined where there is none. */
function nodesBetween(
  from: Value,
  to: Value,
  { values }: Route,
  position: ReadonlyMap<Node, number>,
): Node[] | undefined {
  const first = from.producer ? position.get(from.producer)! : -1
  const found = new Set<Node>()
  const open: Value[] = [to]
  let arrives = false
  for (const value of open) {
    const maker = value.producer
    if (!maker || found.has(maker)) continue
    const place = position.get(maker)
    // Nothing before the value depends on it.
    if (place === undefined || place <= first) continue
    found.add(maker)
    for (const input of maker.inputs) {
      if (input === from) arrives = true
      else if (input && values.has(input)) open.push(input)
    }
  }
  return arrives ? [...found] : undefined
}
