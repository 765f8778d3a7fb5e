// What the machine does with integers, and what is chosen for it.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { newModel } from '../../../onnx/build.ts'
import { elements } from '../../../onnx/tensor.ts'
import { quantize } from '../../../stages/quantize/index.ts'
import { countKernels } from '../../../stages/quantize/kernels.ts'
import {
  adviceFrom,
  dotProductsIn,
  machineAdvice,
  preferredForms,
  providerRules,
  rulesOf,
  type SelfTest,
  saturationTest,
  selfTestModel,
  thoseThatAsk,
  type WeightForm,
} from '../../../stages/quantize/machine.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { contextOf, quantized, samplesOf, weights } from './support.ts'

/** Results of a self-test in which kernels lose a part of the sums with these forms of weights. */
const resultsWith = (wrong: readonly WeightForm[]): SelfTest[] =>
  (['int8', 'reduced', 'uint8'] as const).map((weights) => ({
    kernel: 'Conv',
    weights,
    share: wrong.includes(weights) ? 0.51 : 1,
  }))

describe('the machine', () => {
  it('adds the largest products of 8 bits, in kernels that are integer ones', async () => {
    const { model, cases } = selfTestModel()
    const { float } = await countKernels(model, `${temporaryFolder()}/optimized.onnx`)
    expect([...float.keys()].filter((opType) => /Conv|Gemm|MatMul$/.test(opType))).toEqual([])
    expect(cases.size).toBe(9)
    const results = await saturationTest('cpu')
    expect(results).toHaveLength(9)
    // Unsigned weights, and signed ones of 7 bits, are exact on every processor.
    for (const { weights, share } of results)
      if (weights !== 'int8') expect(share).toBeCloseTo(1, 2)
    const { weightBits, reason } = await machineAdvice('cpu')
    const exact = results.every(({ share }) => Math.abs(share - 1) < 0.01)
    expect(weightBits).toBe(exact ? 8 : 7)
    expect(reason).toMatch(exact ? /exactly/ : /saturate/)
  })

  it.each<[readonly WeightForm[], WeightForm, 7 | 8, RegExp]>([
    [[], 'int8', 8, /adds 8-bit products exactly/],
    [
      ['int8'],
      'reduced',
      7,
      /saturate here \(Conv gives 0.51 of the sum.*the processor has no VNNI/,
    ],
    [['int8', 'reduced'], 'uint8', 8, /saturate here/],
  ])('where %j lose some, weights are %s', (wrong, form, weightBits, reason) => {
    const advice = adviceFrom('cpu', ['avx2'], resultsWith(wrong))
    expect(advice).toMatchObject({ form, weightBits })
    expect(advice.reason).toMatch(reason)
  })

  it.each<[readonly WeightForm[], WeightForm]>([
    [[], 'int8'],
    [['int8'], 'uint8'],
    [['int8', 'uint8'], 'reduced'],
  ])('where %j lose some, those of dynamic files are %s', (wrong, form) => {
    const advice = adviceFrom('cpu', ['avx2'], resultsWith(wrong), preferredForms.dynamic)
    expect(advice.form).toBe(form)
  })

  it('keeps to the type of weights that was asked for', async () => {
    const { model: float, g } = newModel('m')
    const x = g.input('x', { dtype: 'float32', shape: ['n', 24] })
    g.output('y', g.MatMul(x, weights([24, 24], 'w')), { dtype: 'float32', shape: ['n', 24] })
    const largestOf = async (options: { weights: 'int8' | 'uint8' }): Promise<number> => {
      const { model } = await quantized(float, { scheme: 'static', ...options }, samplesOf([24]))
      const stored = [...model.graph.initializers].map(({ tensor }) => tensor!)
      const table = stored.find(({ dtype, size }) => dtype === options.weights && size === 576)!
      return Math.max(...elements(table, options.weights))
    }
    const { weightBits } = await machineAdvice('cpu')
    expect(await largestOf({ weights: 'int8' })).toBe(weightBits === 8 ? 127 : 63)
    expect(await largestOf({ weights: 'uint8' })).toBe(255)
  })

  it('looks at all of the providers that are wanted, and passes over those that are not here', async () => {
    const { model: float, g } = newModel('m')
    const x = g.input('x', { dtype: 'float32', shape: ['n', 24] })
    g.output('y', g.MatMul(x, weights([24, 24], 'w')), { dtype: 'float32', shape: ['n', 24] })
    const data = samplesOf([24])
    const options = quantize.options.parse({
      ...{ stage: 'quantize', scheme: 'static', providers: ['coreml', 'wasm', 'cpu'] },
    })
    // It was trained elsewhere, where sums do not saturate.
    const context = { ...contextOf(float, data), provider: 'wasm' } as const
    const { facts } = await quantize.run({ model: float, facts: {} }, options, context)
    expect(facts.summary).toMatch(/runs alike on wasm, cpu/)
    const { weightBits } = await machineAdvice('cpu')
    expect(context.logs.join().includes('weights have 7 bits')).toBe(weightBits === 7)
  })

  it('refuses a provider that is wrong with all of them', () => {
    const all = ['int8', 'reduced', 'uint8'] as const
    expect(() => adviceFrom('cpu', [], resultsWith(all))).toThrow(UserError)
    expect(() => adviceFrom('cpu', [], resultsWith(all))).toThrow(
      /Conv gives 0.51 of the sum — use/,
    )
  })

  it('names instructions, and has a reason for each rule of a provider', () => {
    expect(dotProductsIn(['avx2', 'avx512_vnni', 'amx_int8'])).toEqual(['AVX-512 VNNI', 'AMX'])
    expect(dotProductsIn(['asimd', 'asimddp'])).toEqual(['ARM dot product'])
    for (const { choice, reason } of providerRules) expect(`${choice}${reason}`).toMatch(/\w{3}/)
    expect(rulesOf('webgpu').map(({ concerns }) => concerns)).toContain('bias')
    expect(thoseThatAsk('operators', ['cpu', 'webgpu', 'cuda'])).toEqual(['webgpu', 'cuda'])
    expect(thoseThatAsk('input channels', ['cpu', 'wasm'])).toEqual([])
  })
})
