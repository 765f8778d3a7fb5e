// Quantization of real models; larger ones are in the slow tests.
import { describe, expect } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { loadModel } from '../../../onnx/load.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'
import { expectOperators, expectSmaller, expectStatic, type StaticRow } from './real-models.ts'
import { quantized } from './support.ts'

describe('real models in 8 bits', () => {
  itWithShared.each<StaticRow>([
    ['conv-tiny-resnet8-cifar10.onnx', [3, 32, 32], 255, 'agreement', 0.9, 15],
    ['mnist-burn-a.onnx', [1, 28, 28], 1, 'agreement', 0.9, 7],
    ['mnist-8-ortweb.onnx', [1, 28, 28], 255, 'agreement', 0.75, 6],
  ])('static: %s is close to its input and runs on integers', (...row) => expectStatic(row), 60_000)

  itWithShared.each([['conv-tiny-resnet8-cifar10.onnx', [3, 32, 32], 255]] as const)(
    'qoperator: %s computes what its pairs compute',
    (...row) => expectOperators(row),
    60_000,
  )

  itWithShared.each(['mnist-8-ortweb.onnx'])(
    'dynamic and float16: %s opens in WebAssembly too and stays close',
    expectSmaller,
    60_000,
  )

  itWithShared('refuses a model that is quantized already', async () => {
    const model = await loadModel(sharedModel('shufflenet-v2-12-int8.onnx'))
    await expect(quantized(model, { scheme: 'float16' })).rejects.toThrow(UserError)
  })
})
