// Connectors: what makes a tapped value of the student comparable with one of the teacher. Most are learned with the
// student and thrown away after the training.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { sizeOf } from '../onnx/tensor.ts'
import { conv, linear, projection } from './connectors/channels.ts'
import { type Connector, channelAxis, positionsIn } from './connectors/connector.ts'
import { average, divides, interpolate, pool, sequence } from './connectors/positions.ts'
import type { LossContext } from './loss-context.ts'
import { shapeOf } from './rule.ts'

export { channelAxis, settled } from './connectors/connector.ts'

/** The connectors by name. */
export const connectors = {
  linear,
  conv,
  projection,
  pool,
  interpolate,
  average,
  sequence,
} as const satisfies Record<string, Connector>

type ConnectorName = keyof typeof connectors
type StepSchema = (typeof connectors)[ConnectorName]['options']

const stepOptions = z.discriminatedUnion(
  'connect',
  // There is at least one.
  Object.values(connectors).map(({ options }) => options) as unknown as [
    StepSchema,
    ...StepSchema[],
  ],
)

/** Schema of a connector: its name, or steps with their options, one after the other. */
export const connectorOptions = z
  .union([
    z.enum(['auto', 'none', ...(Object.keys(connectors) as ConnectorName[])]),
    z.array(stepOptions).min(1),
  ])
  .default('auto')
  .describe(
    "What makes the student's value agree with the teacher's; auto: what the loss needs and no more, first for the positions (pool, interpolate, average, sequence), then for the channels (linear).",
  )

/** A connector, resolved. */
export type ConnectorOptions = z.output<typeof connectorOptions>

/** What of two shapes a loss needs to agree: nothing, the channels, the positions (all but the channels), or everything. */
export type Agreement = 'none' | 'channels' | 'positions' | 'all'

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
  for (const [index, step] of stepsOf(shapeOf(value), wanted, options, agreement).entries()) {
    // The row and the options have the same name, which the compiler cannot tie together over a union.
    const { write } = connectors[step.connect] as unknown as Connector
    const shape = shapeOf(value)
    value = write(g, context, { value, shape, wanted, name: `${name}.${index}` }, step)
  }
  const shape = shapeOf(value)
  if (!agrees(shape, wanted, agreement))
    throw new UserError(
      `${context.where}: taps do not fit: the student's '${student.name}' [${shape}], the teacher's [${wanted}] — use a connector, or other taps`,
    )
  return value
}

function stepsOf(
  shape: readonly number[],
  wanted: readonly number[],
  options: ConnectorOptions,
  agreement: Agreement,
): readonly z.output<typeof stepOptions>[] {
  if (typeof options !== 'string') return options
  if (options === 'none') return []
  const names = options === 'auto' ? neededSteps(shape, wanted, agreement) : [options]
  return names.map((connect) => stepOptions.parse({ connect }))
}

/** What `auto` does: nothing where shapes agree, or where nothing fits. */
function neededSteps(
  shape: readonly number[],
  wanted: readonly number[],
  agreement: Agreement,
): readonly ConnectorName[] {
  const steps: ConnectorName[] = []
  if (agreement === 'positions' || agreement === 'all')
    steps.push(...forPositions(positionsIn(shape), positionsIn(wanted)))
  const [from, to] = [shape[channelAxis(shape)], wanted[channelAxis(wanted)]]
  if ((agreement === 'channels' || agreement === 'all') && from !== to) steps.push('linear')
  return steps
}

function forPositions(from: readonly number[], to: readonly number[]): readonly ConnectorName[] {
  if (String(from) === String(to)) return []
  if (to.length === 0) return ['average']
  if (from.length === to.length) return divides(from, to) ? ['pool'] : ['interpolate']
  const lengths = [from.length, to.length]
  const isSequence = lengths.includes(1) && lengths.includes(2) && sizeOf(from) === sizeOf(to)
  return isSequence ? ['sequence'] : []
}

/** True where shapes agree as far as a loss needs it; samples always must. */
function agrees(
  shape: readonly number[],
  wanted: readonly number[],
  agreement: Agreement,
): boolean {
  if (shape[0] !== wanted[0]) return false
  const channels = wanted[channelAxis(wanted)]!
  if (agreement === 'none') return true
  if (agreement === 'channels') return shape[channelAxis(shape)] === channels
  const own = agreement === 'all' ? shape : shape.with(channelAxis(shape), channels)
  return String(own) === String(wanted)
}
