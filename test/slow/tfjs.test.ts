// TensorFlow.js against our own engine: every operator in every form, every real model.
import { beforeAll, describe, expect, it } from '@jest/globals'
import { loadTensorFlow, type Tf } from '../../train/engines/tfjs/tensorflow.ts'
import { train } from '../../train/loop.ts'
import { relativeError } from '../support/reference.ts'
import { itWithShared } from '../support/shared.ts'
import { caseRows } from '../train/case-graph.ts'
import { backends, compareEngines, type Inputs } from '../train/cross-engine.ts'
import { drawInputs, matching, realModels } from '../train/real-models.ts'
import { residualNet, settingsFor } from '../train/support.ts'
import { isRefused, slopesOf } from '../train/tfjs-cases.ts'

describe.each(backends)('TensorFlow.js on %s', (backend) => {
  let tf: Tf
  beforeAll(async () => {
    tf = (await loadTensorFlow(backend)).tf
  })

  it.each(caseRows.filter((row) => !isRefused(row)))(
    'agrees with our gradient of $title',
    async (row) => {
      const { ours, theirs } = await slopesOf(tf, row)
      expect(theirs.loss).toBeCloseTo(ours.loss, 3)
      for (const [name, gradient] of Object.entries(ours.gradients))
        expect(relativeError(theirs.gradients[name]!, gradient)).toBeLessThan(1e-4)
    },
  )

  itWithShared.each(realModels)(
    'agrees on loss and gradient of $file',
    async (real) => {
      // The text detector answers noise of small contrast by probabilities of 1e-7, where float32 has no gradient left.
      const range = real.file.startsWith('ppocr') ? ([-20, 20] as const) : real.range
      const single = { ...real, batch: 1, range }
      const inputs: Inputs = (feeds) => drawInputs(feeds, single, 1)
      const apart = await compareEngines(await matching(single), inputs, backend)
      expect(apart.loss).toBeLessThan(1e-4)
      expect(apart.gradient).toBeLessThan(1e-4)
    },
    1_200_000,
  )
})

it('trains a residual net to the same accuracy as our own engine', async () => {
  const [ours, theirs] = await Promise.all(
    (['onnx', 'tfjs'] as const).map((engine) => train(residualNet(), settingsFor({ engine }))),
  )
  for (const [index, { loss, score }] of ours!.epochs.entries()) {
    expect(Math.abs(theirs!.epochs[index]!.loss - loss)).toBeLessThan(1e-3 * loss)
    expect(theirs!.epochs[index]!.score).toBeCloseTo(score, 1)
  }
})
