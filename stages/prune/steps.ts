// Iterative pruning: a part of the target, a part of the recovery, and again.
import type { EpochRecord } from '../../train/settings.ts'
import { type RecoverOptions, recover } from '../recover.ts'
import type { Artifact, StageContext } from '../stage.ts'
import { maskStructureOf } from './mask-structures.ts'
import type { PruneOptions } from './options.ts'
import type { Pruned } from './pruned.ts'
import { recalibrated } from './recalibrated.ts'
import { rewound } from './rewind.ts'
import { scheduleForms } from './schedule.ts'
import { structureOf } from './structure.ts'
import { structures } from './structures.ts'

/**
 * Prunes to the target in several steps, each of which is followed by its share of the epochs of recovery; what
 * remains falls by the same factor each time (Han et al. 2015, section 3.4).
 */
export async function pruneInSteps(
  input: Artifact,
  options: PruneOptions,
  recovery: RecoverOptions,
  context: StageContext,
): Promise<Artifact> {
  const { steps = 1, rewind } = options
  const pruneOnce = structures[structureOf(options.structure).kind]
  const original = input.model
  const each = Math.floor(recovery.epochs / steps)
  const records: EpochRecord[] = []
  let artifact = input
  let pruned: Pruned | undefined
  for (let step = 1; step <= steps; step++) {
    const progress = scheduleForms.exponential(step / steps, goneShare(options))
    const before = pruned?.kept
    const cut = await pruneOnce(artifact.model, options, context, {
      ...{ original, progress, masks: pruned?.masks },
    })
    pruned = await recalibrated(cut, original, options, context, before)
    context.log(`step ${step} of ${steps}: ${pruned.summary}`)
    const { model } = pruned
    const start =
      rewind !== undefined && pruned.masks
        ? await rewound(model, pruned.masks, rewind, context)
        : model
    const epochs = step < steps ? each : recovery.epochs - each * (steps - 1)
    const done = records.length
    artifact = await recover(
      { model: start, facts: { ...pruned.facts, summary: pruned.summary } },
      { ...recovery, epochs },
      within(context, done / recovery.epochs, epochs / recovery.epochs, done, recovery.epochs),
      { unpruned: original, masks: pruned.masks, part: `step ${step}` },
    )
    records.push(
      ...(artifact.facts.epochs ?? []).map((record) => ({ ...record, epoch: done + record.epoch })),
    )
  }
  return { model: artifact.model, facts: { ...artifact.facts, epochs: records } }
}

/** A context that tells the progress of a part of the work as one of the whole. */
const within = (
  context: StageContext,
  start: number,
  share: number,
  epochsBefore: number,
  epochs: number,
): StageContext => ({
  ...context,
  progress: ({ done, epoch, ...rest }) =>
    context.progress({
      ...rest,
      done: start + share * done,
      ...(epoch !== undefined && { epoch: epochsBefore + epoch, epochs }),
    }),
})

/** The share of the model that goes in the end, as far as the target is about shares. */
function goneShare({ structure, target }: PruneOptions): number {
  const { sparsity, latency, ...shares } = target
  const { batch: _, ...times } = latency ?? { batch: 1 }
  const left = [...Object.values(shares), ...Object.values(times).flat()].find(
    (share) => share !== undefined,
  )
  const own = maskStructureOf(structureOf(structure))?.sparsity
  return own ?? sparsity ?? 1 - (left ?? 0.5)
}
