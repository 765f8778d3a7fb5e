import { describe } from '@jest/globals'
import { itWithShared } from '../support/shared.ts'
import { expectCut } from './cut-models.ts'
import { quickModels } from './expected-models.ts'

describe('cutting 30 % of every group of real models', () => {
  itWithShared.each(Object.entries(quickModels))(
    '%s gives what it gives where these channels are gone',
    (name, expectation) => expectCut(name, expectation, [1]),
  )
})
