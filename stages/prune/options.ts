// The options of pruning. They are one flat object, so that the command line has a flag for each; options that do not
// go with the structure are refused.
import { z } from 'zod'
import { recoverOptions } from '../recover.ts'
import { criteria, criterionNames } from './criteria.ts'

const share = z.number().gt(0).lt(1)

const target = z
  .strictObject({
    macs: share.optional().describe('channels: share of the multiply-accumulates that remains.'),
    parameters: share.optional().describe('channels: share of the parameters that remains.'),
    sparsity: share
      .optional()
      .describe('Share of the channels, or of the weights, that is removed.'),
  })
  .describe('How much is cut; exactly one of macs, parameters and sparsity.')

/** Which options go with which structure. */
const applicable = {
  channels: ['criterion', 'scope', 'normalise', 'round', 'keep', 'samples'],
  weights: ['criterion', 'scope'],
} as const satisfies Record<string, readonly string[]>

/** Options that go with any structure. */
const common: readonly string[] = ['stage', 'structure', 'target', 'layers', 'exclude', 'recover']

/** The schema of the stage. */
export const pruneOptions = z
  .strictObject({
    stage: z.literal('prune'),
    structure: z
      .enum(['channels', 'weights'])
      .describe('channels: cuts them out, the model gets smaller; weights: zeroes single weights.'),
    target,
    criterion: z
      .enum(criterionNames)
      .optional()
      .describe(
        'What is unimportant. channels: l1 (unless given), l2, taylor; weights: magnitude.',
      ),
    scope: z
      .enum(['global', 'local'])
      .default('global')
      .describe('global: ranked over the whole model; local: every layer loses the same share.'),
    normalise: z
      .enum(['mean', 'none'])
      .optional()
      .describe(
        "channels: divides scores by their group's mean before groups are compared; unless given, mean for l1 and l2, none for taylor.",
      ),
    round: z
      .int()
      .min(1)
      .optional()
      .describe('channels: counts that remain are multiples of this; 1 unless given.'),
    keep: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe('channels: least share of the channels of a group that remains; 0.1 unless given.'),
    samples: z
      .int()
      .min(1)
      .optional()
      .describe(
        'taylor: training samples, of those for calibration, that the gradient is taken over; 512 unless given.',
      ),
    layers: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("Layers to prune: names, globs, 're:…' or 'op:…'; all unless given."),
    exclude: z
      .array(z.string())
      .default([])
      .describe("Layers to leave alone: names, globs, 're:…' or 'op:…'."),
    recover: recoverOptions.optional(),
  })
  .superRefine((options, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message })
    const { structure, criterion } = options
    const known: readonly string[] = [...common, ...applicable[structure]]
    for (const [key, value] of Object.entries(options))
      if (value !== undefined && !known.includes(key))
        refuse([key], `does not go with structure '${structure}'`)
    if (criterion && criteria[criterion].structure !== structure)
      refuse(['criterion'], `'${criterion}' does not go with structure '${structure}'`)
    if (options.samples !== undefined && criterion !== 'taylor')
      refuse(['samples'], "goes with criterion 'taylor' alone")
    const named = Object.entries(options.target).filter(([, value]) => value !== undefined)
    if (named.length !== 1) refuse(['target'], 'expected exactly one of macs, parameters, sparsity')
    for (const [key] of named)
      if (structure === 'weights' && key !== 'sparsity')
        refuse(['target', key], "does not go with structure 'weights', whose file keeps its size")
  })

/** Resolved options of the stage. */
export type PruneOptions = z.output<typeof pruneOptions>

/** The criterion where none is given. */
export const criterionOf = ({ criterion, structure }: PruneOptions) =>
  criterion ?? (structure === 'channels' ? 'l1' : 'magnitude')
