// Cutting channels of real models gives what zeroing them gives; models that take long are in the slow tests.
import { expect } from '@jest/globals'
import { countParameters } from '../../onnx/cost.ts'
import { loadModel } from '../../onnx/load.ts'
import { sharedModel } from '../support/shared.ts'
import { expectSameAsZeroed } from './masking.ts'

/** Cuts 30 % of every group of a model that has so many groups that can be cut, twice. */
export async function expectCut(name: string, prunable: number): Promise<void> {
  const model = await loadModel(sharedModel(`${name}.onnx`))
  const before = countParameters(model)
  for (const seed of [1, 2]) {
    const { groups, smaller } = await expectSameAsZeroed(model, seed)
    expect(groups.filter((group) => group.prunable === true)).toHaveLength(prunable)
    expect(countParameters(smaller).parameters).toBeLessThan(before.parameters)
  }
  expect(countParameters(model)).toEqual(before)
}
