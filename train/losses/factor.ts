// Factor transfer (Kim, Park and Kwak 2018).
import { z } from 'zod'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { channelAxis } from '../connectors/connector.ts'
import { defineLoss, pairOptions } from '../loss.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { squares, total } from './formulas.ts'
import { leakyRelu, newLayer, through } from './layers.ts'
import { meanOf, samples, unit } from './maps.ts'

/**
 * Mean over samples of Σ |f_T / ‖f_T‖ - f_S / ‖f_S‖|ᵖ, the factors f_T of a paraphraser of the teacher's features and
 * f_S of a translator of the student's (Kim et al. 2018, equations 1 and 2), plus the paraphraser's own mean squared
 * error of reconstruction.
 *
 * The paper trains the paraphraser beforehand; here it learns in the same steps, from its reconstruction alone: nothing
 * that the student does reaches it. Both are three convolutions with leaky ReLU (slope 0.1), without normalization;
 * features `[N, L, C]` and `[N, C]` go through matrices instead.
 */
export const factor = defineLoss({
  options: z.strictObject({
    loss: z
      .literal('factor')
      .describe(
        "Distance of learned factors of the student's tapped values and of the teacher's: factor transfer.",
      ),
    ...pairOptions,
    power: z
      .union([z.literal(1), z.literal(2)])
      .default(1)
      .describe('Power p of the differences of the factors.'),
    rate: z
      .number()
      .positive()
      .default(0.5)
      .describe("Channels of the factors as a share of the teacher's."),
    kernel: z
      .union([z.literal(1), z.literal(3), z.literal(5)])
      .default(3)
      .describe('Window of the convolutions along each axis.'),
  }),
  comparesWith: [],
  auto: () => 'last end',
  write(g, context, options) {
    const { batch } = context
    const { power, rate, kernel: size } = options
    const terms = context
      .pairs(options, 'positions', 'factor')
      .map(({ student, teacher }, index) => {
        const chain = (value: Value, widths: readonly number[], name: string, open = false) =>
          layers(g, context, value, widths, { name: `factor.pair${index}.${name}`, size, open })
        const [own, theirs] = [channelsOf(student), channelsOf(teacher)]
        const few = Math.max(1, Math.round(theirs * rate))
        const theirFactor = chain(teacher, [theirs, few, few], 'encode')
        const again = chain(theirFactor, [few, theirs, theirs], 'decode', true)
        const ownFactor = chain(student, [own, few, few], 'translate')
        const flat = (value: Value) => unit(g, samples(g, value), 1)
        const apart = g.Sub(context.detach(flat(theirFactor)), flat(ownFactor))
        const distance = power === 1 ? total(g, g.Abs(apart)) : squares(g, apart)
        const error = squares(g, g.Sub(again, teacher))
        return g.Add(g.Mul(distance, 1 / batch), g.Mul(error, 1 / sizeOf(shapeOf(teacher))))
      })
    return meanOf(g, terms)
  },
})

/** Layers one behind the other, each with its activation; the last one without where it is left open. */
function layers(
  g: Builder,
  context: LossContext,
  value: Value,
  widths: readonly number[],
  { name, size, open }: { readonly name: string; readonly size: number; readonly open: boolean },
): Value {
  return widths.reduce((made, to, index) => {
    const bare = open && index === widths.length - 1
    const options = { size, gain: bare ? 1 : 2 }
    const layer = newLayer(context, shapeOf(made), to, `${name}${index}`, options)
    const out = through(g, made, layer)
    return bare ? out : leakyRelu(g, out, 0.1)
  }, value)
}

const channelsOf = (value: Value): number => shapeOf(value)[channelAxis(shapeOf(value))]!
