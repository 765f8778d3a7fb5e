// The losses: one row each, a scalar written into the graph from the student's outputs and tapped values.
import { z } from 'zod'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import type { Loss, Reference } from './loss.ts'
import type { LossContext } from './loss-context.ts'
import { binaryCrossEntropy, klBinary } from './losses/binary.ts'
import { crossEntropy } from './losses/cross-entropy.ts'
import { absoluteError, huber, reconstruction, squaredError } from './losses/errors.ts'
import { feature } from './losses/feature.ts'
import { scaled } from './losses/formulas.ts'
import { kl } from './losses/kl.ts'
import { embedding, match, mse } from './losses/outputs.ts'
import { cosinePairs, pairwise } from './losses/pairs.ts'

/** The losses by name. */
export const losses = {
  // with the targets of the data
  'cross-entropy': crossEntropy,
  'binary-cross-entropy': binaryCrossEntropy,
  'squared-error': squaredError,
  'absolute-error': absoluteError,
  huber,
  'cosine-pairs': cosinePairs,
  pairwise,
  reconstruction,
  // with the teacher's outputs
  kl,
  'kl-binary': klBinary,
  mse,
  embedding,
  match,
  // with values inside the teacher
  feature,
} as const

type LossName = keyof typeof losses
type Schema = (typeof losses)[LossName]['options']

/** Schema of one term of the loss. */
export const lossOptions = z.discriminatedUnion(
  'loss',
  // There is at least one.
  Object.values(losses).map(({ options }) => options) as unknown as [Schema, ...Schema[]],
)

/** A term of the loss, resolved. */
export type LossOptions = z.output<typeof lossOptions>

/** A loss as it is written: the weighted sum, a scalar, and its weighted terms. */
export interface WrittenLoss {
  readonly loss: Value
  readonly terms: readonly Value[]
}

/** Writes the weighted sum of several losses. */
export async function writeLoss(
  g: Builder,
  context: LossContext,
  terms: readonly LossOptions[],
): Promise<WrittenLoss> {
  const written: Value[] = []
  for (const options of terms) {
    // The row and the options have the same name, which the compiler cannot tie together over a union.
    const { write } = losses[options.loss] as unknown as Loss
    const value = await write(g, context, options)
    written.push(scaled(g, value, context.number(options.weight)))
  }
  return { loss: written.reduce((sum, term) => g.Add(sum, term)), terms: written }
}

/** True where any of the losses compares with this. */
export const comparesWith = (terms: readonly LossOptions[], reference: Reference): boolean =>
  terms.some(({ loss }) => (losses[loss].comparesWith as readonly Reference[]).includes(reference))

/** True where any of the losses compares with a teacher: its outputs, values inside it, or its gradient. */
export const needsTeacher = (terms: readonly LossOptions[]): boolean =>
  comparesWith(terms, 'teacher') ||
  comparesWith(terms, 'teacher gradient') ||
  terms.some((options) => 'connector' in options)
