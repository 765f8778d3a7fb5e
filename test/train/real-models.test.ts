// The gradient of real models against central differences of the float32 loss, along random directions uphill. The
// differences are as exact as float32 allows: a small move drowns in rounding, a large one meets bends, so the best of
// a few distances counts. They agree within 1 %.
import { describe, expect } from '@jest/globals'
import { itWithShared } from '../support/shared.ts'
import { risesOf } from './real-model-checks.ts'
import { realModels } from './real-models.ts'

describe('the gradient of all weights', () => {
  itWithShared.each(realModels.filter(({ slow }) => !slow))(
    'of $file is the slope of its loss',
    async (real) => {
      for (const share of await risesOf(real)) expect(Math.abs(share - 1)).toBeLessThan(0.01)
    },
    60_000,
  )
})
