// The last check of quantized files: providers must agree, and what became slower or larger is said.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { isExact, saturationTest } from '../../../stages/quantize/machine.ts'
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
})

const layers = ['first', 'second', 'third', 'fourth']

type Rounding = (g: Builder, value: Value, step: number) => Value

/** By a pair behind another, of which ONNX Runtime makes one: the coarser rounding is left out. */
const leftOut: Rounding = (g, value, step) => pair(g, pair(g, value, 0.05), step)

/** By operators that round as is defined. */
const done: Rounding = (g, value, step) => g.Mul(g.Round(g.Mul(value, 1 / step)), step)

/** Four convolutions, one of which is rounded to multiples of a step, and the weights of the last one disturbed. */
function rounded(round: Rounding, behind: number, step: number, disturbance = 0): Model {
  const { model, g } = newModel('rounded')
  let value = g.input('x', { dtype: 'float32', shape: ['n', 3, 12, 12] })
  for (const [index, name] of layers.entries()) {
    const dims = [8, index === 0 ? 3 : 8, 3, 3]
    const weight = weights(dims, name, index === 0 ? 0.5 : 0.17)
    const noise = elements(weights(dims, `${name} disturbed`, disturbance * 0.17), 'float32')
    if (name === 'fourth')
      for (const [at, each] of elements(weight, 'float32').entries())
        elements(weight, 'float32')[at] = each + noise[at]!
    value = g.Conv(value, weight, { pads: [1, 1, 1, 1] })
    if (name === 'fourth') break
    value = g.node('Relu', [value], { name })[0]!
    if (index === behind) value = round(g, value, step)
  }
  g.output('y', g.Flatten(value), { dtype: 'float32', shape: ['n', 1152] })
  return model
}

function pair(g: Builder, value: Value, scale: number): Value {
  const parameters = [tensorOf('float32', [], [scale]), tensorOf('uint8', [], [0])] as const
  return g.DequantizeLinear(g.QuantizeLinear(value, ...parameters), ...parameters)
}

/** What a model gives for all samples, one after the other. */
async function resultsOf(model: Model, optimization: 'disabled' | 'all'): Promise<number[]> {
  return await withSession(model, { threads: 1, optimization }, async (session) => {
    const all: number[] = []
    for (let index = 0; index < data.size; index++) {
      const x = new Float32Array(3 * 12 * 12)
      data.read(index, 0, x, 0)
      const { y } = await session.run({ x: tensorOf('float32', [1, 3, 12, 12], x) })
      all.push(...elements(y!, 'float32'))
    }
    return all
  })
}

/** Signal over noise, dB. */
function agreement(expected: readonly number[], found: readonly number[]): number {
  const power = (values: readonly number[]) => values.reduce((sum, value) => sum + value ** 2, 0)
  return 10 * Math.log10(power(expected) / power(expected.map((value, at) => value - found[at]!)))
}

describe('how near providers have to come to what ONNX defines', () => {
  // By the step, CPU and definition agree by 37, 24 and 18 dB; with the weights disturbed, so do definition and float model.
  it.each([
    [0.1, 0, 'met'],
    [0.5, 0, 'missed'],
    [0.5, 0.03, 'missed'],
    [0.5, 0.1, 'met'],
    [1, 0.03, 'missed'],
    [1, 0.1, 'missed'],
    [1, 0.2, 'met'],
  ] as const)(
    'is 30 dB, or what quantization itself leaves: a step of %d left out, weights disturbed by %d: %s',
    async (step, disturbance, verdict) => {
      const model = rounded(leftOut, 1, step)
      const float = rounded(done, 1, step, disturbance)
      const defined = await resultsOf(model, 'disabled')
      const near = agreement(defined, await resultsOf(model, 'all'))
      const limit = Math.min(30, agreement(defined, await resultsOf(float, 'all')))
      expect(near >= limit).toBe(verdict === 'met')
      const context = contextOf(float, data)
      const check = checkProviders(checkedOf(float, model), ['cpu'], data, context, 'model')
      if (verdict === 'met') expect((await check)[0]).toBe('runs alike on cpu')
      else
        await expect(check).rejects.toThrow(
          `agrees by ${near.toFixed(1)} dB, rounding explains ${limit.toFixed(1)} dB: `,
        )
    },
  )

  it.each([0, 1, 2])('is missed by layer %i, which is named', async (behind) => {
    const [float, model] = [rounded(done, behind, 1.5), rounded(leftOut, behind, 1.5)]
    const context = contextOf(float, data)
    const check = checkProviders(checkedOf(float, model), ['cpu'], data, context, 'model')
    await expect(check).rejects.toThrow(
      new RegExp(
        `^model: the result computes something else on cpu than ONNX defines: output 'y' agrees by [\\d.]+ dB, rounding explains [\\d.]+ dB: the first layer that differs is Relu '${layers[behind]}' \\(SQNR [\\d.]+ dB\\) — exclude it, set weightBits: 7, or use another scheme$`,
      ),
    )
  })

  it('is missed by sums that saturate, and met by the weights that the machine takes', async () => {
    const { model, g } = newModel('large sums')
    const x = g.input('x', { dtype: 'float32', shape: ['n', 3, 12, 12] })
    const ones = (dims: readonly number[]) =>
      tensorOf('float32', dims, new Float32Array(dims.reduce((a, b) => a * b)).fill(1 / 16))
    // Bright pixels and weights that are all alike: every product is as large as it can be.
    const bright = g.Clip(g.Abs(g.Mul(x, 100)), 0, 1)
    const [a] = g.node('Conv', [bright, ones([64, 3, 1, 1])], { name: 'small' })
    const [b] = g.node('Conv', [a!, ones([16, 64, 1, 1])], { name: 'large' })
    g.output('y', g.Flatten(b!), { dtype: 'float32', shape: ['n', 2304] })
    const run = (options: object) => quantized(model, { scheme: 'static', ...options }, data)
    expect((await run({})).facts.summary).toMatch(/runs alike on cpu/)
    expect((await run({ weights: 'uint8' })).facts.summary).toMatch(/runs alike on cpu/)
    const tests = await saturationTest('cpu')
    if (isExact(tests, 'int8'))
      expect((await run({ weightBits: 8 })).facts.summary).toMatch(/runs alike on cpu/)
    else
      await expect(run({ weightBits: 8 })).rejects.toThrow(
        /computes something else on cpu .*the first layer that differs is Conv 'small' \(SQNR .*set weightBits: 7/,
      )
  })

  it.each([
    ['static', {}],
    ['static', { format: 'qoperator' }],
    ['dynamic', {}],
    ['weight-only', { bits: 4 }],
  ] as const)('is met by ordinary rounding: %s %j', async (scheme, options) => {
    const { facts } = await quantized(convolutions(), { scheme, ...options }, data)
    expect(facts.summary).toMatch(/; runs alike on cpu/)
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
