// Variational information distillation (Ahn, Hu, Damianou, Lawrence and Dai 2019).
import { z } from 'zod'
import { sizeOf } from '../../onnx/tensor.ts'
import { channelAxis } from '../connectors/connector.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import { shapeOf } from '../rule.ts'
import { total } from './formulas.ts'
import { newLayer, relu, through } from './layers.ts'
import { meanOf } from './maps.ts'

/** The least variance, which keeps the quotient and the logarithm finite. */
const least = 1e-5

/**
 * Mean of (t - μ(s))² / 2σ² + log σ, σ² = log(1 + eᵃ) + ε of each channel, a and μ learned (Ahn et al. 2019, equations
 * 5 and 6): -log q(t | s) of a normal distribution without its constant, so that it can be below 0. μ is three layers
 * on the channels (1x1 convolutions) with ReLU between.
 *
 * Features are `[N, C, H, W]`, `[N, L, C]` or `[N, C]`.
 */
export const vid = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('vid')
      .describe(
        "How well a learned normal distribution, made from the student's tapped values, foretells the teacher's: variational information.",
      ),
    ...pairOptions,
    variance: z
      .number()
      .min(1e-3)
      .default(5)
      .describe('Variance of each channel that the learning begins with.'),
  }),
  comparesWith: [],
  write(g, context, options) {
    const begin = Math.log(Math.expm1(options.variance - least))
    const terms = context.pairs(options, 'positions', 'vid').map(({ student, teacher }, index) => {
      const name = `vid.pair${index}`
      const shape = shapeOf(teacher)
      const axis = channelAxis(shape)
      const channels = shape[axis]!
      let mean = student
      for (const number of [0, 1, 2]) {
        const options = { gain: number < 2 ? 2 : 1 }
        const layer = newLayer(context, shapeOf(mean), channels, `${name}.mean${number}`, options)
        const made = through(g, mean, layer)
        mean = number < 2 ? relu(g, made) : made
      }
      const free = context.parameter(`${name}.variance`, [channels], begin)
      const variance = g.Add(g.Softplus(free), least)
      const difference = g.Sub(teacher, mean)
      const others = [...shape.keys()].filter((each) => each !== axis)
      const squares = g.ReduceSum(g.Mul(difference, difference), others, { keepdims: 0 })
      const error = g.Div(g.Mul(squares, channels / sizeOf(shape)), variance)
      return g.Mul(total(g, g.Add(error, g.Log(variance))), 0.5 / channels)
    })
    return meanOf(g, terms)
  },
})
