// Lottery tickets: what is left after pruning goes back to the weights of an earlier time.
import { UserError } from '../../base/errors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import { takeWeights } from '../trainable.ts'
import type { Masks } from './pruned.ts'
import { applyMasks, weighable } from './weights.ts'

/**
 * The pruned model with the weights, biases and statistics of an earlier variant of it; what is masked stays zero
 * (Frankle and Carbin 2019, section 2; to a variant that has learned a little, Frankle et al. 2020).
 *
 * A variant that has not the same float32 initializers is a `UserError`.
 */
export async function rewound(
  pruned: Model,
  masks: Masks,
  id: string,
  context: StageContext,
): Promise<Model> {
  const earlier = await weighable(await context.variant(id))
  const known = new Map([...earlier.graph.initializers].map(({ name, tensor }) => [name, tensor]))
  const copy = cloneModel(pruned)
  for (const { name, tensor } of copy.graph.initializers)
    if (tensor?.dtype === 'float32' && String(known.get(name)?.dims) !== String(tensor.dims))
      throw new UserError(
        `rewind: '${id}' has no weight of this model: '${name}' of [${tensor.dims}] — name a variant of the same architecture, as it was before or early in training`,
      )
  takeWeights(copy, earlier)
  applyMasks(copy, masks)
  return copy
}
