// The forms in which integers can be stored: types, zero points, one scale or many, with pairs or as operators.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, numbers } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { writeIntegerOperators } from '../../../stages/quantize/qoperator.ts'
import { interpret } from '../../stages/quantize/definition.ts'
import {
  firstSample,
  operatorsOf,
  quantized,
  runOnce,
  samplesOf,
  weights,
} from '../../stages/quantize/support.ts'
import { modelOf, topologies } from './topologies.ts'

const image = [3, 9, 9] as const

const conv = (g: Builder, x: Value, inputs: number, outputs: number, label: string) =>
  g.Conv(x, weights([outputs, inputs, 3, 3], `${label}.w`), weights([outputs], `${label}.b`, 1))

/** Two convolutions and what is between them. */
function network(opset = 17): Model {
  const { model, g } = newModel('test', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...image] })
  g.output('y', conv(g, g.Relu(conv(g, x, 3, 4, 'a')), 4, 5, 'b'), { dtype: 'float32' })
  return model
}

/** What a step of the last QuantizeLinear is worth. */
const stepOf = ({ graph }: Model): number =>
  numbers(graph.nodes.findLast(({ opType }) => opType === 'QuantizeLinear')!.input(1).tensor!)[0]!

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, index) => Math.abs(value - b[index]!)).reduce((x, y) => Math.max(x, y), 0)

const data = samplesOf(image)
const input = firstSample(data)

describe('static quantization of integers', () => {
  it.each([
    { activations: 'uint8', weights: 'int8', symmetric: 'none' },
    { activations: 'uint8', weights: 'uint8', symmetric: 'weights' },
    { activations: 'uint8', weights: 'uint8', symmetric: 'none', perChannel: false },
    { activations: 'uint8', weights: 'int8', symmetric: 'none', weightBits: 7 },
    { activations: 'uint8', weights: 'int8', symmetric: 'both' },
    { activations: 'int8', weights: 'int8', symmetric: 'both' },
    { activations: 'int8', weights: 'uint8', symmetric: 'activations' },
    { activations: 'uint16', weights: 'int8', symmetric: 'weights' },
    { activations: 'int16', weights: 'int8', symmetric: 'both', perChannel: false },
    { activations: 'int16', weights: 'uint8', symmetric: 'weights' },
  ] as const)('computes as ONNX defines it, within a step: %j', async (options) => {
    const { model } = await quantized(network(), { scheme: 'static', ...options }, data)
    const found = await runOnce(model, input)
    expect(worst(interpret(model, input), found)).toBeLessThanOrEqual(1.01 * stepOf(model))
    const range = Math.max(...found) - Math.min(...found)
    expect(worst(await runOnce(network(), input), found)).toBeLessThan(0.05 * range)

    const { graph } = model
    const quantizers = graph.nodes.filter(({ opType }) => opType === 'QuantizeLinear')
    const zeros = quantizers.map((node) => node.input(2).tensor!)
    expect(new Set(zeros.map(({ dtype }) => dtype))).toEqual(new Set([options.activations]))
    if (options.symmetric === 'both' || options.symmetric === 'activations') {
      const middle = options.activations === 'uint8' ? 128 : 0
      expect(zeros.flatMap(numbers)).toEqual(zeros.map(() => middle))
    }
    for (const node of graph.nodes.filter(({ opType }) => opType === 'Conv')) {
      const [stored, scales, points] = node.input(1).producer!.inputs.map((value) => value!.tensor!)
      expect(stored!.dtype).toBe(options.weights)
      expect(scales!.dims).toEqual(
        'perChannel' in options && !options.perChannel
          ? []
          : [node.input(1).producer!.input(0).tensor!.dims[0]],
      )
      const middle = options.weights === 'uint8' ? 128 : 0
      const isSymmetric = options.symmetric === 'weights' || options.symmetric === 'both'
      expect(numbers(points!).every((point) => point === middle)).toBe(isSymmetric)
      if ('weightBits' in options)
        expect(Math.max(...numbers(stored!).map(Math.abs))).toBeLessThanOrEqual(64)
    }
  })

  it('keeps a Relu that symmetric activations cannot stand for', async () => {
    const asymmetric = await quantized(network(), { scheme: 'static' }, data)
    expect(operatorsOf(asymmetric.model)).not.toHaveProperty('LeakyRelu')
    const symmetric = await quantized(network(), { scheme: 'static', symmetric: 'both' }, data)
    expect(operatorsOf(symmetric.model)).toMatchObject({ LeakyRelu: 1 })
  })

  it.each([
    [17, 'com.microsoft'],
    [21, ''],
  ])('writes 16 bits into opset %p in the domain %j', async (opset, domain) => {
    const options = { scheme: 'static', activations: 'int16' } as const
    const { model, facts } = await quantized(network(opset), options, data)
    const nodes = model.graph.nodes.filter(({ opType }) => opType === 'QuantizeLinear')
    expect(new Set(nodes.map((node) => node.domain))).toEqual(new Set([domain]))
    expect(model.opsets.get('')).toBe(opset)
    expect(facts.summary).toMatch(
      /2 layers with weights in 8 bits and activations in int16, computed in float/,
    )
    await withSession(model, { provider: 'wasm' }, async (session) => {
      const { y } = await session.run({ x: input })
      expect(worst(elements(y!, 'float32'), await runOnce(model, input))).toBeLessThan(1e-3)
    })
  })
})

/** Those whose operators have a kernel of their own for signed integers. */
const signed = [
  'Convs into Concat, Conv',
  'Conv, AveragePool, Conv',
  'Conv, Sigmoid and Mul, Conv',
  'Conv, LeakyRelu, Conv',
  'Conv, Add of a constant image, Conv',
  'Gemm, Clip, Gemm',
]

describe('the form with integer operators', () => {
  it.each(signed.flatMap((name) => [[name, 'uint8'] as const, [name, 'int8'] as const]))(
    'of %s in %s means what the pairs mean, in WebAssembly, too',
    async (name, activations) => {
      const topology = topologies[name]!
      const samples = samplesOf(topology.shape, 4)
      const options = { scheme: 'static', activations } as const
      const pairs = await quantized(modelOf(topology), options, samples)
      const model = cloneModel(pairs.model)
      writeIntegerOperators(model)
      const sample = firstSample(samples)
      const expected = interpret(pairs.model, sample)
      const step = (Math.max(...expected) - Math.min(...expected)) / 255
      expect(worst(expected, await runOnce(model, sample))).toBeLessThanOrEqual(1.01 * step)
      await withSession(model, { provider: 'wasm' }, async (session) => {
        const { y } = await session.run({ x: sample })
        expect(worst(expected, elements(y!, 'float32'))).toBeLessThanOrEqual(1.01 * step)
      })
    },
  )

  it('is what the stage writes when asked', async () => {
    const options = { scheme: 'static', format: 'qoperator' } as const
    const { model, facts } = await quantized(network(), options, data)
    expect(operatorsOf(model)).toEqual({ QuantizeLinear: 1, QLinearConv: 2, DequantizeLinear: 1 })
    expect(facts.summary).toMatch(/: 2 of 2 operators in 8 bits/)
  })

  it('declares the domain of the operators that it writes', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 10] })
    g.output('y', g.Gemm(x, weights([10, 4], 'w')), { dtype: 'float32' })
    const options = { scheme: 'static', format: 'qoperator' } as const
    const { model } = await quantized(float, options, samplesOf([10]))
    expect(model.opsets.get('com.microsoft')).toBe(1)
    expect(operatorsOf(model)).toEqual({ QuantizeLinear: 1, QGemm: 1 })
  })
})
