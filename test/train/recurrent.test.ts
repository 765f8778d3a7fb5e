// Unrolled LSTM, GRU and RNN against ONNX Runtime's own operators: every option, two forms of lengths each. The slow
// tests have all.
import { expect, it } from '@jest/globals'
import { difference, expectUnrolled, named, recurrentRows } from './recurrent-cases.ts'

it.each(recurrentRows.filter(({ isQuick }) => isQuick))('unrolls $opType $title', expectUnrolled)

it.each([
  ['Affine', [0.7], [0.1]],
  ['Elu', [0.6], []],
  ['Elu', [], []],
  ['HardSigmoid', [], []],
  ['LeakyRelu', [], []],
  ['Relu', [], []],
  ['ScaledTanh', [0.8], [1.3]],
  ['Sigmoid', [], []],
  ['Softplus', [], []],
  ['Softsign', [], []],
  ['Tanh', [], []],
  ['ThresholdedRelu', [0.2], []],
] as const)('knows the activation %s', async (name, alphas, betas) => {
  for (const [opType, count] of [
    ['LSTM', 3],
    ['GRU', 2],
    ['RNN', 1],
  ] as const) {
    const repeated = <T>(list: readonly T[]) => Array.from({ length: count }, () => list).flat()
    const attributes = named('forward', repeated([name]), repeated(alphas), repeated(betas))
    expect(await difference(opType, { bias: true, attributes })).toBeLessThan(1e-5)
  }
})
