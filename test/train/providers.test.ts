// The same training graph on other providers gives the CPU's losses; 50 steps on a GPU are in the slow tests.
import { describe } from '@jest/globals'
import { expectSameCurves, itCompiled, itWithSoftwareGpu } from './curves.ts'

describe('the losses of an MLP, a CNN and a transformer', () => {
  itCompiled('are the same on wasm (needs dist/)', () => expectSameCurves(50, 'wasm'), 300_000)

  itWithSoftwareGpu(
    "are the same on webgpu (needs dist/ and Chromium's software GPU)",
    () => expectSameCurves(3, 'webgpu'),
    300_000,
  )
})
