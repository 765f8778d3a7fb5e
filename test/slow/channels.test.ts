// Cutting channels of the larger real models.
import { describe } from '@jest/globals'
import { expectCut } from '../channels/cut-models.ts'
import { itWithShared } from '../support/shared.ts'

describe('cutting 30 % of every group of real models', () => {
  itWithShared.each([
    ['super-resolution-10', 3],
    ['ultraface-rfb-320', 25],
    ['yolox-nano', 65],
    ['basic-pitch', 3],
  ])('%s gives what it gives with these channels zeroed', expectCut)
})
