// What the stage makes of models and data that leave nothing to wish for: already quantized, old, all zeros, without samples.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { firstSample, operatorsOf, quantized, runOnce, samplesOf, weights } from './support.ts'

const image = [3, 9, 9] as const
const data = samplesOf(image)

function modelOf(write: (g: Builder, x: Value) => Value, opset = 17): Model {
  const { model, g } = newModel('test', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...image] })
  g.output('y', write(g, x), { dtype: 'float32' })
  return model
}

const named = (g: Builder, x: Value, dims: readonly number[], name: string): Value =>
  g.node('Conv', [x, weights(dims, `${name}.w`), weights([dims[0]!], `${name}.b`)], { name })[0]!

/** Three convolutions, `first` to `last`. */
const three = (): Model =>
  modelOf((g, x) => {
    const first = g.Relu(named(g, x, [4, 3, 3, 3], 'first'))
    return named(g, g.Relu(named(g, first, [4, 4, 3, 3], 'second')), [5, 4, 3, 3], 'last')
  })

const closeness = async (found: Model, expected: Model): Promise<number> => {
  const [a, b] = [
    await runOnce(found, firstSample(data)),
    await runOnce(expected, firstSample(data)),
  ]
  const range = Math.max(...b) - Math.min(...b)
  return Math.max(...a.map((value, index) => Math.abs(value - b[index]!))) / range
}

describe('a model that is quantized already', () => {
  it('is refused unless told otherwise', async () => {
    const { model } = await quantized(three(), { scheme: 'static' }, data)
    await expect(quantized(model, { scheme: 'dynamic' })).rejects.toThrow(
      /^model: it is quantized already: it has \w+ '.+' — quantize the float model, or set 'quantized'/,
    )
  })

  it('is kept as it is', async () => {
    const { model } = await quantized(three(), { scheme: 'static' }, data)
    const again = await quantized(model, { scheme: 'dynamic', quantized: 'keep' })
    expect(again.model).toBe(model)
    expect(again.facts.summary).toBe('kept: it is quantized already')
  })

  it('is quantized when it is not quantized, whatever would be done to it', async () => {
    const { model } = await quantized(three(), { scheme: 'dynamic', quantized: 'keep' })
    expect(operatorsOf(model)).toMatchObject({ ConvInteger: 3 })
  })

  it.each(['first', 'second', 'last'])(
    'is extended by %s, with nothing quantized twice',
    async (name) => {
      const float = three()
      const part = await quantized(float, { scheme: 'static', exclude: [name] }, data)
      const { model, facts } = await quantized(
        part.model,
        { scheme: 'static', quantized: 'extend' },
        data,
      )
      expect(facts.summary).toMatch(/3 of \d operators in 8 bits/)
      for (const { opType, outputs } of model.graph.nodes)
        if (opType === 'DequantizeLinear')
          for (const user of outputs[0]!.users) expect(user.opType).not.toBe('QuantizeLinear')
      expect(await closeness(model, float)).toBeLessThan(0.05)
    },
  )

  it('is extended where weights are unpacked when the file is opened', async () => {
    const { model: half } = await quantized(
      three(),
      { scheme: 'weight-only', bits: 8, exclude: ['last'] },
      data,
    )
    const arithmetic = ({ Cast, Sub, Mul }: Record<string, number>) => ({ Cast, Sub, Mul })
    expect(arithmetic(operatorsOf(half))).toEqual({ Cast: 4, Sub: 2, Mul: 2 })
    await expect(quantized(half, { scheme: 'static' }, data)).rejects.toThrow(
      /already: it has Cast/,
    )
    const { model } = await quantized(half, { scheme: 'static', quantized: 'extend' }, data)
    expect(arithmetic(operatorsOf(model))).toEqual({ Cast: 4, Sub: 2, Mul: 2 })
    expect(operatorsOf(model)).toMatchObject({ Conv: 3, QuantizeLinear: 2 })
    expect(await closeness(model, three())).toBeLessThan(0.05)
  })

  it('is extended by layers with weights in 8 bits', async () => {
    const float = three()
    const part = await quantized(float, { scheme: 'dynamic', exclude: ['second'] })
    const { model } = await quantized(part.model, { scheme: 'dynamic', quantized: 'extend' })
    expect(operatorsOf(model)).toMatchObject({ ConvInteger: 3 })
    expect(await closeness(model, float)).toBeLessThan(0.05)
  })
})

describe('an old opset', () => {
  it('is raised', async () => {
    // BatchNormalization and Clip had other forms then.
    const old = modelOf((g, x) => {
      const [clipped] = g.node('Clip', [named(g, x, [4, 3, 3, 3], 'first')], {
        attributes: {},
      })
      return named(g, clipped!, [5, 4, 3, 3], 'last')
    }, 9)
    const { model } = await quantized(old, { scheme: 'static' }, data)
    expect(model.opsets.get('')).toBe(13)
    expect(await closeness(model, old)).toBeLessThan(0.05)
  })

  it('that cannot be raised is refused', async () => {
    for (const scheme of ['static', 'dynamic'] as const)
      await expect(
        quantized(
          modelOf((g, x) => named(g, x, [4, 3, 3, 3], 'first'), 6),
          { scheme },
          data,
        ),
      ).rejects.toThrow(/^model: the opset is too old to be raised: 6 — export the model again/)
  })
})

describe('nothing to go by', () => {
  it('refuses calibration without samples', async () => {
    await expect(quantized(three(), { scheme: 'static' }, samplesOf(image, 0))).rejects.toThrow(
      UserError,
    )
  })

  it('refuses a selector without a match', async () => {
    await expect(quantized(three(), { scheme: 'dynamic', exclude: ['frist'] })).rejects.toThrow(
      /^exclude: .*frist/,
    )
  })

  it.each(['static', 'dynamic'] as const)('keeps zeros zero: %s', async (scheme) => {
    const zeros = (dims: readonly number[]) =>
      tensorOf('float32', dims, new Float32Array(dims.reduce((a, b) => a * b)))
    const float = modelOf((g, x) =>
      named(g, g.Relu(g.Conv(x, zeros([4, 3, 3, 3]), zeros([4]))), [5, 4, 3, 3], 'last'),
    )
    const { model } = await quantized(float, { scheme }, data)
    const [found, expected] = [
      await runOnce(model, firstSample(data)),
      await runOnce(float, firstSample(data)),
    ]
    // A step of what is zero everywhere is 1, so that of a bias is a step of the weights: a 63rd of the largest, or less.
    const weight = elements(weights([5, 4, 3, 3], 'last.w'), 'float32')
    const step = weight.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 63
    for (const [index, value] of expected.entries())
      expect(Math.abs(found[index]! - value)).toBeLessThanOrEqual(0.51 * step)
  })

  it.each(['uint8', 'int8', 'int16'] as const)('keeps zeros zero in %s', async (activations) => {
    const silent = samplesOf(image, 4, 0)
    const { model } = await quantized(
      modelOf((g, x) => g.Conv(x, weights([4, 3, 3, 3], 'w'))),
      { scheme: 'static', activations, symmetric: 'both' },
      silent,
    )
    const sample = tensorOf('float32', [1, ...image], new Float32Array(243))
    expect(elements(sample, 'float32').every((value) => value === 0)).toBe(true)
    expect((await runOnce(model, sample)).every((value) => value === 0)).toBe(true)
  })
})
