// The accuracy of a model that others trained; with more samples in the slow tests.
import { itWithShared } from '../support/shared.ts'
import { expectRight, type Known } from './known-accuracy.ts'

const models: readonly Known[] = [
  {
    file: 'conv-distiller-resnet20-dense-cifar10.onnx',
    data: { source: 'cifar10', test: { limit: 100 } },
    preprocess: { mean: 0.5, std: 0.5 },
    size: 100,
    // It is right about 91.5 % of the first thousand; the standard error of a hundred is 2.8 %.
    right: 91.5,
    within: 8.5,
  },
]

itWithShared.each(models)('$file is right $right times', expectRight)
