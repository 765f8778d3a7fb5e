// What a reference architecture is: its options as a schema, what it can be fed, and how it is built.
import type { z } from 'zod'
import type { Random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import type { Refusal } from './intake.ts'
import type { ModelShape } from './layers.ts'

/** An architecture; `options` has the literal `architecture` that names it. */
export interface Architecture<Options extends z.ZodObject = z.ZodObject> {
  /** One line for people. */
  readonly summary: string
  readonly options: Options
  /** Says what of a shape it cannot take; `build` is given no such shape. */
  intake(shape: ModelShape, options: z.output<Options>): Refusal | undefined
  /** True where it can give numbers for every position of its input. */
  readonly tags?: true
  build(options: z.output<Options>, shape: ModelShape, random: Random): Model
}

/** The identity; it exists so that `build` sees the type of its options. */
export function defineArchitecture<Options extends z.ZodObject>(
  architecture: Architecture<Options>,
): Architecture<Options> {
  return architecture
}
