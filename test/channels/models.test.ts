import { describe } from '@jest/globals'
import { itWithShared } from '../support/shared.ts'
import { expectCut } from './cut-models.ts'

describe('cutting 30 % of every group of real models', () => {
  itWithShared.each([
    ['conv-distiller-resnet20-dense-cifar10', 12],
    ['conv-tiny-resnet8-cifar10', 6],
    ['conv-tiny-vww96-mobilenet025', 14],
    ['mnist-burn-a', 4],
    ['mnist-8-ortweb', 2],
    ['keras-tract-example', 1],
    ['vit-ibp-3-3-8-cifar10', 3],
    ['vittrack', 21],
  ])('%s gives what it gives with these channels zeroed', expectCut)
})
