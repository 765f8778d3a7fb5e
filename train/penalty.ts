// What a penalty is: a term of the loss that looks at the weights alone, so that training makes some of them small.
import { z } from 'zod'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import type { Layer } from './prepare.ts'
import { scheduled } from './scheduled.ts'

/** What one axis of a constant is to the channels of a group. */
export interface ChannelSlice {
  /** The name of the constant. */
  readonly name: string
  readonly axis: number
  /** A weight makes the channels (`out`) or takes them (`in`); a vector multiplies them or is added to them. */
  readonly role: 'out' | 'in' | 'scale' | 'bias'
  /** The indices along the axis that each channel has, as many for every channel. */
  readonly indices: readonly Int32Array[]
}

/** Channels that can be cut, each with all that a cut would remove. */
export interface PenalisedGroup {
  /** The names of the layers that make the channels. */
  readonly producers: readonly string[]
  readonly channels: number
  readonly slices: readonly ChannelSlice[]
}

/** What a penalty may look at, as far as its options name layers. */
export interface PenaltyContext {
  /** The layers, before composite operators were written out. */
  readonly layers: readonly Layer[]
  /** True of initializers that are trained. */
  readonly learns: (value: Value | undefined) => value is Value
  readonly groups: readonly PenalisedGroup[]
  /** A constant of a group as the training graph has it; undefined where it has none of that name. */
  readonly value: (name: string) => Value | undefined
}

/** A penalty: a scalar made of weights, without its factor. */
export interface Penalty<Options extends z.ZodObject = z.ZodObject> {
  readonly options: Options
  /** True where it has to know which channels hang together. */
  readonly needsGroups: boolean
  /** What a model lacks for which it has no term, and what to do: "has no …, … — use …". */
  readonly lacking: string
  /** Gives the terms that are to be added up; none where the model has nothing of the kind. */
  readonly write: (
    g: Builder,
    context: PenaltyContext,
    options: z.output<Options>,
  ) => readonly Value[]
}

/** The identity; it exists so that `write` sees the type of its options. */
export const definePenalty = <Options extends z.ZodObject>(
  penalty: Penalty<Options>,
): Penalty<Options> => penalty

/** The factor λ of a penalty. */
export const factor = scheduled(z.number().min(0))

/** The option that every penalty has besides its factor. */
export const penaltyLayers = z
  .array(z.string())
  .min(1)
  .optional()
  .describe("Layers that it is about: names, globs, 're:…' or 'op:…'; all unless given.")
