// The accuracy of a model that others trained; with more samples in the slow tests.
import { itWithShared } from '../support/shared.ts'
import { expectRight, type Known } from './known-accuracy.ts'

const models: readonly Known[] = [
  {
    file: 'mnist-burn-a.onnx',
    data: { source: 'digits', test: { limit: 200 } },
    preprocess: { mean: 0.1307, std: 0.3081 },
    size: 200,
    // It is right about 99.2 % of all; the standard error of two hundred is 0.6 %.
    right: 198,
    within: 4,
  },
]

itWithShared.each(models)('$file is right $right times', expectRight)
