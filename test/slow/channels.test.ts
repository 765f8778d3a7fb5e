// Cutting channels of all real models and architectures, with several seeds.
import { describe, it } from '@jest/globals'
import { expectCut } from '../channels/cut-models.ts'
import { architectures, expectArchitecture } from '../channels/expected-architectures.ts'
import { quickModels, slowModels } from '../channels/expected-models.ts'
import { itWithShared } from '../support/shared.ts'

const seeds = [1, 2, 3]

describe('cutting 30 % of every group', () => {
  itWithShared.each([...Object.entries(quickModels), ...slowModels])(
    '%s gives what it gives where these channels are gone',
    (name, expectation) => expectCut(name, expectation, seeds),
    600_000,
  )

  it.each(architectures)(
    '%s gives what it gives where these channels are gone',
    (what) => expectArchitecture(what, seeds),
    600_000,
  )
})
