// What is common to students that are made from their teacher.
import { z } from 'zod'
import type { Model } from '../onnx/graph.ts'
import type { ModelShape } from './layers.ts'

/** What a student is made for, and from. */
export interface Derivation extends ModelShape {
  readonly seed: number
  /** The model that it is a smaller copy of. */
  readonly teacher: Model
  /** Told, in one line each, what was left out. */
  readonly log?: ((line: string) => void) | undefined
}

/** The option that says what a smaller copy is made of. */
export const ofTeacher = z.literal('teacher').default('teacher').describe('What it is a copy of.')

/**
 * Sizes for the free dimensions behind the batch, by symbol or by input and axis, as `inferShapes` takes them: those
 * of the data, where an input of the model goes by the same name or there is only one.
 */
export function freeSizes(
  { graph }: Model,
  { inputs }: Pick<ModelShape, 'inputs'>,
): Readonly<Record<string, number>> {
  const sizes: Record<string, number> = {}
  for (const { name, type } of graph.feeds) {
    const found = inputs.find((input) => input.name === name)
    const shape = (found ?? (graph.feeds.length === 1 ? inputs[0] : undefined))?.shape ?? []
    const rest = type?.shape?.slice(1) ?? []
    if (rest.length !== shape.length) continue
    for (const [axis, dim] of rest.entries())
      if (typeof dim !== 'number') sizes[dim ?? `${name}:${axis + 1}`] = shape[axis]!
  }
  return sizes
}
