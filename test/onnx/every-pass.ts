// Passes over real models: the same outputs before and after.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Model, opsetOf } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { mergeCommonSubexpressions } from '../../onnx/passes/common-subexpressions.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { foldBatchNormalization } from '../../onnx/passes/fold-batch-normalization.ts'
import { removeIdentities } from '../../onnx/passes/identity.ts'
import { upgradeOpset } from '../../onnx/passes/upgrade.ts'
import { serializeModel } from '../../onnx/save.ts'
import type { Tensor } from '../../onnx/tensor.ts'
import { foldConstants } from '../../runtime/fold.ts'
import { expectSame, outputsOf } from '../support/compare.ts'
import { sharedIsPresent, sharedModel } from '../support/shared.ts'

/** Passes with how far outputs may move, as a share of the largest value. */
export const passes: Readonly<
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

/** A model as its file has it, its bytes as they are saved, and its answers. */
interface Original {
  readonly model: Model
  readonly bytes: Buffer
  readonly before: Readonly<Record<string, Tensor>>
}

/** Models that take long: only in the slow tests. */
export const large: ReadonlySet<string> = new Set([
  'light-densenet121.onnx',
  'light-resnet50.onnx',
  'light-shufflenet.onnx',
  'magika-v3_3.onnx',
  'ppocr-det-ch-v3.onnx',
  'silero-vad-op18-ifless.onnx',
  'super-resolution-10.onnx',
  'ultraface-rfb-320.onnx',
  'vittrack.onnx',
  'yolox-nano.onnx',
])

/** Describes tests of passes over a model. */
export function describePasses(file: string, names: readonly string[]): void {
  ;(sharedIsPresent ? describe : describe.skip)(`${file} (needs ../shared)`, () => {
    // Loaded and run once for all passes, which get clones.
    let original: Original | undefined
    beforeAll(async () => {
      const model = await loadModel(sharedModel(file))
      const bytes = Buffer.from(serializeModel(model))
      original = { model, bytes, before: await outputsOf(model, file) }
    })
    afterAll(() => {
      original = undefined
    })

    it.each(names)('computes the same after %s', async (name) => {
      const [tolerance, run] = passes[name]!
      const { model, bytes, before } = original!
      const changed = cloneModel(model)
      await run(changed)
      // A pass that finds nothing to do leaves the file as it was: then the answers are the same, too.
      if (!bytes.equals(serializeModel(changed)))
        expectSame(await outputsOf(changed, file), before, tolerance)
      if (name === 'upgradeOpset') expect(opsetOf(changed)).toBe(21)
      if (name === 'liftConstants')
        expect([...allNodes(changed.graph)].filter((node) => node.opType === 'Constant')).toEqual(
          [],
        )
    })
  })
}
