// Quantization of the larger real models, and how accurate they stay.
import { describe } from '@jest/globals'
import {
  expectAccurate,
  expectOperators,
  expectSmaller,
  expectStatic,
  type StaticRow,
} from '../stages/quantize/real-models.ts'
import { itWithShared } from '../support/shared.ts'

describe('larger real models in 8 bits', () => {
  itWithShared.each<StaticRow>([
    ['conv-tiny-vww96-mobilenet025.onnx', [3, 96, 96], 1, 'agreement', 0.9, 30],
    // Its weights alone, rounded to 8 and to 7 bits, leave 28 and 16 dB of what it makes of random numbers.
    ['super-resolution-10.onnx', [1, 224, 224], 1, 'cosine', { 7: 0.985, 8: 0.99 }, 6],
    ['ultraface-rfb-320.onnx', [3, 240, 320], 1, 'cosine', 0.99, 60],
    ['yolox-nano.onnx', [3, 416, 416], 100, 'cosine', 0.8, 340],
  ])('static: %s is close to its input and runs on integers', (...row) => expectStatic(row))

  itWithShared.each([
    ['conv-tiny-vww96-mobilenet025.onnx', [3, 96, 96], 1],
    ['ultraface-rfb-320.onnx', [3, 240, 320], 1],
    ['yolox-nano.onnx', [3, 416, 416], 100],
  ] as const)('qoperator: %s computes what its pairs compute', (...row) => expectOperators(row))

  itWithShared.each(['vittrack.onnx', 'magika-v3_3.onnx', 'byte-sb-bidi-lstm.onnx'])(
    'dynamic and float16: %s opens in WebAssembly too and stays close',
    expectSmaller,
  )
})

describe('ResNet-20 on CIFAR-10', () => {
  itWithShared.each(['minmax', 'entropy'] as const)(
    'keeps its accuracy with ranges by %s',
    expectAccurate,
  )
})
