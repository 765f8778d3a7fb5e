// Which layers: sensitivity to quantization, and the search for those that stay float.
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements } from '../../../onnx/tensor.ts'
import { analyseQuantization, quantize } from '../../../stages/quantize/index.ts'
import { contextOf, operatorsOf, quantized, samplesOf, weights } from './support.ts'

/** Four layers, the second of which has an outlier that takes most of 8 bits with one scale for all. */
function withOutlier(): Model {
  const { model, g } = newModel('m')
  let value = g.input('x', { dtype: 'float32', shape: ['n', 24] })
  for (const name of ['one', 'two', 'three', 'four']) {
    const tensor = weights([24, name === 'four' ? 2 : 24], name, 0.3)
    if (name === 'two') elements(tensor, 'float32')[5] = 200
    const [made] = g.node('MatMul', [value, tensor], { name })
    value = name === 'four' ? made! : g.Relu(made)
  }
  g.output('y', value, { dtype: 'float32', shape: ['n', 2] })
  return model
}

const data = samplesOf([24], 32)

const optionsOf = (options: object) => quantize.options.parse({ stage: 'quantize', ...options })

describe('sensitivity to quantization', () => {
  it.each(['static', 'dynamic'] as const)('names the layer that suffers: %s', async (scheme) => {
    const model = withOutlier()
    const context = contextOf(model, data)
    const options = optionsOf({ scheme, perChannel: false })
    const found = await analyseQuantization(model, options, context)
    expect(found).toMatchObject({ metric: 'top1', samples: 32, split: 'validation' })
    expect(found.rows.map(({ name }) => name)).toEqual(['one', 'two', 'three', 'four'])
    const worst = [...found.rows].sort((a, b) => a.alone.sqnrDb - b.alone.sqnrDb)[0]!
    const best = [...found.rows].sort((a, b) => b.off.sqnrDb - a.off.sqnrDb)[0]!
    expect([worst.name, best.name]).toEqual(['two', 'two'])
    expect(best.off.sqnrDb).toBeGreaterThan(found.whole.sqnrDb)
    for (const { alone } of found.rows) {
      expect(alone.score).toBeGreaterThanOrEqual(0)
      expect(alone.divergence).toBeGreaterThanOrEqual(0)
    }
    // Asked again, nothing is run but the float model.
    expect(await analyseQuantization(model, options, context)).toEqual(found)
  })
})

describe('mixed precision', () => {
  it.each([
    ['static', 'bytes', 'cosine'],
    ['static', 'latency', 'accuracy'],
    ['dynamic', 'latency', 'cosine'],
  ] as const)(
    '%s: leaves float what it must, with the least %s, by %s',
    async (scheme, least, of) => {
      const model = withOutlier()
      const floor = 0.999
      const options = { scheme, perChannel: false, mixed: { floor, least, of } }
      const { model: result, facts } = await quantized(model, options, data)
      const said =
        /mixed: \w+ ([\d.]+)(?: \([\d.]+ or more with 95 % confidence\))? with (\d) of 4 nodes float/.exec(
          facts.summary ?? '',
        )
      expect(Number(said?.[1])).toBeGreaterThanOrEqual(floor)
      expect(Number(said?.[2])).toBeLessThan(4)
      expect(serializeModel(result).length).toBeGreaterThan(1000)
      const { MatMul = 0, MatMulInteger = 0 } = operatorsOf(result)
      expect(MatMul + MatMulInteger).toBe(4)
    },
  )

  it('quantizes everything where that is good enough', async () => {
    const options = { scheme: 'static', mixed: { floor: 0.5 } } as const
    const { facts } = await quantized(withOutlier(), options, data)
    expect(facts.summary).toMatch(
      /mixed: cosine [\d.]+ \([\d.]+ or more with 95 % confidence\) with 0 of 4 nodes float/,
    )
  })

  it.each([
    [{ mixed: { of: 'accuracy' } }, undefined, /mixed.of: 'accuracy' needs data: there is none/],
    [{ mixed: { floor: 1 }, embeddings: true }, data, /mixed.floor: cannot be reached: 1 — with/],
  ] as const)('refuses what cannot be: %j', async (options, samples, message) => {
    const run = quantized(withTable(), { scheme: 'dynamic', ...options }, samples)
    await expect(run).rejects.toThrow(message)
  })

  it.each([{ floor: 0 }, { floor: 2 }, { least: 'watts' }, { of: 'beauty' }])(
    'refuses %j',
    (mixed) => {
      expect(
        quantize.options.safeParse({ stage: 'quantize', scheme: 'static', mixed }).success,
      ).toBe(false)
    },
  )
})

/** A layer, and a table that is stored in 8 bits whatever stays float. */
function withTable(): Model {
  const { model, g } = newModel('table')
  const x = g.input('x', { dtype: 'float32', shape: ['n', 24] })
  const table = g.constant(weights([200, 24], 'table'), 'table')
  const [index] = g.node('ArgMax', [x], { attributes: { axis: 1, keepdims: 0 } })
  const row = g.Gather(table, index)
  g.output('y', g.MatMul(g.Add(x, row), weights([24, 24], 'w')), {
    dtype: 'float32',
    shape: ['n', 24],
  })
  return model
}
