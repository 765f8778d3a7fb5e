// The same training graph on another provider gives the CPU's losses; more steps, and a GPU, are in the slow tests.
import { describe } from '@jest/globals'
import { expectSameCurves, itCompiled } from './curves.ts'

describe('the losses', () => {
  itCompiled(
    'of an MLP, a CNN and a transformer are the same on wasm (needs dist/)',
    () => expectSameCurves(6, 'wasm'),
    300_000,
  )
})
