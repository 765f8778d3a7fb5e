// The same training graph on another provider gives the CPU's losses; more steps, a transformer, and a GPU, are in the slow tests.
import { describe } from '@jest/globals'
import { expectSameCurves, itCompiled } from './curves.ts'

describe('the losses', () => {
  itCompiled(
    'of an MLP and a CNN are the same on wasm (needs dist/)',
    () => expectSameCurves(6, 'wasm', ['mlp', 'cnn']),
    300_000,
  )
})
