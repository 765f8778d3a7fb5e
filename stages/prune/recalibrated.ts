// Setting right what a cut left, where the options want it.
import type { Model } from '../../onnx/graph.ts'
import { type KeptChannels, keptAfter } from '../kept-channels.ts'
import { recalibrate } from '../recalibrate.ts'
import type { StageContext } from '../stage.ts'
import type { PruneOptions } from './options.ts'
import type { Pruned } from './pruned.ts'

/**
 * Recalibrates what pruning gave by the model as it was before all cuts, where the options ask for it.
 *
 * `before` says what earlier cuts had left; what all of them leave is in the result.
 */
export async function recalibrated(
  pruned: Pruned,
  original: Model,
  options: Pick<PruneOptions, 'recalibrate'>,
  context: StageContext,
  before: KeptChannels = new Map(),
): Promise<Pruned> {
  const kept = keptAfter(before, pruned.kept ?? new Map())
  if (!options.recalibrate) return { ...pruned, kept }
  const done = await recalibrate(pruned.model, original, options.recalibrate, context, kept)
  context.log(done.summary)
  return { ...pruned, kept, model: done.model, summary: `${pruned.summary}; ${done.summary}` }
}
