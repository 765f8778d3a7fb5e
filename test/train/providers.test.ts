// The same training graph on other providers gives the CPU's losses; all models and 50 steps on a GPU are in the slow tests.
import { describe } from '@jest/globals'
import { expectSameCurves, itCompiled, itWithSoftwareGpu } from './curves.ts'

describe('the losses', () => {
  itCompiled(
    'of an MLP, a CNN and a transformer are the same on wasm (needs dist/)',
    () => expectSameCurves(30, 'wasm'),
    300_000,
  )

  itWithSoftwareGpu(
    "of an MLP are the same on webgpu (needs dist/ and Chromium's software GPU)",
    () => expectSameCurves(3, 'webgpu', ['mlp']),
    300_000,
  )
})
