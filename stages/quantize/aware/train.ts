// Quantization-aware training: a float model learns with the rounding in it; what it has learned is what is stored.
import { UserError } from '../../../base/errors.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { inferTypes } from '../../../runtime/shapes.ts'
import type { LossOptions } from '../../../train/losses.ts'
import { recover } from '../../recover.ts'
import type { Facts, StageContext } from '../../stage.ts'
import { takeWeights, trainable } from '../../trainable.ts'
import { requiredData } from '../../training.ts'
import type { Range } from '../arithmetic.ts'
import type { LearnedQuantization } from '../constants.ts'
import type { Placement } from '../placement.ts'
import { type AwareStorage, insertFakeQuantization } from './insert.ts'
import type { AwareOptions } from './options.ts'
import { readLearned } from './read.ts'

/** What came of a training. */
export interface AwareResult {
  readonly learned: LearnedQuantization
  readonly facts: Facts
}

/**
 * Trains a model with fake quantization where `placement` wants pairs; gives how everything is to be stored.
 *
 * The model gets, in place, the weights that stay float (biases among them). Its quantized weights and activations are
 * those of {@link LearnedQuantization}: a graph that stores them so computes what the trained one did.
 */
export async function trainAware(
  model: Model,
  placement: Placement,
  rangeOf: (value: Value) => Range,
  storage: AwareStorage,
  options: AwareOptions,
  context: StageContext,
  where: string,
): Promise<AwareResult> {
  const { train } = requiredData(context)
  if (trainable(model, train, where).model !== model)
    throw new UserError(
      `${where}: 'aware' trains models that take whole samples, this one is fed in chunks — leave it out`,
    )
  const types = await inferTypes(model, { where })
  const aware = insertFakeQuantization(model, placement, { rangeOf, types }, storage, options)
  const { teacher, labels, losses, ...rest } = options
  const { task } = context
  const asked = losses ?? (labels ? undefined : cooled(task.distillation, storage.weightBits))
  const { model: trained, facts } = await recover(
    { model: aware.model, facts: {} },
    { ...rest, teacher: teacher === 'float' ? 'unpruned' : 'recipe', labels, losses: asked },
    context,
    {
      unpruned: model,
      masks: aware.masks.size > 0 ? aware.masks : undefined,
      quantizers: aware.quantizers,
      part: 'aware',
    },
  )
  const learned = await readLearned(trained, aware, storage, where)
  takeWeights(model, trained)
  return { learned, facts }
}

/**
 * Losses with the temperatures that models of few bits can learn from.
 *
 * Measured by Intel's Distiller with weights of 3 bits on CIFAR-10: 91.64 % at a temperature of 1, 90.92 % at 2, 80.00 %
 * at 5.
 */
export function cooled(losses: readonly LossOptions[], bits: number): LossOptions[] {
  const most = bits <= 4 ? 1 : bits <= 6 ? 2 : Infinity
  return losses.map((loss) =>
    'temperature' in loss && typeof loss.temperature === 'number'
      ? { ...loss, temperature: Math.min(loss.temperature, most) }
      : loss,
  )
}
