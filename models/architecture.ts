// What a reference architecture is: its options as a schema, and how it is built.
import type { z } from 'zod'
import type { Random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import type { ModelShape } from './layers.ts'

/** An architecture; `options` has the literal `architecture` that names it. */
export interface Architecture<Options extends z.ZodObject = z.ZodObject> {
  /** One line for people. */
  readonly summary: string
  readonly options: Options
  /** Present where it takes images `[C, H, W]` alone, with the least height and width. */
  readonly images?: { readonly minimumSide: number }
  build(options: z.output<Options>, shape: ModelShape, random: Random): Model
}

/** The identity; it exists so that `build` sees the type of its options. */
export function defineArchitecture<Options extends z.ZodObject>(
  architecture: Architecture<Options>,
): Architecture<Options> {
  return architecture
}
