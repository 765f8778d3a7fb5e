// Accuracies of models that others trained, on all of MNIST and on CIFAR-10.
import { expectRight, type Known } from '../benchmarks/known-accuracy.ts'
import { itWithShared } from '../support/shared.ts'

const models: readonly Known[] = [
  {
    file: 'conv-distiller-resnet20-dense-cifar10.onnx',
    data: { source: 'cifar10', test: { limit: 1000 } },
    preprocess: { mean: 0.5, std: 0.5 },
    size: 1000,
    right: 915,
  },
  {
    file: 'mnist-burn-a.onnx',
    data: { source: 'mnist' },
    preprocess: { mean: 0.1307, std: 0.3081 },
    size: 10000,
    right: 9916,
  },
  {
    file: 'mnist-8-ortweb.onnx',
    data: { source: 'mnist' },
    preprocess: { scale: 1 },
    size: 10000,
    right: 9891,
  },
]

itWithShared.each(models)('$file is right $right times', expectRight)
