// Rules of the operators that make one number of an axis: sums lose the term of a channel, means are kept at what they
// were without it, and whatever compares channels mixes them.

import { build } from '../onnx/build.ts'
import { constantOf, type Node, Value } from '../onnx/graph.ts'
import { dataTypes, tensorOf } from '../onnx/tensor.ts'
import { type Change, namedAxes, type Rule } from './rule.ts'
import { axesOf, remainingAxes, slot, type Ties, tie } from './ties.ts'

/** The axes that are reduced; undefined where they are computed from data. */
function reducedAxes(node: Node): readonly number[] | undefined {
  const axes = namedAxes(node, node.input(0))
  const all = axes?.length === 0 && node.number('noop_with_empty_axes', 0) === 0
  return all ? axesOf(node.input(0)) : axes
}

function remaining(node: Node): Ties | string {
  const axes = reducedAxes(node)
  if (!axes) return 'computes its axes from data'
  const dropped = node.number('keepdims', 1) === 0
  return { ties: remainingAxes(node.input(0), node.output(), new Set(axes), dropped) }
}

function summing(node: Node): Ties | string {
  const found = remaining(node)
  if (typeof found === 'string') return found
  return { ...found, free: reducedAxes(node)!.map((axis) => slot(node.input(0), axis)) }
}

/** Reduced axes are mixed. */
export const reduction: Rule = { ties: remaining }

/** A channel that is gone is a term less. */
export const sum: Rule = { ties: summing }

/**
 * A mean is taken as if the channels that are gone were zero: it is multiplied by the share of those that are left.
 *
 * Statistics by which channels are normalised (see {@link isStatistic}) are those of the channels that are left, as
 * they are where one operator normalises.
 */
export const mean: Rule = {
  ties: summing,
  adjust(node, change) {
    const x = node.input(0)
    const share = (reducedAxes(node) ?? []).reduce(
      (product, axis) => (product * change.sizeOf(x, axis)) / change.sizeBefore(x, axis),
      1,
    )
    if (share !== 1 && !isStatistic(node)) scaleOutput(node, share, change)
  },
}

/** Multiplies what a node gives; the product takes the name of what it gave. */
function scaleOutput(node: Node, factor: number, { graph }: Change): void {
  const y = node.output()
  const nodes = graph.nodes
  const g = build(graph, nodes[nodes.indexOf(node) + 1])
  const unscaled = new Value(graph.uniqueName(`${y.name}_unscaled`), {
    ...(y.type && { type: y.type }),
  })
  node.setOutput(0, unscaled)
  const share = g.constant(tensorOf('float32', [], [factor]), 'share')
  const dtype = y.type?.dtype ?? 'float32'
  const typed = dtype === 'float32' ? share : g.Cast(share, { to: dataTypes[dtype].code })
  g.Mul(unscaled, typed).producer!.setOutput(0, y)
}

/**
 * True for a mean by which a normalisation, written out in simple operators, subtracts, divides or multiplies what it
 * is a mean of: x - E(x), and d / √(E(d²) + ε) where d may be x - E(x).
 */
export function isStatistic(node: Node): boolean {
  const sources = sourcesOf(node.input(0))
  const seen = new Set(node.output().users)
  for (const { opType, inputs, outputs } of seen) {
    const others = inputs.filter((input) => input && !constantOf(input))
    if (joins.has(opType) && others.some((input) => sources.has(input!))) return true
    if (onTheWay.has(opType) && others.length === 1)
      for (const user of outputs[0]?.users ?? []) seen.add(user)
  }
  return false
}

/** Operators that put a statistic and what it was taken of together. */
const joins: ReadonlySet<string> = new Set(['Sub', 'Mul', 'Div'])

/** Operators on the way from a mean to there. */
const onTheWay: ReadonlySet<string> = new Set([
  'Add',
  'Cast',
  'Clip',
  'Div',
  'Identity',
  'Max',
  'Mul',
  'Neg',
  'Pow',
  'Reciprocal',
  'Sqrt',
  'Sub',
])

/** A value, what it is the square of, and what that is the difference from something of. */
function sourcesOf(x: Value): ReadonlySet<Value> {
  const squared = uncast(x)
  const { producer } = squared
  const isSquare =
    producer?.opType === 'Pow' ||
    (producer?.opType === 'Mul' && producer.inputs[0] === producer.inputs[1])
  const base = isSquare ? producer.input(0) : x
  const deviation = uncast(base)
  const { producer: last } = deviation
  const centred = last?.opType === 'Sub' ? last.input(0) : deviation
  return new Set([x, squared, base, deviation, centred, uncast(centred)])
}

/** The value that others are the same as, but for their element type. */
function uncast(value: Value): Value {
  let at = value
  while (at.producer?.opType === 'Cast' || at.producer?.opType === 'Identity')
    at = at.producer.input(0)
  return at
}

/** ArgMax and ArgMin: positions on one axis, which has to stay whole. */
export const position: Rule = {
  ties(node) {
    const x = node.input(0)
    const { axis } = slot(x, node.number('axis', 0))
    const dropped = node.number('keepdims', 1) === 0
    return { ties: remainingAxes(x, node.output(), new Set([axis]), dropped) }
  },
}

/** TopK: values and positions along one axis. */
export const topK: Rule = {
  ties(node) {
    const x = node.input(0)
    const { axis } = slot(x, node.number('axis', -1))
    const outputs = node.outputs.filter((output) => output !== undefined)
    const others = axesOf(x).filter((own) => own !== axis)
    return {
      ties: outputs.flatMap((y) => others.map((own) => tie(slot(x, own), slot(y, own)))),
      everyOutput: true,
    }
  },
}
