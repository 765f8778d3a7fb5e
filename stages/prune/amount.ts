// The options that say how much is cut: the target, the limits of single layers, and what channel counts are like.
import { z } from 'zod'
import { type ProviderName, providerNames } from '../../runtime/providers.ts'
import type { DataUse } from '../stage.ts'

const share = z.number().gt(0).lt(1)

/** A share for all batch sizes, or one for each. */
const latencyShare = z.union([share, z.array(share).min(1)])

const batchSize = z.int().min(1)

const latency = z
  .strictObject({
    // Every provider is a key of its own, so that the command line has a flag for each.
    ...(Object.fromEntries(
      providerNames.map((name) => [
        name,
        latencyShare
          .optional()
          .describe(
            `channels, layers: share of the unpruned model's measured time on ${name} that remains; one for each batch size, or one for all.`,
          ),
      ]),
    ) as Record<ProviderName, z.ZodOptional<typeof latencyShare>>),
    batch: z
      .union([batchSize, z.array(batchSize).min(1)])
      .default(1)
      .describe('Batch sizes that latency is measured at, as 1 or [1, 64].'),
  })
  .superRefine(({ batch, ...shares }, context) => {
    const sizes = [batch].flat()
    if (new Set(sizes).size < sizes.length)
      context.addIssue({ code: 'custom', path: ['batch'], message: 'names a size twice' })
    const named = Object.entries(shares).filter(([, value]) => value !== undefined)
    if (named.length === 0)
      context.addIssue({
        code: 'custom',
        path: [],
        message: 'expected a share for a provider, as cpu: 0.5',
      })
    for (const [name, value] of named)
      if (Array.isArray(value) && value.length !== sizes.length)
        context.addIssue({
          code: 'custom',
          path: [name],
          message: `has ${value.length} shares for ${sizes.length} batch sizes`,
        })
  })

/** What can be a target, in the order of messages. */
export const targetKeys = ['macs', 'parameters', 'bytes', 'latency', 'sparsity'] as const

/** What a target counts. */
export type TargetKey = (typeof targetKeys)[number]

const target = z
  .strictObject({
    macs: share
      .optional()
      .describe('channels, layers: share of the multiply-accumulates that remains.'),
    parameters: share
      .optional()
      .describe('channels, layers: share of the parameters that remains.'),
    bytes: share.optional().describe("channels: share of the file's size that remains."),
    latency: latency
      .optional()
      .describe(
        "channels, layers: share of the unpruned model's measured time that remains, by provider.",
      ),
    sparsity: share
      .optional()
      .describe('Share of the channels, or of the weights, that is removed.'),
  })
  .superRefine((found, context) => {
    if (targetKeys.filter((key) => found[key] !== undefined).length !== 1)
      context.addIssue({
        code: 'custom',
        path: [],
        message: `expected exactly one of ${targetKeys.join(', ')}`,
      })
  })
  .describe(`How much is cut; exactly one of ${targetKeys.join(', ')}.`)

const keep = z.number().min(0).max(1)

const round = z.union([z.int().min(1), z.literal('auto')])

/** Options that say how much is cut, a part of those of the stage. */
export const amountShape = {
  target,
  round: round
    .optional()
    .describe(
      'channels: counts that remain are multiples of this; auto: of what the provider is measured to like, 1, 4, 8 or 16. Unless given auto with target.latency, else 1.',
    ),
  keep: keep
    .optional()
    .describe('channels: least share of the channels of a group that remains; 0.1 unless given.'),
  limits: z
    .record(
      z.string(),
      z.strictObject({
        keep: keep.optional().describe('Least share that remains in these layers.'),
        round: z.int().min(1).optional().describe('Counts that remain are multiples of this.'),
      }),
    )
    .optional()
    .describe(
      "channels: keep and round for some layers, as { 'layer3*': { keep: 0.5, round: 8 } }; later ones win.",
    ),
  ratios: z
    .enum(['criterion', 'auto'])
    .optional()
    .describe(
      "How much each layer loses. criterion: what its scores say; auto: what costs least by the measured sensitivity of each layer ('condense sensitivity'). criterion unless given.",
    ),
  shares: z
    .array(share)
    .min(1)
    .optional()
    .describe(
      'ratios auto: shares of each layer whose loss is measured; 0.125, 0.25, … 0.875 unless given.',
    ),
}

/** Resolved options of how much is cut. */
export type AmountOptions = z.output<z.ZodObject<typeof amountShape>>

/** What the target counts. */
export function targetKeyOf({ target: found }: Pick<AmountOptions, 'target'>): TargetKey {
  const key = targetKeys.find((one) => found[one] !== undefined)
  if (!key) throw new Error('internal: pruning without a target')
  return key
}

/** A measured latency that is to be reached. */
export interface LatencyGoal {
  readonly provider: ProviderName
  readonly batch: number
  /** Of the time of the unpruned model. */
  readonly share: number
}

/** The latencies that are to be reached, provider by provider. */
export function latencyGoals({ batch, ...shares }: z.output<typeof latency>): LatencyGoal[] {
  const sizes = [batch].flat()
  return providerNames.flatMap((provider) => {
    const own = shares[provider]
    if (own === undefined) return []
    return sizes.map((size, index) => ({
      provider,
      batch: size,
      share: Array.isArray(own) ? own[index]! : own,
    }))
  })
}

/** What the amount reads of the data: sensitivity must have samples, and times are better taken with some. */
export const amountDataUse = ({
  ratios,
  round: rounding,
  target: { latency: timed },
}: AmountOptions): DataUse => {
  if (ratios === 'auto') return 'always'
  return timed !== undefined || rounding === 'auto' ? 'where given' : 'never'
}
