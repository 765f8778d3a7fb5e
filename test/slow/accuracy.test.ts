// Accuracies of models that others trained, on all of MNIST.
import { expectRight, type Known } from '../benchmarks/known-accuracy.ts'
import { itWithShared } from '../support/shared.ts'

const models: readonly Known[] = [
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
