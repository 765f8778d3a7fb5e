// Contrastive representation distillation (Tian, Krishnan and Isola 2020).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { settled } from '../connectors/connector.ts'
import { defineLoss, pairOptions, temperature } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf, step } from '../rule.ts'
import { float32, over, total } from './formulas.ts'
import { meanOfPositions, newLayer, through } from './layers.ts'
import { meanOf, unit } from './maps.ts'

/**
 * Teacher and student see the same sample alike, and other samples differently (Tian et al. 2020, equations 17 to 19).
 *
 * Both features are averaged over positions, go through a learned linear head to `dimension` numbers and are made of
 * length 1. Each is compared with a memory of the other side's: its own sample's (positive) and K others' (negatives).
 * With s the cosine over the temperature the term of one sample and side is
 * - `nce`: -log h(s⁺) - Σ log(1 - h(s⁻)), h(s) = eˢ / (eˢ + K c), where c is the mean of e to the negatives of the very
 *   first step (the authors' program: Z / M; in the paper c is 1 / M, M the number of samples);
 * - `info-nce`: -log eˢ⁺ / (eˢ⁺ + Σ eˢ⁻), which needs no constant.
 *
 * Two sides are added up, samples averaged. Unlike in the paper the K negatives are drawn for a whole batch, not for
 * each sample: the expected value is the same, at a batch-th of the memory traffic. A sample is never its own negative.
 * A memory holds `samples · dimension` floats a side (20,000 samples of 128: 10 MB), begins with normal noise of
 * length 1 and becomes the unit vector of momentum · old + (1 - momentum) · new at the batch's samples.
 */
export const crd = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('crd')
      .describe(
        "Contrast of the tapped values of a sample to a memory of all samples' on the other side: contrastive representation distillation.",
      ),
    ...pairOptions,
    temperature: temperature.default(0.07).describe('What cosines are divided by.'),
    form: z
      .enum(['nce', 'info-nce'])
      .default('nce')
      .describe(
        'nce: yes or no for each pair, as in the paper; info-nce: the own sample among all of them.',
      ),
    negatives: z
      .int()
      .positive()
      .default(1024)
      .describe('Other samples that each is told from at a step; all others at most.'),
    dimension: z.int().positive().default(128).describe('Length of the compared vectors.'),
    momentum: z
      .number()
      .min(0)
      .lt(1)
      .default(0.5)
      .describe('Share of the old vector in what is remembered of a sample.'),
  }),
  comparesWith: [],
  auto: () => 'last end',
  write(g, context, options) {
    const { samples, batch, drawn, indices } = context
    const count = Math.max(1, Math.min(options.negatives, samples - 1))
    const own = indices()
    const others = drawn([count], { kind: 'integer', below: samples })
    const same = g.Equal(g.Reshape(own, [batch, 1]), g.Reshape(others, [1, count]))
    const all = g.Concat(own, others, { axis: 0 })
    const places: Places = { own, all, same: g.Cast(same, { to: float32 }), count }
    const terms = context.pairs(options, 'none', 'crd').map(({ student, teacher }, index) => {
      const name = `crd.pair${index}`
      const sides = [
        newSide(g, context, student, places, options, `${name}.student`),
        newSide(g, context, teacher, places, options, `${name}.teacher`),
      ] as const
      const contrasts = sides.map((side, at) => {
        return contrast(g, context, side, sides[1 - at]!, places, options)
      })
      for (const side of sides) remember(g, context, side, own, options.momentum)
      return g.Add(contrasts[0], contrasts[1])
    })
    return meanOf(g, terms)
  },
})

interface CrdOptions {
  readonly temperature: Parameters<LossContext['number']>[0]
  readonly form: 'nce' | 'info-nce'
  readonly dimension: number
}

/**
 * Where to look in a memory: the batch's `own` places `[batch]`, `all` places `[batch + count]`, which are those and the
 * negatives', and `same` `[batch, count]`, 1 where a negative is the own one.
 */
interface Places {
  readonly own: Value
  readonly all: Value
  readonly same: Value
  readonly count: number
}

/** One of the two models: the batch's unit vectors, what is remembered of all samples, and what is looked up in it. */
interface Side {
  readonly name: string
  readonly vectors: Value
  /** A flat vector: what is written at the batch's places is written over the old, without a copy of all the rest. */
  readonly bank: ReturnType<LossContext['memory']>
  readonly ownRows: Value
  readonly otherRows: Value
}

function newSide(
  g: Builder,
  context: LossContext,
  value: Value,
  { all, count }: Places,
  { dimension }: CrdOptions,
  name: string,
): Side {
  const pooled = meanOfPositions(g, value)
  const head = newLayer(context, shapeOf(pooled), dimension, `${name}.head`)
  const vectors = settled(unit(g, through(g, pooled, head), 1), [context.batch, dimension])
  const normal = Math.sqrt(1 / dimension)
  const { batch, samples } = context
  const bank = context.memory(`${name}.bank`, [samples * dimension], { normal })
  // All that is read of the bank is read here, before it is written over.
  const rows = g.Gather(g.Reshape(bank.value, [samples, dimension]), all)
  return {
    ...{ name, vectors, bank },
    ownRows: g.Slice(rows, [0], [batch], [0]),
    otherRows: g.Slice(rows, [batch], [batch + count], [0]),
  }
}

/** The contrast of one side's vectors to the other side's memory: the mean over the batch. */
function contrast(
  g: Builder,
  context: LossContext,
  { name, vectors }: Side,
  { ownRows, otherRows }: Side,
  { same, count }: Places,
  { temperature, form }: CrdOptions,
): Value {
  const { batch } = context
  const T = context.number(temperature)
  const matching = g.Mul(vectors, ownRows)
  const positive = over(g, g.ReduceSum(matching, [1], { keepdims: 1 }), T)
  const different = g.MatMul(vectors, g.Transpose(otherRows, { perm: [1, 0] }))
  const negative = over(g, different, T)
  if (form === 'info-nce') {
    const all = g.Concat(positive, g.Sub(negative, g.Mul(same, 1e9)), { axis: 1 })
    const apart = g.Sub(g.ReduceLogSumExp(all, [1], { keepdims: 1 }), positive)
    return g.Mul(total(g, apart), 1 / batch)
  }
  const constant = context.memory(`${name}.constant`, [1], 0)
  const present = context.detach(
    g.Reshape(g.ReduceMean(g.Exp(negative), [0, 1], { keepdims: 0 }), [1]),
  )
  // Zero is what it holds before the first step.
  const settledOn = g.Add(constant.value, g.Mul(g.Sub(1, step(g, constant.value)), present))
  constant.next(settledOn)
  const bar = g.Log(g.Mul(settledOn, count))
  const yes = total(g, g.Softplus(g.Sub(bar, positive)))
  const no = total(g, g.Mul(g.Sub(1, same), g.Softplus(g.Sub(negative, bar))))
  return g.Mul(g.Add(yes, no), 1 / batch)
}

/** Writes what is remembered of the batch's samples; one that is there twice leaves its last vector. */
function remember(
  g: Builder,
  { batch }: LossContext,
  { vectors, bank, ownRows }: Side,
  own: Value,
  momentum: number,
): void {
  const width = shapeOf(vectors)[1]!
  const mixed = unit(g, g.Add(g.Mul(ownRows, momentum), g.Mul(vectors, 1 - momentum)), 1)
  const first = g.Mul(g.Reshape(own, [batch, 1]), tensorOf('int64', [], [width]))
  const places = g.Add(first, tensorOf('int64', [1, width], [...Array(width).keys()]))
  const count = [batch * width]
  const next = g.ScatterElements(bank.value, g.Reshape(places, count), g.Reshape(mixed, count), {
    axis: 0,
  })
  bank.next(settled(next, shapeOf(bank.value)))
}
