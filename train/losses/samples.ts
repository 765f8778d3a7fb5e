// How samples of a batch lie to each other: every pair of them, in the teacher and in the student. Values of any shape
// are taken as one vector a sample, and need not agree in anything else.
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { squares, total } from './formulas.ts'
import { diagonal, gram, meanOf, needsSamples, samples, unit } from './maps.ts'

/** 1/b² ‖G_S - G_T‖², G the rows of QQᵀ, each of length 1, Q a row a sample (Tung and Mori 2019, equations 1 to 4). */
export const similarity = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('similarity')
      .describe(
        'Distance of the inner products of the samples of a batch: similarity-preserving distillation.',
      ),
    ...pairOptions,
  }),
  comparesWith: [],
  write(g, context, options) {
    needsSamples(context, options.loss, 2)
    const alike = (value: Value) => unit(g, gram(g, context, samples(g, value)), 1)
    const terms = context
      .pairs(options, 'none', options.loss)
      .map(({ student, teacher }) =>
        g.Mul(squares(g, g.Sub(alike(student), alike(teacher))), 1 / context.batch ** 2),
      )
    return meanOf(g, terms)
  },
})

/**
 * 1/b² ‖ψ_S - ψ_T‖², ψ the kernel of every pair of samples, each a vector of length 1: x·y, or the Taylor series
 * e^(-2γ) Σ_p (2γ)^p/p! (x·y)^p of e^(-γ‖x-y‖²) (Peng et al. 2019, section 3).
 */
export const correlation = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('correlation')
      .describe(
        "Correlation congruence: distance of a kernel of every pair of samples; beside 'kl', which compares each by itself.",
      ),
    ...pairOptions,
    kernel: z
      .enum(['gaussian', 'bilinear'])
      .default('gaussian')
      .describe('The kernel: a Gaussian by its Taylor series, or the inner product.'),
    gamma: z.number().positive().default(0.4).describe('γ of the Gaussian.'),
    order: z.int().positive().default(2).describe("The last power of the Gaussian's series."),
  }),
  comparesWith: [],
  write(g, context, options) {
    needsSamples(context, options.loss, 2)
    const { kernel, gamma, order } = options
    const correlations = (value: Value) => {
      const products = cosines(g, context, value)
      return kernel === 'bilinear' ? products : series(g, products, gamma, order)
    }
    const terms = context
      .pairs(options, 'none', options.loss)
      .map(({ student, teacher }) =>
        g.Mul(
          squares(g, g.Sub(correlations(student), correlations(teacher))),
          1 / context.batch ** 2,
        ),
      )
    return meanOf(g, terms)
  },
})

/**
 * Mean over samples i of Σ_{j≠i} p_ij log (p_ij / q_ij): how likely the teacher (p) and the student (q) take sample j
 * for a neighbour of i, (cos(i, j) + 1)/2 over its sum (Passalis and Tefas 2018, section 3).
 */
export const pkt = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('pkt')
      .describe(
        'Probabilistic knowledge transfer: KL divergence of which samples of a batch are neighbours.',
      ),
    ...pairOptions,
  }),
  comparesWith: [],
  write(g, context, options) {
    const { batch } = context
    // Of two samples each has one neighbour, whatever the model.
    needsSamples(context, options.loss, 3)
    const others = g.constant(apart(batch), 'apart')
    const neighbours = (value: Value) => {
      const alike = g.Mul(g.Add(g.Mul(cosines(g, context, value), 0.5), 0.5), others)
      return g.Div(alike, g.ReduceSum(alike, [1], { keepdims: 1 }))
    }
    const terms = context.pairs(options, 'none', options.loss).map(({ student, teacher }) => {
      const [q, p] = [neighbours(student), neighbours(teacher)]
      // Opposite vectors, and a sample and itself, have probability 0.
      const ratio = g.Div(g.Add(p, 1e-9), g.Add(q, 1e-9))
      return g.Mul(total(g, g.Mul(p, g.Log(ratio))), 1 / batch)
    })
    return meanOf(g, terms)
  },
})

/** The cosine of every two rows, from their inner products: rows are long. */
function cosines(g: Builder, context: LossContext, value: Value): Value {
  const products = gram(g, context, samples(g, value))
  const lengths = g.Sqrt(g.Add(diagonal(g, products, context.batch), 1e-8))
  return g.Div(g.Div(products, lengths), g.Reshape(lengths, [1, context.batch]))
}

/** 0 on the diagonal, else 1. */
export const apart = (count: number) =>
  tensorOf(
    'float32',
    [count, count],
    Array.from({ length: count ** 2 }, (_, at) => (at % (count + 1) === 0 ? 0 : 1)),
  )

/** e^(-2γ) Σ_p (2γ)^p/p! x^p, by Horner's rule. */
function series(g: Builder, x: Value, gamma: number, order: number): Value {
  const factors = [Math.exp(-2 * gamma)]
  for (let power = 1; power <= order; power++) factors.push((factors.at(-1)! * 2 * gamma) / power)
  let sum = g.Mul(x, factors[order]!)
  for (let power = order - 1; power > 0; power--) sum = g.Mul(g.Add(sum, factors[power]!), x)
  return g.Add(sum, factors[0]!)
}
