// Neuron selectivity (Huang and Wang 2017): what positions the channels choose, as a distribution.
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import { squares, total } from './formulas.ts'
import { diagonal, type Maps, mapsOf, meanOf, products, unit, wholePower } from './maps.ts'

/**
 * Mean over samples of the squared maximum mean discrepancy of channels, each a vector of length 1 over positions:
 * mean k(t, t′) + mean k(s, s′) - 2 mean k(s, t) (section 4; k is x·y, (x·y + c)^d, or e^(-‖x-y‖²/2σ²)).
 *
 * σ² is the mean of ‖t - t′‖² over the teacher's channels in the batch, so that it stays while the student learns.
 */
export const nst = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('nst')
      .describe(
        'Neuron selectivity transfer: distance of the distributions of channels over the positions of an image (or a sequence).',
      ),
    ...pairOptions,
    kernel: z
      .enum(['linear', 'polynomial', 'gaussian'])
      .default('polynomial')
      .describe('The kernel of two channels.'),
    degree: z.int().min(2).default(2).describe('Degree d of the polynomial.'),
    offset: z.number().min(0).default(0).describe('Offset c of the polynomial.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const maps = (value: Value) => mapsOf(g, context, value, options.loss)
    const terms = context.pairs(options, 'positions', options.loss).map(({ student, teacher }) => {
      const [s, t] = [maps(student), maps(teacher)]
      if (options.kernel === 'linear') {
        const difference = g.Sub(centre(g, s), centre(g, t))
        return g.Mul(squares(g, difference), 1 / context.batch)
      }
      const [own, theirs, between] = [products(g, s, s), products(g, t, t), products(g, s, t)]
      const [rows, columns] = [lengths(g, own, s), lengths(g, theirs, t)]
      const teachers = cosines(g, theirs, columns, columns, t)
      const kernel = kernelOf(g, options, teachers, t)
      const mean = (cosines: Value, a: Maps, b: Maps) =>
        g.Mul(total(g, kernel(cosines)), 1 / (context.batch * a.channels * b.channels))
      const within = g.Add(mean(teachers, t, t), mean(cosines(g, own, rows, rows, s), s, s))
      return g.Sub(within, g.Mul(mean(cosines(g, between, rows, columns, t), s, t), 2))
    })
    return meanOf(g, terms)
  },
})

/** The mean of the channels, each a vector of length 1. */
const centre = (g: Builder, { value, channelAxis, positionAxis }: Maps): Value =>
  g.ReduceMean(unit(g, value, positionAxis), [channelAxis], { keepdims: 1 })

/** The lengths of the channels, from their inner products: `[N, C, 1]`. */
const lengths = (g: Builder, products: Value, { channels }: Maps): Value =>
  g.Sqrt(g.Add(diagonal(g, products, channels), 1e-8))

/** Inner products over the lengths of both: those of rows, and those of columns, of which there are `channels`. */
const cosines = (
  g: Builder,
  products: Value,
  rows: Value,
  columns: Value,
  { samples, channels }: Maps,
): Value => g.Div(g.Div(products, rows), g.Reshape(columns, [samples, 1, channels]))

/** The kernel, of inner products of vectors of length 1. */
function kernelOf(
  g: Builder,
  { kernel, degree, offset }: { kernel: string; degree: number; offset: number },
  teacher: Value,
  { samples, channels }: Maps,
): (products: Value) => Value {
  if (kernel === 'polynomial')
    return (products) => wholePower(g, offset === 0 ? products : g.Add(products, offset), degree)
  // ‖x - y‖² = 2 - 2 x·y; equal channels have a mean of 0.
  const mean = g.Mul(total(g, teacher), 1 / (samples * channels ** 2))
  const variance = g.Max(g.Sub(2, g.Mul(mean, 2)), 1e-6)
  return (products) => g.Exp(g.Div(g.Sub(products, 1), variance))
}
