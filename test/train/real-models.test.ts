// The gradient of real models against central differences of the float32 loss, along random directions uphill. The
// differences are as exact as float32 allows: a small move drowns in rounding, a large one meets bends, so the best of
// a few distances counts. They agree within 1 %.
import { describe, expect } from '@jest/globals'
import type { Tensor } from '../../onnx/tensor.ts'
import { forwardPass } from '../../train/forward.ts'
import { prepare, trainableWeights } from '../../train/prepare.ts'
import { itWithShared } from '../support/shared.ts'
import { risesOf } from './real-model-checks.ts'
import { matching, realModels } from './real-models.ts'

describe('the gradient of all weights', () => {
  itWithShared.each(realModels.filter(({ slow }) => !slow))(
    'of $file is the slope of its loss',
    async (real) => {
      for (const share of await risesOf(real)) expect(Math.abs(share - 1)).toBeLessThan(0.01)
    },
    60_000,
  )
})

describe('all float weights', () => {
  itWithShared.each(realModels)('of $file are trained', async (real) => {
    const { model, forward } = await matching(real)
    const candidates = trainableWeights(await prepare(model, forward), [])
    const { weights } = await forwardPass(model, forward)
    const trained = new Set(weights.map(({ name }) => name))
    expect(candidates.map(({ name }) => name).filter((name) => !trained.has(name))).toEqual([])
    // What is left of the file's float constants: running statistics, settings, and what no output depends on.
    const size = (values: readonly { readonly tensor: Tensor | undefined }[]) =>
      values.reduce((sum, { tensor }) => sum + tensor!.size, 0)
    expect(size(weights)).toBe(real.weights)
  })
})
