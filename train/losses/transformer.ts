// What is inside transformers: attention maps (Jiao et al. 2020) and the relations of positions (Wang et al. 2020, 2021).
// Hidden states and embeddings [N, L, D] are features: the loss `feature`, with a linear connector where widths differ.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { settled } from '../connectors/connector.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext, TapPair } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { atLeastOne, total } from './formulas.ts'
import { meanOf } from './maps.ts'
import { mask, maskOf } from './mask.ts'

/**
 * Mean over heads and pairs of positions of (A_S - A_T)² (Jiao et al. 2020, equation 7, on scores before the softmax),
 * or mean over heads and positions of KL(A_T ‖ A_S) along the last axis (Wang et al. 2020, equation 1, on
 * probabilities).
 *
 * Values are `[N, H, L, L]`. Where the numbers of heads differ, both are averaged over theirs. Scores below -100, with
 * which models mask, count as 0. With a mask only positions that count are averaged, and for squares only pairs of them.
 */
export const attention = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('attention')
      .describe("Distance of the student's attention maps [N, H, L, L] to the teacher's."),
    ...pairOptions,
    distance: z
      .enum(['squared', 'kl'])
      .default('squared')
      .describe('squared: of scores before the softmax; kl: of probabilities behind it.'),
    mask,
  }),
  comparesWith: [],
  auto: ({ distance }) => (distance === 'squared' ? 'attention scores' : 'attention'),
  write(g, context, options) {
    const terms = context.pairs(options, 'none', 'attention').map((pair) => {
      const [theirs, own] = [shapeOf(pair.teacher), shapeOf(pair.student)]
      const [batch, , length] = theirs as [number, number, number]
      const isMap = (shape: readonly number[]) =>
        shape.length === 4 && shape[2] === length && shape[3] === length
      if (!isMap(theirs) || !isMap(own)) throw unfit(context, pair, 'attention', '[N, H, L, L]')
      const differ = own[1] !== theirs[1]
      const heads = differ ? 1 : own[1]!
      const averaged = (value: Value) => {
        const shown = options.distance === 'squared' ? withoutMasked(g, value) : value
        return differ ? g.ReduceMean(shown, [1], { keepdims: 1 }) : shown
      }
      const [teacher, student] = [averaged(pair.teacher), averaged(pair.student)]
      const counts = maskOf(g, context, options.mask, length)
      if (options.distance === 'kl') {
        // Probabilities may be 0; the gradient stays finite.
        const log = (value: Value) => g.Log(g.Add(value, 1e-6))
        const divergence = g.Mul(teacher, g.Sub(log(teacher), log(student)))
        return meanOfPositions(g, divergence, counts, { batch, heads, length })
      }
      const difference = g.Sub(student, teacher)
      const squares = g.Mul(difference, difference)
      if (!counts) return g.Mul(total(g, squares), 1 / (batch * heads * length * length))
      const both = g.Mul(
        g.Reshape(counts, [batch, 1, length, 1]),
        g.Reshape(counts, [batch, 1, 1, length]),
      )
      const pairs = g.Mul(atLeastOne(g, total(g, both)), heads)
      return g.Div(total(g, g.Mul(squares, both)), pairs)
    })
    return meanOf(g, terms)
  },
})

/**
 * Mean over relation heads and positions of KL(R_T ‖ R_S), R = softmax(X Xᵀ / √d) for the d numbers of a head (Wang et
 * al. 2020, equations 3 to 5, for values; Wang et al. 2021, equations 1 to 4, for queries, keys and values, of any
 * number of relation heads); several taps are averaged.
 *
 * Values are `[N, L, D]`, or `[N, H, L, D/H]` by heads, which are put side by side first. The widths of teacher and
 * student may differ. Without a number of heads the most, up to 12, that both widths can be cut into are taken. With a
 * mask, padding has no part in the softmax, and only rows that count are averaged.
 */
export const relations = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('relations')
      .describe(
        'KL divergence of how positions relate to each other in queries, keys or values: MiniLM.',
      ),
    ...pairOptions,
    heads: z
      .int()
      .positive()
      .optional()
      .describe('Relation heads that both widths are cut into; the most, up to 12, unless given.'),
    mask,
  }),
  comparesWith: [],
  auto: () => 'attention values',
  write(g, context, options) {
    const terms = context.pairs(options, 'none', 'relations').map((pair) => {
      const isSequence = (value: Value) => [3, 4].includes(shapeOf(value).length)
      if (!isSequence(pair.teacher) || !isSequence(pair.student))
        throw unfit(context, pair, 'relations', '[N, L, D] or [N, H, L, D/H]')
      const [teacher, student] = [sideBySide(g, pair.teacher), sideBySide(g, pair.student)]
      const [batch, length, theirs] = shapeOf(teacher) as [number, number, number]
      const [, ownLength, own] = shapeOf(student) as [number, number, number]
      if (ownLength !== length) throw unfit(context, pair, 'relations', 'sequences of one length')
      const heads = options.heads ?? mostHeads(theirs, own)
      if (theirs % heads !== 0 || own % heads !== 0)
        throw new UserError(
          `${context.where}: 'relations' cannot cut widths ${own} and ${theirs} into heads: ${heads} — use a divisor of both`,
        )
      const counts = maskOf(g, context, options.mask, length)
      const padding = counts && g.Mul(g.Sub(g.Reshape(counts, [batch, 1, 1, length]), 1), 1e9)
      const relation = (value: Value, width: number): Value => {
        const cut = g.Reshape(value, [batch, length, heads, width / heads])
        const rows = g.Transpose(cut, { perm: [0, 2, 1, 3] })
        const columns = g.Transpose(cut, { perm: [0, 2, 3, 1] })
        const scores = g.Mul(g.MatMul(rows, columns), Math.sqrt(heads / width))
        return g.LogSoftmax(padding ? g.Add(scores, padding) : scores, { axis: -1 })
      }
      const [taught, learned] = [relation(teacher, theirs), relation(student, own)]
      const divergence = g.Mul(g.Exp(taught), g.Sub(taught, learned))
      return meanOfPositions(g, divergence, counts, { batch, heads, length })
    })
    return meanOf(g, terms)
  },
})

/** The mean over heads and positions that count of the sums of rows of `[batch, heads, length, length]`. */
function meanOfPositions(
  g: Builder,
  values: Value,
  counts: Value | undefined,
  {
    batch,
    heads,
    length,
  }: { readonly batch: number; readonly heads: number; readonly length: number },
): Value {
  if (!counts) return g.Mul(total(g, values), 1 / (batch * heads * length))
  const rows = g.Mul(values, g.Reshape(counts, [batch, 1, length, 1]))
  return g.Div(total(g, rows), g.Mul(atLeastOne(g, total(g, counts)), heads))
}

const withoutMasked = (g: Builder, scores: Value): Value =>
  g.Where(g.Greater(scores, -100), scores, 0)

/** `[N, H, L, D/H]` as `[N, L, D]`; sequences as they are. */
function sideBySide(g: Builder, value: Value): Value {
  const shape = shapeOf(value)
  if (shape.length === 3) return value
  const [batch, heads, length, width] = shape as [number, number, number, number]
  const rows = [batch, length, heads * width]
  return settled(g.Reshape(g.Transpose(value, { perm: [0, 2, 1, 3] }), rows), rows)
}

const mostHeads = (one: number, other: number): number =>
  [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2].find((heads) => one % heads === 0 && other % heads === 0) ??
  1

const unfit = (
  { where }: LossContext,
  { student, teacher, name }: TapPair,
  loss: string,
  wanted: string,
): UserError =>
  new UserError(
    `${where}: '${loss}' takes ${wanted}: '${name}' [${shapeOf(student)}], the teacher's [${shapeOf(teacher)}] — use other taps`,
  )
