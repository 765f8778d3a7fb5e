// What a connector is, and how shapes of features are read: `[N, C, H, W]` for images, `[N, L, D]` for sequences,
// `[N, D]` for samples as a whole.
import type { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import type { LossContext } from '../loss-context.ts'

/** Where a connector stands: the student's value as it comes, and the teacher's shape it is on its way to. */
export interface Step {
  readonly value: Value
  readonly shape: readonly number[]
  readonly wanted: readonly number[]
  /** What the names of learned tensors begin with. */
  readonly name: string
}

/** A way to change the student's value: one step of a connector. */
export interface Connector<Options extends z.ZodObject = z.ZodObject> {
  readonly options: Options
  /** Writes the step; the result has a settled shape. A {@link UserError} where the shapes do not allow it. */
  readonly write: (
    g: Builder,
    context: LossContext,
    step: Step,
    options: z.output<Options>,
  ) => Value
}

/** The identity; it exists so that `write` sees the type of its options. */
export const defineConnector = <Options extends z.ZodObject>(connector: Connector<Options>) =>
  connector

/** The axis of the channels: 1 of images `[N, C, H, W]`, the last one elsewhere. */
export const channelAxis = (shape: readonly number[]): number =>
  shape.length >= 4 ? 1 : shape.length - 1

/** What is left of a shape without the batch and the channels: `[H, W]`, `[L]` or nothing. */
export const positionsIn = (shape: readonly number[]): readonly number[] =>
  shape.slice(1).toSpliced(channelAxis(shape) - 1, 1)

/** A shape with other positions. */
export const withPositions = (
  shape: readonly number[],
  positions: readonly number[],
): readonly number[] =>
  [shape[0]!, ...positions].toSpliced(channelAxis(shape), 0, shape[channelAxis(shape)]!)

/** Notes the shape of a value that was just written. */
export function settled(value: Value, shape: readonly number[]): Value {
  value.type = { dtype: 'float32', shape }
  return value
}

/** The error of a step that its shapes do not allow. */
export const unfit = (
  { where }: LossContext,
  connector: string,
  { shape, wanted }: Step,
  reason: string,
  remedy: string,
): UserError =>
  new UserError(
    `${where}: connector '${connector}' ${reason}: the student's [${shape}], the teacher's [${wanted}] — ${remedy}`,
  )
