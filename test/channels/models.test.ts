import { describe, expect } from '@jest/globals'
import { countParameters } from '../../onnx/cost.ts'
import { loadModel } from '../../onnx/load.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { expectSameAsZeroed } from './masking.ts'

describe('cutting 30 % of every group of real models', () => {
  itWithShared.each([
    ['conv-distiller-resnet20-dense-cifar10', 12],
    ['conv-tiny-resnet8-cifar10', 6],
    ['conv-tiny-vww96-mobilenet025', 14],
    ['mnist-burn-a', 4],
    ['mnist-8-ortweb', 2],
    ['keras-tract-example', 1],
    ['super-resolution-10', 3],
    ['ultraface-rfb-320', 25],
    ['vit-ibp-3-3-8-cifar10', 3],
    ['vittrack', 21],
    ['yolox-nano', 65],
    ['basic-pitch', 3],
  ])('%s gives what it gives with these channels zeroed', async (name, prunable) => {
    const model = await loadModel(sharedModel(`${name}.onnx`))
    const before = countParameters(model)
    for (const seed of [1, 2]) {
      const { groups, smaller } = await expectSameAsZeroed(model, seed)
      expect(groups.filter((group) => group.prunable === true)).toHaveLength(prunable)
      expect(countParameters(smaller).parameters).toBeLessThan(before.parameters)
    }
    expect(countParameters(model)).toEqual(before)
  })
})
