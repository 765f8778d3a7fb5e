// The diagonal of the Hessian of a loss, batch by batch: what second-order criteria of pruning look at.
import type { Model } from '../onnx/graph.ts'
import { tensorOf } from '../onnx/tensor.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { backward } from './backward.ts'
import { type BatchGradientSettings, eachBatch } from './batch-gradients.ts'
import { layOut, pack } from './flat.ts'
import { standard } from './lowerings/standard.ts'
import { fill, shapeOf } from './rule.ts'
import { differentiate } from './training-graph.ts'

/**
 * Estimates the diagonal of the Hessian of the loss for one batch after the other, by the name of each trainable
 * initializer: v ⊙ Hv, whose mean over v of random signs is the diagonal (Hutchinson 1989; Yao et al. 2021, equation 7).
 *
 * Hv is the gradient of vᵀ∇L, so that an operator needs the gradient of its gradient; one that has none is a
 * {@link UserError}. `sign` draws the next sign, 1 or -1. The arrays are views that the next batch overwrites.
 */
export const curvatures = (
  model: Model,
  settings: BatchGradientSettings,
  sign: () => number,
): AsyncGenerator<ReadonlyMap<string, Float32Array>, void, void> => {
  const { where = 'model' } = settings
  return eachBatch(
    model,
    settings,
    async (pass) => {
      const { g, graph, weights, detached } = pass
      const signs = g.input('signs', { dtype: 'float32', shape: [layOut(weights).length] })
      const along = g.ReduceSum(g.Mul(pack(g, differentiate(pass, standard, where)), signs), [0], {
        keepdims: 0,
      })
      graph.outputs.push(along)
      await inferShapes(pass.model, { where })
      graph.outputs.splice(0)
      const found = backward(g, along, new Set(weights), standard, { where, detached })
      const products = weights.map((weight) => found.get(weight) ?? fill(g, 0, shapeOf(weight)))
      return g.Mul(pack(g, products), signs)
    },
    (length) => {
      const signs = new Float32Array(length)
      return {
        feeds: { signs: tensorOf('float32', [length], signs) },
        refill: () => {
          for (let at = 0; at < length; at++) signs[at] = sign()
        },
      }
    },
  )
}
