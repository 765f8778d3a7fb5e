// The accuracy of a model that others trained; with all 10,000 samples of MNIST in the slow tests.
import { itWithShared } from '../support/shared.ts'
import { expectRight, type Known } from './known-accuracy.ts'

const models: readonly Known[] = [
  {
    file: 'conv-distiller-resnet20-dense-cifar10.onnx',
    data: { source: 'cifar10', test: { limit: 1000 } },
    preprocess: { mean: 0.5, std: 0.5 },
    size: 1000,
    right: 915,
  },
]

itWithShared.each(models)('$file is right $right times', expectRight)
