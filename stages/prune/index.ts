// The pruning stage: channels are cut out, or weights zeroed, and a short training gives back what that cost.
import { type RecoverOptions, recover } from '../recover.ts'
import { type Artifact, defineStage, type StageContext } from '../stage.ts'
import { amountDataUse } from './amount.ts'
import { criterionNeedsData } from './criteria.ts'
import { gradualMasking } from './gradual.ts'
import { familyOf } from './mask-structures.ts'
import { type PruneOptions, pruneOptions } from './options.ts'
import { scheduleFor } from './over-time.ts'
import { recalibrated } from './recalibrated.ts'
import { regrowMasking } from './regrow.ts'
import type { ScheduleOptions } from './schedule.ts'
import { pruneInSteps } from './steps.ts'
import { structureOf } from './structure.ts'
import { structures } from './structures.ts'
import { livingMasks, summaryOf, weighable } from './weights.ts'

/** Removes what matters least, and recovers. */
export const prune = defineStage({
  summary: 'Cut the least important channels, or zero the least important weights',
  options: pruneOptions,
  dataUse: (options) =>
    options.recover !== undefined ||
    options.recalibrate !== undefined ||
    criterionNeedsData(options, familyOf(options))
      ? 'always'
      : amountDataUse(options),
  variants: ({ rewind }) => (rewind === undefined ? [] : [rewind]),
  // Recovery asks the teacher once; the few samples of a gradient do not count.
  passes: ({ recover: recovery }) => (recovery ? 3 * recovery.epochs + 1 : 0),
  async run(input, options, context) {
    const { recover: recovery, steps = 1, rewind, regrow } = options
    const schedule = scheduleFor(options)
    if (recovery && schedule) return pruneGradually(input, options, schedule, recovery, context)
    if (recovery && (steps > 1 || rewind !== undefined))
      return pruneInSteps(input, options, recovery, context)
    const pruneOnce = structures[structureOf(options.structure).kind]
    const cut = await pruneOnce(input.model, options, context)
    const { model, summary, masks, facts } = await recalibrated(cut, input.model, options, context)
    const { losses } = input.facts
    const artifact = { model, facts: { ...(losses && { losses }), ...facts, summary } }
    if (!recovery) return artifact
    const masking = regrow && regrowMasking(model, regrow, options, context)
    return recover(artifact, recovery, context, { unpruned: input.model, masks, masking })
  },
})

/** Zeroes weights along a schedule, while the model learns. */
async function pruneGradually(
  { model: unpruned }: Artifact,
  options: PruneOptions,
  schedule: ScheduleOptions,
  recovery: RecoverOptions,
  context: StageContext,
): Promise<Artifact> {
  const model = await weighable(unpruned)
  const masking = gradualMasking(model, schedule, options, context)
  const recovered = await recover({ model, facts: {} }, recovery, context, { unpruned, masking })
  const zeroed = summaryOf(livingMasks(recovered.model, masking.names))
  const summary = [zeroed, recovered.facts.summary].join('; ')
  return { model: recovered.model, facts: { ...recovered.facts, summary } }
}
