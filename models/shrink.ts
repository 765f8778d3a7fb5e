// A narrower copy of any model: every group of channels that can be followed keeps a share of them.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { cutChannels } from '../channels/cut.ts'
import { foldChannels } from '../channels/fold.ts'
import { channelGroups, type Group } from '../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../channels/prepare.ts'
import type { Model } from '../onnx/graph.ts'
import { type Derivation, freeSizes, ofTeacher } from './derive.ts'
import { initialise } from './fresh.ts'

/** Schema of a narrower copy of the teacher. */
export const shrinkOptions = z.strictObject({
  shrink: z
    .number()
    .gt(0)
    .lt(1)
    .describe('Share of the channels of every group that the narrower copy keeps.'),
  weights: z
    .enum(['teacher', 'fresh'])
    .default('teacher')
    .describe("teacher: those of the teacher's most important channels; fresh: drawn anew."),
  round: z.int().min(1).default(1).describe('Counts that remain are multiples of this.'),
  of: ofTeacher,
})

/** The options, resolved. */
export type ShrinkOptions = z.output<typeof shrinkOptions>

/**
 * Gives a narrower copy of the teacher with the same inputs and outputs, symbolic dimensions included.
 *
 * Of each channel group (`channels/groups.ts`) the channels with the largest L2 norm of all weights that make or take
 * them stay. Groups that cannot be followed keep their width, which is logged. Where that is all of them, and where
 * rounding leaves all channels, it is a {@link UserError}.
 */
export async function shrinkModel(
  options: ShrinkOptions,
  { teacher, seed, log, ...shape }: Derivation,
): Promise<Model> {
  const where = `student: { shrink: ${options.shrink} }`
  const narrower = await prepareChannels(teacher, where, freeSizes(teacher, shape))
  const groups = channelGroups(narrower)
  const followed = groups.filter(({ prunable }) => prunable === true)
  if (followed.length === 0)
    throw new UserError(
      `${where}: no channels of the teacher can be cut: ${reasons(groups)} — name an architecture instead`,
    )
  const cuts = new Map(
    followed
      .map((group) => [group, leastImportant(group, options)] as const)
      .filter(([, channels]) => channels.length > 0),
  )
  if (cuts.size === 0)
    throw new UserError(
      `${where}: every group of the teacher's channels keeps its width: at most ${Math.max(...followed.map(({ channels }) => channels))} channels, in multiples of ${options.round} — lower 'round' or 'shrink'`,
    )
  log?.(
    `narrowed ${cuts.size} of ${groups.length} groups of channels${groups.length > followed.length ? `; kept their width: ${reasons(groups)}` : ''}`,
  )
  cutChannels(narrower, cuts)
  if (options.weights === 'fresh') initialise(narrower, seed)
  restoreInterface(narrower, teacher)
  return narrower
}

/** The channels that go: all but the share that stays, which is rounded up to a multiple, as pruning does. */
function leastImportant(group: Group, { shrink, round }: ShrinkOptions): readonly number[] {
  const { channels } = group
  // 0.3 * 10 must not miss 3 by a rounding error.
  const wanted = Math.max(1, Math.floor(shrink * channels + 1e-9))
  const left = Math.min(channels, Math.ceil(wanted / round) * round)
  const norms = foldChannels(group, ['out', 'in'], (sum, weight) => sum + weight ** 2)
  const order = [...norms.keys()].sort((a, b) => norms[a]! - norms[b]! || a - b)
  return order.slice(0, channels - left)
}

/** Why groups keep their width, the first few. */
function reasons(groups: readonly Group[]): string {
  const kept = groups.filter(({ prunable }) => prunable !== true)
  const some = kept.slice(0, 3).map(({ name, prunable }) => `'${name}': ${prunable}`)
  const more = kept.length > some.length ? `; and ${kept.length - some.length} more` : ''
  return some.length > 0 ? `${some.join('; ')}${more}` : 'no layer makes channels'
}
