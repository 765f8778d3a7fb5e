// The last check of quantized files: providers must agree, and what became slower or larger is said.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { decibels, likenessOf, worstOf } from '../../../stages/quantize/noise.ts'
import { checkProviders } from '../../../stages/quantize/providers-agree.ts'
import { namesIn } from '../../../stages/quantize/trials.ts'
import { contextOf, quantized, samplesOf, weights } from './support.ts'

function convolutions(): Model {
  const { model, g } = newModel('m')
  const x = g.input('x', { dtype: 'float32', shape: ['n', 3, 12, 12] })
  const pads = { pads: [1, 1, 1, 1] }
  const a = g.Relu(g.Conv(x, weights([16, 3, 3, 3], 'a'), pads))
  const b = g.Conv(a, weights([16, 16, 3, 3], 'b', 0.1), pads)
  g.output('y', g.Flatten(g.GlobalAveragePool(g.Relu(b))), { dtype: 'float32', shape: ['n', 16] })
  return model
}

const data = samplesOf([3, 12, 12], 8)

const checkedOf = (float: Model, model: Model) => ({
  ...{ float, quantized: model, comparable: model },
  names: namesIn(model),
})

describe('providers agree', () => {
  it('runs a file on each of them, in its own process where it is not the CPU, and says so', async () => {
    const { facts } = await quantized(
      convolutions(),
      { scheme: 'static', providers: ['cpu', 'wasm'] },
      data,
    )
    expect(facts.summary).toMatch(/; runs alike on cpu, wasm/)
  }, 120_000)

  it('says what became larger', async () => {
    const model = convolutions()
    const grown = cloneModel(model)
    grown.metadata.set('note', 'x'.repeat(100_000))
    const context = contextOf(model, data)
    const said = await checkProviders(checkedOf(model, grown), ['cpu'], data, context, 'model')
    expect(said[1]).toMatch(/^larger than its input: \d+\.\d % of its bytes$/)
    expect(context.logs).toContain(said[1])
  })

  it('says what became slower', async () => {
    const model = convolutions()
    const { model: heavy, g: h } = newModel('heavy')
    const x = h.input('x', { dtype: 'float32', shape: ['n', 3, 12, 12] })
    const pads = { pads: [1, 1, 1, 1] }
    let value = h.Relu(h.Conv(x, weights([64, 3, 3, 3], 'a'), pads))
    for (let index = 0; index < 6; index++)
      value = h.Relu(h.Conv(value, weights([64, 64, 3, 3], `b${index}`, 0.05), pads))
    h.output('y', h.Flatten(h.GlobalAveragePool(value)), { dtype: 'float32', shape: ['n', 64] })
    const context = contextOf(model, data)
    // Another model altogether: only its own answers count, for the float one differs by more than rounding anyway.
    const said = await checkProviders(checkedOf(model, heavy), ['cpu'], data, context, 'model')
    expect(said.join()).toMatch(/slower than its input on cpu: \d+\.\d\d times the latency/)
  })

  it('logs that a provider is not here', async () => {
    const model = convolutions()
    const context = contextOf(model, data)
    const said = await checkProviders(checkedOf(model, model), ['coreml'], data, context, 'model')
    expect(said.join()).not.toMatch(/coreml/)
    expect(context.logs.join()).toMatch(/not checked on coreml, which is not available: /)
  })

  it('fails where a provider gives something else, and names the first layer that does', async () => {
    // What is rounded to multiples of 1.5: by operators, and by a pair of which ONNX Runtime makes one with the pair
    // before it, so that the rounding is left out.
    const rounding = (round: (g: Builder, value: Value) => Value): Model => {
      const { model, g } = newModel('rounding')
      const x = g.input('x', { dtype: 'float32', shape: ['n', 3, 12, 12] })
      const pads = { pads: [1, 1, 1, 1] }
      const a = g.Conv(x, weights([16, 3, 3, 3], 'a'), pads)
      const [first] = g.node('Relu', [a], { name: 'first' })
      const y = g.Conv(round(g, first!), weights([16, 16, 3, 3], 'b', 0.1), pads)
      g.output('y', g.Flatten(y), { dtype: 'float32', shape: ['n', 2304] })
      return model
    }
    const pair = (g: Builder, value: Value, scale: number) => {
      const parameters = [tensorOf('float32', [], [scale]), tensorOf('uint8', [], [0])] as const
      return g.DequantizeLinear(g.QuantizeLinear(value, ...parameters), ...parameters)
    }
    const float = rounding((g, value) => g.Mul(g.Round(g.Mul(value, 1 / 1.5)), 1.5))
    const model = rounding((g, value) => pair(g, pair(g, value, 0.05), 1.5))
    const context = contextOf(float, data)
    await expect(
      checkProviders(checkedOf(float, model), ['cpu'], data, context, 'model'),
    ).rejects.toThrow(
      /^model: the result computes something else on cpu than ONNX defines: output 'y' agrees by .*rounding explains .* dB: the first layer that differs is Relu 'first' \(SQNR .*\) — exclude it/,
    )
  })
})

describe('noise', () => {
  const run = (...values: number[]) => ({ y: tensorOf('float32', [values.length], values) })

  it('is told by signal over noise', () => {
    expect(worstOf(likenessOf([run(1, 0)], [run(1, 0.1)]))?.sqnrDb).toBeCloseTo(20, 5)
    expect(worstOf(likenessOf([run(1, 2)], [run(1, 2)]))?.sqnrDb).toBe(Infinity)
    expect(worstOf(likenessOf([run(1, 2)], [run(1, Number.NaN)]))?.sqnrDb).toBe(-Infinity)
    expect(worstOf(likenessOf([run(1, Number.NaN)], [run(1, 7)]))?.sqnrDb).toBe(Infinity)
    expect(worstOf(likenessOf([run(1, 2)], [run(1)]))?.sqnrDb).toBe(-Infinity)
    expect([20, Infinity, -Infinity].map(decibels)).toEqual([
      '20.0 dB',
      'no noise',
      'nothing but noise',
    ])
  })
})
