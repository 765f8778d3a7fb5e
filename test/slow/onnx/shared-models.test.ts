// The larger shared models after they were loaded, copied and saved.
import { describe, it } from '@jest/globals'
import {
  expectSameBits,
  expectSameCopy,
  expectSameFields,
  files,
  isLarge,
} from '../../onnx/shared-model-checks.ts'
import { sharedIsPresent } from '../../support/shared.ts'

const large = files.filter(isLarge)

;(sharedIsPresent ? describe : describe.skip)('every large shared model (needs ../shared)', () => {
  it.each(large)('%s says the same after it was loaded and saved, field by field', expectSameFields)

  it.each(large)('%s computes the same bits after it was loaded and saved', expectSameBits)

  it.each(large)('%s has a copy that prints and saves the same', expectSameCopy)
})
