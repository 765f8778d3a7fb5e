// The forms in which integers can be stored: types, zero points, one scale or many, with pairs or as operators.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, numbers, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { writeIntegerOperators } from '../../../stages/quantize/qoperator.ts'
import {
  firstSample,
  interpret,
  operatorsOf,
  quantized,
  runOnce,
  samplesOf,
  weights,
} from '../../stages/quantize/support.ts'

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

/** A model of one input and one output, as onnxruntime's tests of quantization have it for an operator. */
interface Topology {
  readonly shape: readonly number[]
  write(g: Builder, x: Value): Value
  /** Operators of the form with integer operators. */
  readonly operators: Readonly<Record<string, number>>
}

const pointwise = (g: Builder, x: Value, channels: number, label: string) =>
  g.Conv(x, weights([channels, channels, 1, 1], label))

const between = (
  middle: (g: Builder, x: Value) => Value,
  operators: Topology['operators'],
): Topology => ({
  shape: [4, 8, 8],
  write: (g, x) => g.Softmax(g.Flatten(pointwise(g, middle(g, pointwise(g, x, 4, 'a')), 4, 'b'))),
  operators: {
    QuantizeLinear: 1,
    QLinearConv: 2,
    DequantizeLinear: 1,
    Flatten: 1,
    Softmax: 1,
    ...operators,
  },
})

const matrices = (
  middle: (g: Builder, x: Value) => Value,
  operators: Topology['operators'],
): Topology => ({
  shape: [6, 10],
  write: (g, x) => g.MatMul(middle(g, g.MatMul(x, weights([10, 10], 'a'))), weights([10, 5], 'b')),
  operators: { QuantizeLinear: 1, QLinearMatMul: 1, MatMulIntegerToFloat: 1, ...operators },
})

const topologies: Readonly<Record<string, Topology>> = {
  'Gemm, Clip, Gemm': {
    shape: [10],
    write: (g, x) =>
      g.Gemm(
        g.Clip(g.Gemm(x, weights([10, 12], 'a'), weights([12], 'c')), 0, 6),
        weights([5, 12], 'b'),
        weights([5], 'd'),
        { transB: 1 },
      ),
    operators: { QuantizeLinear: 1, QGemm: 2 },
  },
  'MatMul, MatMul': matrices((_g, x) => x, {}),
  'MatMul, Transpose, MatMul': {
    shape: [10, 10],
    write: (g, x) =>
      g.MatMul(
        g.Transpose(g.MatMul(x, weights([10, 10], 'a')), { perm: [0, 2, 1] }),
        weights([10, 5], 'b'),
      ),
    operators: { QuantizeLinear: 1, QLinearMatMul: 1, Transpose: 1, MatMulIntegerToFloat: 1 },
  },
  'MatMul, Reshape, MatMul': matrices((g, x) => g.Reshape(x, [0, -1, 10]), { Reshape: 1 }),
  'Convs into Concat': {
    shape: [4, 8, 8],
    write: (g, x) =>
      g.Conv(
        g.Concat(pointwise(g, x, 4, 'a'), pointwise(g, x, 4, 'b'), pointwise(g, x, 4, 'c'), {
          axis: 1,
        }),
        weights([3, 12, 3, 3], 'd'),
      ),
    operators: { QuantizeLinear: 1, QLinearConv: 4, QLinearConcat: 1, DequantizeLinear: 1 },
  },
  'Conv, Relu, Conv': between((g, x) => g.Relu(x), {}),
  'Conv, MaxPool, Conv': between((g, x) => g.MaxPool(x, { kernel_shape: [2, 2] }), { MaxPool: 1 }),
  'Conv, AveragePool, Conv': between(
    (g, x) => g.AveragePool(x, { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
    { QLinearAveragePool: 1 },
  ),
  'Conv, GlobalAveragePool, Conv': between((g, x) => g.GlobalAveragePool(x), {
    QLinearGlobalAveragePool: 1,
  }),
  'Conv, Resize, Conv': between(
    (g, x) => g.Resize(x, undefined, tensorOf('float32', [4], [1, 1, 2, 2]), { mode: 'nearest' }),
    { Resize: 1 },
  ),
  'Conv, Split, Concat, Conv': between(
    (g, x) => {
      const [first, second] = g.node('Split', [x, [1, 3]], { outputs: 2, attributes: { axis: 1 } })
      return g.Concat(second, first, { axis: 1 })
    },
    { Split: 1, QLinearConcat: 1 },
  ),
  'Conv, Squeeze, Unsqueeze, Conv': between((g, x) => g.Squeeze(g.Unsqueeze(x, [2]), [2]), {
    Squeeze: 1,
    Unsqueeze: 1,
  }),
  'Conv, Slice, Conv': between((g, x) => g.Slice(x, [1], [7], [2]), { Slice: 1 }),
  'Conv, Tile, Conv': between((g, x) => g.node('Tile', [x, [1, 1, 2, 1]])[0]!, { Tile: 1 }),
  'Conv, Gather, Conv': between((g, x) => g.Gather(x, [3, 2, 1, 0], { axis: 1 }), { Gather: 1 }),
  'Conv, Sigmoid and Mul, Conv': between((g, x) => g.Mul(x, g.Sigmoid(x)), {
    QLinearSigmoid: 1,
    QLinearMul: 1,
  }),
  'Conv, LeakyRelu, Conv': between((g, x) => g.LeakyRelu(x, { alpha: 0.1 }), {
    QLinearLeakyRelu: 1,
  }),
  'Conv, Add of a constant image, Conv': between((g, x) => g.Add(x, weights([4, 8, 8], 'map')), {
    QLinearAdd: 1,
  }),
  'Conv, Pad, Conv': between((g, x) => g.Pad(x, [0, 0, 1, 1, 0, 0, 1, 1]), {
    QuantizeLinear: 2,
    DequantizeLinear: 2,
    Pad: 1,
  }),
  'Conv, Softmax, Conv': between((g, x) => g.Softmax(x, { axis: 1 }), {
    QuantizeLinear: 2,
    DequantizeLinear: 2,
    Softmax: 2,
  }),
}

/** Those whose operators have a kernel of their own for signed integers. */
const signed = [
  'Convs into Concat',
  'Conv, AveragePool, Conv',
  'Conv, Sigmoid and Mul, Conv',
  'Conv, LeakyRelu, Conv',
  'Conv, Add of a constant image, Conv',
  'Gemm, Clip, Gemm',
]

describe('the form with integer operators', () => {
  it.each(
    Object.entries(topologies).flatMap(([name, topology]) =>
      (signed.includes(name) ? (['uint8', 'int8'] as const) : (['uint8'] as const)).map(
        (activations) => [name, activations, topology] as const,
      ),
    ),
  )('of %s in %s means what the pairs mean', async (name, activations, topology) => {
    const { shape, write, operators } = topology
    const { model: float, g } = newModel('test', 17)
    g.output('y', write(g, g.input('x', { dtype: 'float32', shape: ['N', ...shape] })), {
      dtype: 'float32',
    })
    const samples = samplesOf(shape, 4)
    const pairs = await quantized(float, { scheme: 'static', activations }, samples)
    const model = cloneModel(pairs.model)
    writeIntegerOperators(model)
    expect(operatorsOf(model)).toEqual(operators)
    const sample = firstSample(samples)
    const expected = await runOnce(pairs.model, sample)
    const found = await runOnce(model, sample)
    const extent = Math.max(...expected) - Math.min(...expected)
    // A step of 255; where an operator behind has rounded it away there is none.
    expect(worst(expected, found)).toBeLessThanOrEqual((1.01 * extent) / 255)
    if (!signed.includes(name)) return
    await withSession(model, { provider: 'wasm' }, async (session) => {
      const { y } = await session.run({ x: sample })
      expect(worst(elements(y!, 'float32'), found)).toBeLessThanOrEqual((1.01 * extent) / 255)
    })
  })

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
