// The sensitivity of a model to pruning, layer by layer, for whoever wants to see it before pruning.
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import { channelSubject } from './channels.ts'
import { familyOf } from './mask-structures.ts'
import type { PruneOptions } from './options.ts'
import { channelSubjects } from './reach.ts'
import {
  defaultShares,
  measureSensitivity,
  type Sensitivity,
  type SensitivitySubject,
} from './sensitivity.ts'
import { applyMasks, type Maskable, maskable, masksFor, weighable } from './weights.ts'

/**
 * Measures what a model loses when one layer alone is pruned, without any training.
 *
 * The options are those of the stage, of which the target and all that comes afterwards do not count.
 */
export async function analyseSensitivity(
  model: Model,
  options: PruneOptions,
  context: StageContext,
  shares: readonly number[] = defaultShares,
): Promise<Sensitivity> {
  const subjects =
    familyOf(options) === 'channels'
      ? channelSubjects(await channelSubject(model, options, context))
      : await maskSubjects(model, options, context)
  return await measureSensitivity(model, subjects, shares, context)
}

/** The layers whose weights are zeroed, each by itself. */
async function maskSubjects(
  model: Model,
  options: PruneOptions,
  context: StageContext,
): Promise<SensitivitySubject[]> {
  const copy = await weighable(model)
  const { structure, weights } = maskable(copy, options, context)
  const { layers: _, exclude: __, target: ___, ...how } = options
  return weights.map((weight): SensitivitySubject => {
    const { name } = weight.layer
    const { size } = weight.layer.weight.tensor!
    return {
      name,
      size,
      countOf: (share) => Math.round(share * size),
      contentOf: (count) => [how, count],
      async cut(count) {
        const own: Maskable = { structure, weights: [weight], sparsity: count / size }
        const masks = await masksFor(copy, own, options, context, { progress: 1 })
        const pruned = cloneModel(copy)
        applyMasks(pruned, masks)
        return pruned
      },
    }
  })
}
