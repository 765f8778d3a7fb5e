// Every real model that training covers: its gradient, and learning back what a disturbance of all weights took away.
import { describe, expect } from '@jest/globals'
import { itWithShared } from '../support/shared.ts'
import { risesOf, selfDistillation } from '../train/real-model-checks.ts'
import { realModels } from '../train/real-models.ts'

describe('of every real model', () => {
  itWithShared.each(realModels)(
    'the gradient of $file is the slope of its loss',
    async (real) => {
      for (const share of await risesOf(real)) expect(Math.abs(share - 1)).toBeLessThan(0.01)
    },
    600_000,
  )

  itWithShared.each(realModels)(
    '$file learns its own answers back',
    async (real) => {
      const { before, after } = await selfDistillation(real)
      expect(after).toBeLessThan(0.5 * before)
    },
    1_800_000,
  )
})
