// The options of pruning. They are one flat object, so that the command line has a flag for each; options that do not
// go with the structure, or with each other, are refused.
import { z } from 'zod'
import { recalibrateOptions } from '../recalibrate.ts'
import { recoverOptions } from '../recover.ts'
import { amountShape, targetKeys } from './amount.ts'
import { criterionProblems, criterionShape } from './criteria.ts'
import { layersShape, layerTargets } from './layers.ts'
import { familyOf } from './mask-structures.ts'
import { timeProblems } from './over-time.ts'
import { scheduleShape } from './schedule.ts'
import { type StructureKind, structureOf, structurePattern, structureProblem } from './structure.ts'

const scored = ['criterion', 'normalise', 'scope', 'samples', 'reconstruct'] as const
/** Options of structures that are cut out. */
const cut = [
  ...scored,
  'aggregate',
  'round',
  'keep',
  'limits',
  'ratios',
  'shares',
  'steps',
] as const
/** Options of structures that are zeroed. */
const zeroed = [...scored, 'steps', 'schedule', 'rewind'] as const
/** Options of patterns that leave nothing to compare beyond them. */
const fixed = zeroed.filter((option) => option !== 'scope')

/** What goes with a structure besides the common options. */
interface Applicable {
  readonly options: readonly string[]
  /** What can be a target; none where the structure itself says how much goes. */
  readonly targets: readonly (typeof targetKeys)[number][]
}

/** Which options go with which structure. */
const applicable: Readonly<Record<StructureKind, Applicable>> = {
  channels: { options: cut, targets: targetKeys },
  filters: { options: cut, targets: targetKeys },
  heads: { options: cut, targets: targetKeys },
  layers: { options: ['criterion', 'samples', 'steps', 'unit'], targets: layerTargets },
  weights: { options: [...zeroed, 'regrow'], targets: ['sparsity'] },
  block: { options: [...zeroed, 'regrow'], targets: ['sparsity'] },
  banded: { options: zeroed, targets: ['sparsity'] },
  'block-diagonal': {
    options: ['reconstruct', 'samples', 'steps', 'schedule', 'rewind'],
    targets: ['sparsity'],
  },
  'n:m': { options: fixed, targets: [] },
}

/** Options that go with any structure. */
const common: readonly string[] = [
  ...['stage', 'structure', 'target', 'layers', 'exclude', 'recalibrate', 'recover'],
]

/** The schema of the stage. */
export const pruneOptions = z
  .strictObject({
    stage: z.literal('prune'),
    structure: z
      .string()
      .regex(
        structurePattern,
        "expected channels, filters, heads, layers, weights, banded, block-diagonal, or a pattern such as '2:4' or 'block-4x1'",
      )
      .describe(
        "What goes: channels, filters (channels that one layer makes alone), heads and layers (residual branches or blocks) are cut out, the model gets smaller; weights, 'n:m' (n of every m along the inputs stay: '2:4'), 'block-4x1' (blocks of any size), banded and block-diagonal are zeroed.",
      ),
    ...amountShape,
    // Where the structure itself says how much goes, there is none.
    target: amountShape.target.default({}),
    ...criterionShape,
    layers: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("Layers to prune: names, globs, 're:…' or 'op:…'; all unless given."),
    exclude: z
      .array(z.string())
      .default([])
      .describe("Layers to leave alone: names, globs, 're:…' or 'op:…'."),
    ...layersShape,
    ...scheduleShape,
    recalibrate: recalibrateOptions.optional(),
    recover: recoverOptions.optional(),
  })
  .superRefine((options, context) => {
    const refuse = (path: string[], message: string) =>
      context.addIssue({ code: 'custom', path, message })
    const { structure } = options
    const problem = structureProblem(structure)
    if (problem) return refuse(['structure'], problem)
    const { kind } = structureOf(structure)
    const { options: own, targets } = applicable[kind]
    const known: readonly string[] = [...common, ...own]
    for (const [key, value] of Object.entries(options))
      if (value !== undefined && !known.includes(key))
        refuse([key], `does not go with structure '${structure}'`)
    for (const { path, message } of criterionProblems(options, familyOf(options)))
      refuse([path], message)
    if (options.scope === 'row' && kind !== 'weights')
      refuse(['scope'], "'row' goes with structure 'weights'")
    const named = Object.entries(options.target).filter(([, value]) => value !== undefined)
    if (named.length === 0 && targets.length > 0)
      refuse(['target'], `expected exactly one of ${targets.join(', ')}`)
    for (const [key] of named)
      if (targets.length === 0)
        refuse(['target'], `structure '${structure}' says by itself how much goes — leave it out`)
      else if (!targets.some((target) => target === key))
        refuse(
          ['target', key],
          kind === 'layers'
            ? `does not go with structure '${structure}' — use ${targets.join(', ')}`
            : `does not go with structure '${structure}', whose file keeps its size — use sparsity`,
        )
    for (const { path, message } of timeProblems(options)) refuse([path], message)
  })

/** Resolved options of the stage. */
export type PruneOptions = z.output<typeof pruneOptions>
