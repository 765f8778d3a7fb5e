// Every real model that training covers: its gradient, and learning back what a disturbance of all weights took away.
import { describe, expect } from '@jest/globals'
import { itWithShared } from '../support/shared.ts'
import { selfDistillation, slopesOf } from '../train/real-model-checks.ts'
import { realModels } from '../train/real-models.ts'

describe('of every real model', () => {
  itWithShared.each(realModels)(
    'the gradient of $file is the slope of its loss',
    async (real) => {
      for (const { slope, measured } of await slopesOf(real))
        expect(Math.abs(measured - slope)).toBeLessThan(0.01 * Math.abs(slope))
    },
    600_000,
  )

  itWithShared.each(realModels)(
    '$file learns its own answers back',
    async (real) => {
      const { before, after } = await selfDistillation(real, { steps: 240, rate: 1e-4 })
      expect(after).toBeLessThan(0.5 * before)
    },
    1_800_000,
  )
})
