// The losses: one row each, a scalar written into the graph from the student's outputs and tapped values.
import { z } from 'zod'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import type { Loss, Reference } from './loss.ts'
import type { LossContext } from './loss-context.ts'
import { activationBoundary } from './losses/activation-boundary.ts'
import { adversarial } from './losses/adversarial.ts'
import { attentionTransfer } from './losses/attention-transfer.ts'
import { binaryCrossEntropy, klBinary } from './losses/binary.ts'
import { consistency } from './losses/consistency.ts'
import { crd } from './losses/crd.ts'
import { crossEntropy } from './losses/cross-entropy.ts'
import { cwd } from './losses/cwd.ts'
import { deepSupervision } from './losses/deep-supervision.ts'
import { dist } from './losses/dist.ts'
import { dkd } from './losses/dkd.ts'
import { absoluteError, huber, reconstruction, squaredError } from './losses/errors.ts'
import { factor } from './losses/factor.ts'
import { feature } from './losses/feature.ts'
import { scaled } from './losses/formulas.ts'
import { fsp } from './losses/fsp.ts'
import { jacobian } from './losses/jacobian.ts'
import { kl } from './losses/kl.ts'
import { mutual } from './losses/mutual.ts'
import { nst } from './losses/nst.ts'
import { embedding, match, mse } from './losses/outputs.ts'
import { cosinePairs, pairwise } from './losses/pairs.ts'
import { listwise, rank } from './losses/ranking.ts'
import { relational } from './losses/relational.ts'
import { review } from './losses/review.ts'
import { correlation, pkt, similarity } from './losses/samples.ts'
import { sequence } from './losses/sequence.ts'
import { teacherBound } from './losses/teacher-bound.ts'
import { teacherFree } from './losses/teacher-free.ts'
import { attention, relations } from './losses/transformer.ts'
import { vid } from './losses/vid.ts'

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
  'teacher-free': teacherFree,
  // with the teacher's outputs
  kl,
  'kl-binary': klBinary,
  mse,
  embedding,
  match,
  dkd,
  dist,
  sequence,
  listwise,
  rank,
  'teacher-bound': teacherBound,
  mutual,
  consistency,
  jacobian,
  adversarial,
  // with values inside the teacher
  feature,
  'attention-transfer': attentionTransfer,
  fsp,
  similarity,
  correlation,
  pkt,
  relational,
  nst,
  'activation-boundary': activationBoundary,
  cwd,
  vid,
  crd,
  factor,
  review,
  attention,
  relations,
  // with values inside the student alone
  'deep-supervision': deepSupervision,
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
  terms.some((options) => {
    const found = (losses[options.loss] as unknown as Loss).comparesWith
    return (typeof found === 'function' ? found(options) : found).includes(reference)
  })

/** True where the teacher's first output is wanted as it was before a closing Sigmoid, not before a Softmax. */
export const comparesBinary = (terms: readonly LossOptions[], group: number): boolean =>
  terms.some(({ loss }) => (losses[loss] as unknown as Loss).binary?.(group) ?? false)

/** True where any of the losses compares with a teacher: its outputs, values inside it, or its gradient. */
export const needsTeacher = (terms: readonly LossOptions[]): boolean =>
  comparesWith(terms, 'teacher') ||
  comparesWith(terms, 'teacher gradient') ||
  terms.some((options) => 'connector' in options)
