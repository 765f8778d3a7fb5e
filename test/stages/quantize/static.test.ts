import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { parseModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements, numbers, tensorOf } from '../../../onnx/tensor.ts'
import { reading } from '../../support/samples.ts'
import { interpret } from './definition.ts'
import { firstSample, operatorsOf, quantized, runOnce, samplesOf, weights } from './support.ts'

const image = [3, 9, 9] as const

/** A model of one input and one output, opset 17. */
function modelOf(write: (g: Builder, x: Value) => Value, shape: readonly number[] = image): Model {
  const { model, g } = newModel('test', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  g.output('y', write(g, x), { dtype: 'float32' })
  return model
}

const conv = (g: Builder, x: Value, inputs: number, outputs: number, label: string, group = 1) =>
  g.Conv(
    x,
    weights([outputs, inputs / group, 3, 3], `${label}.w`),
    weights([outputs], `${label}.b`, 1),
    { pads: [1, 1, 1, 1], group },
  )

/** Scale of the last QuantizeLinear or, where the last operator gives float, what a step of its products is worth. */
const stepOf = (model: Model): number => {
  const last = model.graph.nodes.findLast((node) => node.opType === 'QuantizeLinear')!
  return numbers(last.input(1).tensor!)[0]!
}

describe('static quantization', () => {
  it.each<[string, (g: Builder, x: Value) => Value]>([
    ['Conv', (g, x) => conv(g, x, 3, 4, 'a')],
    ['a strided Conv', (g, x) => g.Conv(x, weights([4, 3, 3, 3], 'a'), { strides: [2, 2] })],
    ['depthwise Conv', (g, x) => conv(g, x, 3, 3, 'a', 3)],
    ['Conv and Relu', (g, x) => g.Relu(conv(g, x, 3, 4, 'a'))],
    ['Conv and Clip', (g, x) => g.Clip(conv(g, x, 3, 4, 'a'), 0, 6)],
    ['two Convs', (g, x) => conv(g, g.Relu(conv(g, x, 3, 4, 'a')), 4, 5, 'b')],
    ['Add', (g, x) => conv(g, g.Add(conv(g, x, 3, 4, 'a'), conv(g, x, 3, 4, 'b')), 4, 2, 'c')],
  ])('computes %s as ONNX defines it, within a step', async (_name, write) => {
    const data = samplesOf(image)
    const { model } = await quantized(modelOf(write), { scheme: 'static' }, data)
    const input = firstSample(data)
    const found = await runOnce(model, input)
    const defined = interpret(model, input)
    expect(found.length).toBe(defined.length)
    // One step in the last layer; a step that differs in the first layer moves later ones too.
    const worst = Math.max(...defined.map((value, index) => Math.abs(value - found[index]!)))
    expect(worst).toBeLessThanOrEqual(1.01 * stepOf(model))
  })

  it.each([0, 1])('computes Gemm with transB %p as ONNX defines it, in float', async (transB) => {
    const data = samplesOf([20])
    const dims = transB ? [6, 20] : [20, 6]
    const float = modelOf(
      (g, x) => g.Gemm(x, weights(dims, 'w'), weights([6], 'b'), { transB }),
      [20],
    )
    const { model } = await quantized(float, { scheme: 'static' }, data)
    expect(operatorsOf(model)).toEqual({ QuantizeLinear: 1, DequantizeLinear: 3, Gemm: 1 })
    const found = await runOnce(model, firstSample(data))
    for (const [index, value] of interpret(model, firstSample(data)).entries())
      expect(found[index]).toBeCloseTo(value, 4)
  })

  it.each(['static', 'dynamic'] as const)(
    '%s: layers keep the names that they are known by',
    async (scheme) => {
      const float = modelOf((g, x) => {
        const hidden = g.Conv(x, weights([4, 3, 3, 3], 'a'))
        hidden.name = 'hidden'
        hidden.producer!.name = ''
        const last = g.Conv(g.Relu(hidden), weights([2, 4, 3, 3], 'b'))
        last.producer!.name = 'last'
        return last
      })
      const read = parseModel(serializeModel(float))
      const { model } = await quantized(read, { scheme }, samplesOf(image))
      const convs = model.graph.nodes.filter(({ opType }) => opType.startsWith('Conv'))
      expect(convs.map(({ name }) => name)).toEqual(['hidden', 'last'])
    },
  )

  it('puts everything but the borders into integer kernels', async () => {
    const residual = modelOf((g, x) => {
      const first = g.Relu(conv(g, x, 3, 8, 'a'))
      const sum = g.Relu(g.Add(conv(g, first, 8, 8, 'b'), first))
      const pooled = g.GlobalAveragePool(g.MaxPool(sum, { kernel_shape: [2, 2] }))
      return g.Gemm(g.Flatten(pooled), weights([5, 8], 'w'), weights([5], 'bias'), { transB: 1 })
    })
    const data = samplesOf(image)
    const { model, facts } = await quantized(residual, { scheme: 'static' }, data)
    expect(facts.summary).toMatch(/: 7 of 7 operators in 8 bits; agreement/)
    expect(operatorsOf(model)).not.toHaveProperty('Relu')
    expect(await runOnce(model, firstSample(data))).toHaveLength(5)
  })

  it('keeps names, types and free dimensions of inputs and outputs', async () => {
    const float = modelOf((g, x) => conv(g, x, 3, 4, 'a'))
    const { model } = await quantized(float, { scheme: 'static' }, samplesOf(image))
    const again = parseModel(serializeModel(model))
    expect(again.graph.inputs.map(({ name, type }) => [name, type])).toEqual([
      ['x', { dtype: 'float32', shape: ['N', 3, 9, 9] }],
    ])
    expect(again.graph.outputs.map(({ name, type }) => [name, type?.dtype])).toEqual([
      ['y', 'float32'],
    ])
  })

  it('leaves its input as it was', async () => {
    const float = modelOf((g, x) => g.Relu(conv(g, x, 3, 4, 'a')))
    const before = serializeModel(float)
    await quantized(float, { scheme: 'static' }, samplesOf(image))
    expect(serializeModel(float)).toEqual(before)
  })

  it('gives the same bytes each time', async () => {
    const float = modelOf((g, x) => g.Relu(conv(g, x, 3, 4, 'a')))
    const options = { scheme: 'static', calibration: { method: 'entropy' } } as const
    const [a, b] = [
      await quantized(float, options, samplesOf(image)),
      await quantized(float, options, samplesOf(image)),
    ]
    expect(serializeModel(a.model)).toEqual(serializeModel(b.model))
  })

  it('stores weights as int8 and nothing twice', async () => {
    const float = modelOf((g, x) => conv(g, g.Relu(conv(g, x, 3, 4, 'a')), 4, 4, 'b'))
    const { model } = await quantized(float, { scheme: 'static' }, samplesOf(image))
    const tensors = [...model.graph.initializers].map(({ tensor }) => tensor!)
    expect(tensors.filter(({ dtype, size }) => dtype === 'float32' && size > 4)).toEqual([])
    const contents = tensors.map(({ dtype, dims, bytes }) => `${dtype} ${dims} ${[...bytes]}`)
    expect(new Set(contents).size).toBe(contents.length)
  })

  it('handles channels of zeros whose bias is all they have', async () => {
    const zeros = new Float32Array(4 * 3 * 9)
    zeros.set(elements(weights([2, 3, 3, 3], 'w'), 'float32'))
    const float = modelOf((g, x) =>
      g.Conv(
        x,
        tensorOf('float32', [4, 3, 3, 3], zeros),
        tensorOf('float32', [4], [0.1, 0.2, 3, 0]),
      ),
    )
    const data = samplesOf(image)
    const { model } = await quantized(float, { scheme: 'static' }, data)
    const found = await runOnce(model, firstSample(data))
    const step = stepOf(model)
    const perChannel = found.length / 4
    for (const value of found.subarray(2 * perChannel, 3 * perChannel))
      expect(Math.abs(value - 3)).toBeLessThanOrEqual(0.51 * step)
    for (const value of found.subarray(3 * perChannel)) expect(value).toBe(0)
  })

  it('quantizes per tensor, in 7 bits and with int8 activations when asked', async () => {
    const float = modelOf((g, x) => g.Relu(conv(g, x, 3, 4, 'a')))
    const data = samplesOf(image)
    const options = {
      scheme: 'static',
      perChannel: false,
      weightBits: 7,
      activations: 'int8',
    } as const
    const { model } = await quantized(float, options, data)
    const dtypes = [...model.graph.initializers].map(({ tensor }) => tensor!)
    expect(dtypes.some(({ dtype }) => dtype === 'uint8')).toBe(false)
    const stored = dtypes.find(({ dims }) => dims.length === 4)!
    expect(Math.max(...elements(stored, 'int8').map(Math.abs))).toBe(63)
    const found = await runOnce(model, firstSample(data))
    const defined = interpret(model, firstSample(data))
    const worst = Math.max(...defined.map((value, index) => Math.abs(value - found[index]!)))
    expect(worst).toBeLessThanOrEqual(1.01 * stepOf(model))
  })

  it.each<[string, (g: Builder, x: Value) => Value]>([
    ['Conv', (g, x) => conv(g, x, 4, 4, 'float')],
    ['depthwise Conv and Relu', (g, x) => g.Relu(conv(g, x, 4, 4, 'float', 4))],
    ['ConvTranspose', (g, x) => g.ConvTranspose(x, weights([4, 4, 2, 2], 'float'))],
  ])('leaves an excluded %s between integers float in ONNX Runtime, too', async (name, write) => {
    const float = modelOf((g, x) => {
      const middle = write(g, conv(g, x, 3, 4, 'a'))
      for (const node of g.graph.nodes.slice(1)) if (/^Conv/.test(node.opType)) node.name = 'middle'
      return conv(g, middle, 4, 5, 'b')
    })
    const { facts } = await quantized(
      float,
      { scheme: 'static', exclude: ['middle'] },
      samplesOf(image),
    )
    const opType = name.includes('Transpose') ? 'ConvTranspose' : 'Conv'
    expect(facts.summary).toMatch(
      new RegExp(`: 2 of \\d operators in 8 bits \\(float: ${opType} 1\\)`),
    )
  })

  it('folds BatchNormalization and makes a convolution of one that cannot be folded', async () => {
    const float = modelOf((g, x) => {
      const parameters = ['s', 'b', 'm'].map((label) => weights([4], label))
      const variance = tensorOf('float32', [4], [1, 2, 0.5, 1])
      const activated = g.Relu(conv(g, x, 3, 4, 'a'))
      const normalized = g.BatchNormalization(activated, ...parameters, variance)
      return conv(g, g.Relu(normalized), 4, 4, 'c')
    })
    const { model, facts } = await quantized(float, { scheme: 'static' }, samplesOf(image))
    expect(operatorsOf(model)).toMatchObject({ Conv: 3 })
    expect(facts.summary).toMatch(/3 of 3 operators/)
  })

  it('puts an activation that is used twice through a kernel of its own', async () => {
    const float = modelOf((g, x) => {
      const sum = conv(g, x, 3, 4, 'a')
      const activated = conv(g, g.Relu(sum), 4, 4, 'b')
      return conv(g, g.Add(activated, sum), 4, 2, 'c')
    })
    const { facts } = await quantized(float, { scheme: 'static' }, samplesOf(image))
    expect(facts.summary).toMatch(/5 of 5 operators/)
  })

  it('takes bias additions, sums and moved activations into its kernels', async () => {
    const float = modelOf((g, x) => {
      const biased = g.Add(g.Conv(x, weights([4, 3, 3, 3], 'a')), weights([4, 1, 1], 'bias'))
      const [sum] = g.node('Sum', [
        g.Relu(g.MaxPool(biased, { kernel_shape: [2, 2] })),
        biased2(g, x),
      ])
      const flat = g.Flatten(sum!)
      return g.Add(g.MatMul(flat, weights([144, 5], 'm')), weights([5], 'n'))
    })
    const { model, facts } = await quantized(float, { scheme: 'static' }, samplesOf(image))
    expect(operatorsOf(model)).toMatchObject({ Conv: 2, Gemm: 1, Add: 1 })
    expect(facts.summary).not.toMatch(/float/)
  })

  it('leaves excluded nodes float', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...image] })
    const first = g.node('Conv', [x, weights([4, 3, 3, 3], 'a')], { name: 'first' })[0]!
    const second = g.node('Conv', [g.Relu(first), weights([4, 4, 3, 3], 'b')], {
      name: 'second',
    })[0]!
    g.output('y', second, { dtype: 'float32' })
    const { model } = await quantized(
      float,
      { scheme: 'static', exclude: ['first'] },
      samplesOf(image),
    )
    const node = model.graph.nodes.find(({ name }) => name === 'first')!
    expect(node.input(1).tensor?.dtype).toBe('float32')
    expect(operatorsOf(model)).toMatchObject({ Conv: 2, Relu: 1 })
    await expect(
      quantized(float, { scheme: 'static', exclude: ['third'] }, samplesOf(image)),
    ).rejects.toThrow("exclude: matches no layer: 'third'")
  })

  it('measures a model with a fixed batch and an odd number of samples', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [4, ...image] })
    g.output('y', conv(g, x, 3, 4, 'a'), { dtype: 'float32' })
    const { facts } = await quantized(float, { scheme: 'static' }, samplesOf(image, 7))
    expect(facts.summary).toMatch(/over 7 samples/)
  })
})

const biased2 = (g: Builder, x: Value) =>
  g.MaxPool(g.Conv(x, weights([4, 3, 3, 3], 'second')), { kernel_shape: [2, 2] })

describe('what cannot be quantized is refused', () => {
  const float = modelOf((g, x) => conv(g, x, 3, 4, 'a'))

  it('with data that is not finite', async () => {
    const data = samplesOf(image)
    const poisoned = reading(data, (_index, into, at) => void into.fill(Number.NaN, at))
    await expect(quantized(float, { scheme: 'static' }, poisoned)).rejects.toThrow(UserError)
    await expect(quantized(float, { scheme: 'static' }, poisoned)).rejects.toThrow(/not finite/)
  })

  it('with data of another shape', async () => {
    await expect(quantized(float, { scheme: 'static' }, samplesOf([3, 8, 8]))).rejects.toThrow(
      /does not fit the data/,
    )
  })

  it('when there are no layers, or no more', async () => {
    const none = modelOf((g, x) => g.Relu(x))
    for (const scheme of ['static', 'dynamic'] as const)
      await expect(quantized(none, { scheme }, samplesOf(image))).rejects.toThrow(
        /nothing to quantize/,
      )
    await expect(
      quantized(float, { scheme: 'static', exclude: ['op:Conv'] }, samplesOf(image)),
    ).rejects.toThrow(/nothing to quantize/)
  })

  it('when it is quantized already', async () => {
    const { model } = await quantized(float, { scheme: 'static' }, samplesOf(image))
    await expect(quantized(model, { scheme: 'dynamic' })).rejects.toThrow(/quantized already/)
  })

  it('when the result is noise', async () => {
    const classifier = modelOf(
      (g, x) => g.Gemm(g.Relu(g.Gemm(x, weights([20, 20], 'w'))), weights([20, 50], 'v')),
      [20],
    )
    const data = samplesOf([20])
    const misleading = reading(data, (index, into, offset) => {
      data.read(index, 0, into, offset)
      // Calibrated on this one alone, nothing else has room.
      if (index === 0) for (let place = 0; place < 20; place++) into[offset + place] = 1e-6
    })
    await expect(
      quantized(classifier, { scheme: 'static', calibration: { samples: 1 } }, misleading),
    ).rejects.toThrow(/^model: the result is noise: agreement with the input model 0\.\d+ — /)
  })
})
