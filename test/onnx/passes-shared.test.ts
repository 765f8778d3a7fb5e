// Every pass on every real model: the same outputs before and after.
import { describe, expect, it } from '@jest/globals'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Model, opsetOf } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { mergeCommonSubexpressions } from '../../onnx/passes/common-subexpressions.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { foldBatchNormalization } from '../../onnx/passes/fold-batch-normalization.ts'
import { removeIdentities } from '../../onnx/passes/identity.ts'
import { upgradeOpset } from '../../onnx/passes/upgrade.ts'
import { foldConstants } from '../../runtime/fold.ts'
import { expectSame, outputsOf, runnableModels } from '../support/compare.ts'
import { sharedIsPresent, sharedModel } from '../support/shared.ts'

/** Passes with how far outputs may move, as a share of the largest value. */
const passes: Readonly<
  Record<string, readonly [tolerance: number, run: (model: Model) => boolean | Promise<boolean>]>
> = {
  removeDeadNodes: [0, (model) => removeDeadNodes(model.graph)],
  liftConstants: [0, liftConstants],
  removeIdentities: [0, removeIdentities],
  mergeCommonSubexpressions: [0, (model) => mergeCommonSubexpressions(model.graph)],
  foldConstants: [1e-6, (model) => foldConstants(model)],
  foldBatchNormalization: [
    2e-5,
    (model) => [liftConstants(model), foldBatchNormalization(model.graph)].some(Boolean),
  ],
  upgradeOpset: [1e-6, (model) => upgradeOpset(model, 21)],
  all: [
    2e-5,
    async (model) => {
      const changed = upgradeOpset(model, 21)
      liftConstants(model)
      await foldConstants(model)
      removeIdentities(model)
      foldBatchNormalization(model.graph)
      mergeCommonSubexpressions(model.graph)
      removeDeadNodes(model.graph)
      return changed
    },
  ],
}

;(sharedIsPresent ? describe : describe.skip).each(runnableModels)(
  '%s (needs ../shared)',
  (file) => {
    it.each(Object.keys(passes))('computes the same after %s', async (name) => {
      const [tolerance, run] = passes[name]!
      const model = await loadModel(sharedModel(file))
      const before = await outputsOf(model, file)
      const changed = cloneModel(model)
      await run(changed)
      expectSame(await outputsOf(changed, file), before, tolerance)
      if (name === 'upgradeOpset') expect(opsetOf(changed)).toBe(21)
      if (name === 'liftConstants')
        expect([...allNodes(changed.graph)].filter((node) => node.opType === 'Constant')).toEqual(
          [],
        )
    })
  },
)
