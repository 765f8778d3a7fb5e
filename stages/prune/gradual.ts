// Gradual pruning: weights go little by little while the model learns.
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import type { Masking } from '../../train/masking.ts'
import type { StageContext } from '../stage.ts'
import { takeWeights } from '../trainable.ts'
import { settleCriterion } from './criteria.ts'
import type { PruneOptions } from './options.ts'
import { isTime, type ScheduleOptions, scheduleForms, timeAt, timesOf } from './schedule.ts'
import { maskable, masksFor } from './weights.ts'

/**
 * Masks that tighten along a schedule; scores are those of the weights as they are then (Zhu and Gupta 2017,
 * algorithm 1), of which what is dead stays dead, or of how they have moved so far (Sanh et al. 2020): the movement of
 * dead weights goes on, and they come back as they were where others have fallen behind.
 *
 * `model` is one in which all weights are initializers (`weighable`).
 */
export function gradualMasking(
  model: Model,
  schedule: ScheduleOptions,
  options: PruneOptions,
  context: StageContext,
): Masking {
  // The weights that are scored are those of a copy that follows the training.
  const current = cloneModel(model)
  const subject = maskable(current, options, context)
  const form = scheduleForms[schedule.name]
  const moved = settleCriterion(options, 'weights').row.needs === 'training'
  return {
    tracks: moved ? ['movement'] : [],
    names: subject.weights.map(({ layer }) => layer.weight.name),
    due: (update, updates) => isTime(timesOf(schedule, updates), update),
    settled: (updates) => timesOf(schedule, updates).last,
    decide({ update, updates, model: trained, masks, movement }) {
      takeWeights(current, trained())
      const time = timeAt(timesOf(schedule, updates), update)
      const progress = form(time, subject.sparsity)
      const dead = moved ? undefined : masks
      return masksFor(current, subject, options, context, { progress, dead, movement })
    },
  }
}
