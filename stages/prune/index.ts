// The pruning stage: channels are cut out, or single weights zeroed, and a short training gives back what that cost.
import { recover } from '../recover.ts'
import { type Artifact, defineStage } from '../stage.ts'
import { pruneChannels } from './channels.ts'
import { criteria } from './criteria.ts'
import { criterionOf, pruneOptions } from './options.ts'
import { type Masks, pruneWeights } from './weights.ts'

/** Removes what matters least, and recovers. */
export const prune = defineStage({
  summary: 'Cut the least important channels, or zero the least important weights',
  options: pruneOptions,
  dataUse: (options) =>
    options.recover !== undefined || criteria[criterionOf(options)].needsGradients
      ? 'always'
      : 'never',
  // Recovery asks the teacher once; the few samples of a gradient do not count.
  passes: ({ recover: recovery }) => (recovery ? 3 * recovery.epochs + 1 : 0),
  async run(input, options, context) {
    const pruned: { model: Artifact['model']; summary: string; masks?: Masks } =
      options.structure === 'channels'
        ? await pruneChannels(input.model, options, context)
        : await pruneWeights(input.model, options)
    const { model, summary, masks } = pruned
    const { losses } = input.facts
    const artifact = { model, facts: { ...(losses && { losses }), summary } }
    return options.recover ? recover(artifact, options.recover, context, masks) : artifact
  },
})
