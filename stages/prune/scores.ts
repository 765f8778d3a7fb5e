// How important each channel of a group, and each weight, is, by the criterion that the options name.
import type { Group } from '../../channels/groups.ts'
import { restoreInterface } from '../../channels/prepare.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import type { Companions } from './criteria/criterion.ts'
import { type CriterionOptions, settleCriterion } from './criteria.ts'
import { normalisations } from './normalise.ts'

/** What only some criteria ask for. */
export interface Accumulated {
  /** By initializer, what `movement` has accumulated: -Σ g·w over the steps of a training. */
  readonly movement?: Companions | undefined
}

/**
 * The scores of all channels of groups; the lowest are the least important.
 *
 * `model` is prepared (`prepareChannels`), the groups are its own, and `original` is the model that it was made of.
 * Nothing is normalised yet: that is the ranking's business. A criterion that knows nothing of a group is a
 * {@link UserError}.
 */
export async function channelScores(
  model: Model,
  groups: readonly Group[],
  options: CriterionOptions,
  context: StageContext,
  original: Model,
  accumulated: Accumulated = {},
): Promise<Map<Group, Float64Array>> {
  const { name, row, samples, aggregate } = settleCriterion(options, 'channels')
  if (!row.channels) throw new Error(`internal: criterion '${name}' scores no channels`)
  const fed = cloneModel(model)
  restoreInterface(fed, original)
  return row.channels({ groups, model: fed, aggregate, samples, context, ...accumulated })
}

/**
 * The score of every element of some float32 initializers of a model; the lowest are the least important.
 *
 * They are normalised, layer by layer, as the options say.
 */
export async function weightScores(
  model: Model,
  values: readonly Value[],
  options: CriterionOptions,
  context: StageContext,
  accumulated: Accumulated = {},
): Promise<Map<Value, Float32Array>> {
  const { name, row, samples, normalise } = settleCriterion(options, 'weights')
  if (!row.weights) throw new Error(`internal: criterion '${name}' scores no weights`)
  const scores = await row.weights({ values, model, samples, context, ...accumulated })
  if (normalise !== 'none')
    for (const [value, own] of scores)
      scores.set(value, Float32Array.from(normalisations[normalise](Float64Array.from(own))))
  return scores
}
