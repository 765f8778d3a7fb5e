// Connectors: what makes a tapped value of the student comparable with one of the teacher. Most are learned with the
// student and thrown away after the training.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import type { LossContext } from './loss-context.ts'
import { shapeOf } from './rule.ts'

/** A way to change the student's value: one step of a connector. */
interface Connector<Options extends z.ZodObject = z.ZodObject> {
  readonly options: Options
  /** Writes the step; `name` begins the names of what it learns. The result has a settled shape. */
  readonly write: (
    g: Builder,
    context: LossContext,
    step: {
      readonly value: Value
      readonly shape: readonly number[]
      readonly wanted: readonly number[]
      readonly name: string
    },
    options: z.output<Options>,
  ) => Value
}

const define = <Options extends z.ZodObject>(connector: Connector<Options>) => connector

/** The connectors by name. */
export const connectors = {
  // y = W x along the channels: a 1x1 convolution of images, a matrix on the last axis elsewhere (Romero et al. 2015)
  linear: define({
    options: z.strictObject({
      connect: z.literal('linear').describe('A learned matrix on the channels: a 1x1 convolution.'),
    }),
    write(g, { parameter }, { value, shape, wanted, name }) {
      const axis = channelAxis(shape)
      const [from, to] = [shape[axis]!, wanted[axis]!]
      const out = shape.with(axis, to)
      const spread = Math.sqrt(1 / from)
      if (axis === shape.length - 1) {
        const weight = parameter(`${name}.weight`, [from, to], { normal: spread })
        return settled(g.MatMul(value, weight), out)
      }
      const window = shape.slice(2).map(() => 1)
      const weight = parameter(`${name}.weight`, [to, from, ...window], { normal: spread })
      return settled(g.Conv(value, weight, { kernel_shape: window }), out)
    },
  }),
} as const satisfies Record<string, Connector>

type ConnectorName = keyof typeof connectors

const stepOptions = z.discriminatedUnion('connect', [connectors.linear.options])

/** Schema of a connector: its name, or steps with their options, one after the other. */
export const connectorOptions = z
  .union([
    z.enum(['auto', 'none', ...(Object.keys(connectors) as ConnectorName[])]),
    z.array(stepOptions).min(1),
  ])
  .default('auto')
  .describe(
    "What makes the student's value agree with the teacher's; auto: what the loss needs and no more.",
  )

/** A connector, resolved. */
export type ConnectorOptions = z.output<typeof connectorOptions>

/** What of two shapes a loss needs to agree: nothing, the positions (all but the channels), or everything. */
export type Agreement = 'none' | 'positions' | 'all'

/** The axis of the channels: 1 of images and signals `[N, C, H, W]`, the last one elsewhere. */
export const channelAxis = (shape: readonly number[]): number =>
  shape.length >= 4 ? 1 : shape.length - 1

/** Makes a value of the student agree with a shape of the teacher; a {@link UserError} where it cannot. */
export function connect(
  g: Builder,
  context: LossContext,
  student: Value,
  wanted: readonly number[],
  options: ConnectorOptions,
  agreement: Agreement,
  name: string,
): Value {
  let value = student
  const steps =
    typeof options === 'string' ? chosen(shapeOf(value), wanted, options, agreement) : options
  for (const [index, step] of steps.entries()) {
    const { write } = connectors[step.connect] as Connector
    const shape = shapeOf(value)
    value = write(g, context, { value, shape, wanted, name: `${name}.${index}` }, step)
  }
  const shape = shapeOf(value)
  const own =
    agreement === 'positions' ? shape.with(channelAxis(shape), wanted[channelAxis(wanted)]!) : shape
  if (agreement !== 'none' && String(own) !== String(wanted))
    throw new UserError(
      `${context.where}: taps do not fit: the student's '${student.name}' [${shape}], the teacher's [${wanted}] — use a connector, or other taps`,
    )
  return value
}

function chosen(
  shape: readonly number[],
  wanted: readonly number[],
  options: string,
  agreement: Agreement,
): z.output<typeof stepOptions>[] {
  if (options === 'none' || agreement === 'none') return []
  if (options !== 'auto') return [stepOptions.parse({ connect: options })]
  const axis = channelAxis(shape)
  return agreement === 'all' && shape[axis] !== wanted[axis] ? [{ connect: 'linear' }] : []
}

/** Notes the shape of a value that was just written. */
export function settled(value: Value, shape: readonly number[]): Value {
  value.type = { dtype: 'float32', shape }
  return value
}
