import { describe, expect, it } from '@jest/globals'
import { softmax } from '../../base/statistics.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { outputKind, toLogits } from '../../tasks/outputs.ts'

describe('outputKind', () => {
  const endings: [string, string, (g: Builder, x: Value) => Value][] = [
    ['logits', 'Gemm', (g, x) => g.Gemm(x, x)],
    ['probabilities', 'Softmax', (g, x) => g.Softmax(x)],
    ['probabilities', 'Sigmoid', (g, x) => g.Sigmoid(x)],
    ['log-probabilities', 'LogSoftmax', (g, x) => g.LogSoftmax(x)],
    ['logits', 'Log of Softmax', (g, x) => g.Log(g.Softmax(x))],
    ['probabilities', 'Softmax and Reshape', (g, x) => g.Reshape(g.Softmax(x), [1, -1])],
    [
      'probabilities',
      'quantized Softmax',
      (g, x) => g.DequantizeLinear(g.QuantizeLinear(g.Softmax(x), 0.1), 0.1),
    ],
    ['logits', 'an input', (_g, x) => x],
  ]
  it.each(endings)('finds %s at the end of a graph with %s', (kind, _name, end) => {
    const { model, g } = newModel('ending')
    const x = g.input('x', { dtype: 'float32', shape: [4, 4] })
    g.output('y', end(g, x))
    expect(outputKind(model.graph)).toBe(kind)
  })
})

describe('toLogits', () => {
  const logits = Float32Array.of(2, -1, 0.5)
  const probabilities = Float32Array.from(softmax(logits))

  it('gives probabilities back by softmax', () => {
    const restored = softmax(toLogits(probabilities, 'probabilities'))
    for (const [index, value] of restored.entries())
      expect(value).toBeCloseTo(probabilities[index]!, 6)
  })

  it('keeps probabilities of 0 finite and what is no number as it is', () => {
    const [zero, nothing] = toLogits(Float32Array.of(0, Number.NaN), 'probabilities')
    expect(zero).toBeCloseTo(-87.3365, 3)
    expect(nothing).toBeNaN()
  })

  it.each(['logits', 'log-probabilities'] as const)('leaves %s alone', (kind) => {
    expect(toLogits(logits, kind)).toBe(logits)
  })
})
