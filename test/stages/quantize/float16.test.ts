import { describe, expect, it } from '@jest/globals'
import { getFloat16 } from '@petamoriken/float16'
import { build, newModel } from '../../../onnx/build.ts'
import { Graph, type Model } from '../../../onnx/graph.ts'
import { parseModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { countBeyond, halfTensor } from '../../../stages/quantize/float16.ts'
import { quantize } from '../../../stages/quantize/index.ts'
import {
  contextOf,
  firstSample,
  operatorsOf,
  quantized,
  runOnce,
  samplesOf,
  weights,
} from './support.ts'

const floats = ({ bytes }: Tensor): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / 2 }, (_, index) => getFloat16(view, 2 * index, true))
}

describe('halfTensor', () => {
  it('rounds to nearest, clamps what is too large and keeps what is small from becoming zero', () => {
    const values = [1, 1 / 3, 1e5, -7e4, 1e-9, -1e-9, 0, 1e-5, Infinity, -Infinity]
    const float = tensorOf('float32', [10], values)
    const tiny = 2 ** -24
    const expected = [1, 0.333251953125, 65504, -65504, tiny, -tiny, 0, 168 * tiny]
    expect(floats(halfTensor(float))).toEqual([...expected, Infinity, -Infinity])
    expect(countBeyond(float)).toBe(2)
  })
})

function classifier(): Model {
  const { model, g } = newModel('test', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 9, 9] })
  const features = g.Relu(g.Conv(x, weights([4, 3, 3, 3], 'w'), weights([4], 'b')))
  const [logits] = g.node(
    'Gemm',
    [g.Flatten(g.GlobalAveragePool(features)), weights([4, 5], 'v')],
    {
      name: 'classify',
    },
  )
  g.output('y', g.Softmax(logits), { dtype: 'float32' })
  return model
}

describe('float16', () => {
  const data = samplesOf([3, 9, 9])

  it('halves the weights and keeps inputs and outputs float32', async () => {
    const float = classifier()
    const { model, facts } = await quantized(float, { scheme: 'float16' }, data)
    const again = parseModel(serializeModel(model))
    expect([...again.graph.initializers].map(({ tensor }) => tensor?.dtype)).toEqual(
      Array(3).fill('float16'),
    )
    expect(again.graph.inputs[0]?.type?.dtype).toBe('float32')
    expect(again.graph.outputs[0]?.type?.dtype).toBe('float32')
    expect(operatorsOf(again)).toMatchObject({ Cast: 2 })
    expect(facts.summary).toMatch(/^float16: 6 of 6 operators; agreement 1.000/)
    const [found, expected] = [
      await runOnce(again, firstSample(data)),
      await runOnce(float, firstSample(data)),
    ]
    for (const [index, value] of expected.entries()) expect(found[index]).toBeCloseTo(value, 2)
  })

  it('casts around excluded nodes, and stores what both sides use twice', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const shared = g.constant(weights([4, 4], 'shared'))
    const [first] = g.node('MatMul', [x, shared], { name: 'first' })
    const [second] = g.node('MatMul', [g.Relu(first), shared], { name: 'second' })
    g.output('y', g.Add(second, first), { dtype: 'float32' })
    const { model, facts } = await quantized(float, { scheme: 'float16', exclude: ['second'] })
    expect(facts.summary).toMatch(/^float16: 3 of 4 operators/)
    expect([...model.graph.initializers].map(({ tensor }) => tensor?.dtype).sort()).toEqual([
      'float16',
      'float32',
    ])
  })

  it('computes in float16 inside the branches of If, which take and give float32', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [4] })
    const doubled = g.Add(x, x)
    const branch = (opType: 'Neg' | 'Abs') => {
      const graph = new Graph(opType, float.graph)
      const inner = build(graph)
      const own = inner.Mul(inner[opType](doubled), weights([4], opType))
      inner.output(`${opType}_y`, inner.Add(own, x), { dtype: 'float32', shape: [4] })
      return graph
    }
    const [chosen] = g.node('If', [g.Greater(g.ReduceSum(x, { keepdims: 0 }), 0)], {
      attributes: { then_branch: branch('Neg'), else_branch: branch('Abs') },
    })
    g.output('y', g.Mul(chosen, chosen), { dtype: 'float32' })
    const { model, facts } = await quantized(float, { scheme: 'float16' })
    expect(facts.summary).toMatch(/^float16: 10 of 11 operators/)
    const bodies = model.graph.nodes.flatMap((node) => node.subgraphs)
    for (const body of bodies) {
      expect([...body.initializers].map(({ tensor }) => tensor?.dtype)).toEqual(['float16'])
      expect(body.outputs[0]?.producer?.opType).toBe('Cast')
    }
    for (const values of [
      [1, 2, 3, 4],
      [-1, -2, -3, 1],
    ]) {
      const input = tensorOf('float32', [4], values)
      const [found, expected] = [await runOnce(model, input), await runOnce(float, input)]
      for (const [index, value] of expected.entries()) expect(found[index]).toBeCloseTo(value, 1)
    }
  })

  it('computes in float16 inside the body of Loop and keeps what it carries float32', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [2] })
    const body = new Graph('body', float.graph)
    const inner = build(body)
    inner.input('round', { dtype: 'int64', shape: [] })
    const go = inner.input('go', { dtype: 'bool', shape: [] })
    const carried = inner.input('carried', { dtype: 'float32', shape: [2] })
    inner.output('go_on', inner.Identity(go), { dtype: 'bool', shape: [] })
    inner.output('next', inner.Mul(carried, inner.Add(x, 0.5)), { dtype: 'float32', shape: [2] })
    const rounds = g.constant(tensorOf('int64', [], [3]))
    const [last] = g.node('Loop', [rounds, g.constant(tensorOf('bool', [], [1])), x], {
      attributes: { body },
    })
    g.output('y', last!, { dtype: 'float32', shape: [2] })
    const { model, facts } = await quantized(float, { scheme: 'float16' })
    expect(facts.summary).toMatch(/^float16: 2 of 3 operators/)
    expect([...(await runOnce(model, tensorOf('float32', [2], [0.5, 1])))]).toEqual([0.5, 3.375])
  })

  it('leaves a value of float32 that a node outside and a node in a branch share to each', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [4] })
    const scaled = g.Mul(x, weights([4], 'w'))
    const branch = (opType: 'Neg' | 'Abs') => {
      const graph = new Graph(opType, float.graph)
      const inner = build(graph)
      const [kept] = inner.node(opType, [scaled], { name: `kept_${opType}` })
      inner.output(`${opType}_y`, kept!, { dtype: 'float32', shape: [4] })
      return graph
    }
    const [chosen] = g.node('If', [g.Greater(g.ReduceSum(x, { keepdims: 0 }), 0)], {
      attributes: { then_branch: branch('Neg'), else_branch: branch('Abs') },
    })
    g.output('y', g.Add(chosen, scaled), { dtype: 'float32' })
    const { model } = await quantized(float, { scheme: 'float16', exclude: ['kept_*'] })
    expect([...(await runOnce(model, tensorOf('float32', [4], [1, 2, 3, 4])))]).toEqual([
      0, 0, 0, 0,
    ])
  })

  it('keeps the scales of Resize float32', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [1, 1, 2, 2] })
    const scales = g.constant(tensorOf('float32', [4], [1, 1, 2, 2]))
    g.output('y', g.Relu(g.Resize(x, undefined, scales, { mode: 'nearest' })), { dtype: 'float32' })
    const { model } = await quantized(float, { scheme: 'float16' })
    expect([...model.graph.initializers].map(({ tensor }) => tensor?.dtype)).toEqual(['float32'])
  })

  it.each([
    ['clamps a bound', 'Add', "'big' has 1 numbers beyond float16's ±65504, which were clamped", 2],
    [
      'keeps a factor',
      'Mul',
      "'big' has 1 numbers beyond float16's ±65504: its nodes stay float32",
      1,
    ],
  ] as const)('%s beyond float16 and says so', async (_name, opType, message, half) => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [2] })
    const big = g.constant(tensorOf('float32', [2], [1e6, 1]), 'big')
    g.output('y', g.Sigmoid(g[opType](x, big)), { dtype: 'float32' })
    const context = contextOf(float)
    const options = quantize.options.parse({ stage: 'quantize', scheme: 'float16' })
    const { facts } = await quantize.run({ model: float, facts: {} }, options, context)
    expect(context.logs).toContain(message)
    expect(facts.summary).toMatch(new RegExp(`^float16: ${half} of 2 operators`))
  })

  it.each([
    [undefined, 3, 4, 'values beyond ±32752 go through them (float16 ends at ±65504)'],
    [100, 2, 4, 'values beyond ±100 go through them (float16 ends at ±65504)'],
  ])(
    'keeps what goes beyond a limit (%p) on the data float32',
    async (largest, half, casts, text) => {
      const { model: float, g } = newModel('test', 17)
      const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
      const large = g.Mul(g.Mul(g.Relu(x), 200), 2000)
      g.output('y', g.Relu(g.Mul(large, 1e-6)), { dtype: 'float32' })
      const context = contextOf(float, samplesOf([4]))
      const given = { stage: 'quantize', scheme: 'float16', ...(largest && { largest }) }
      const options = quantize.options.parse(given)
      const { facts, model } = await quantize.run({ model: float, facts: {} }, options, context)
      expect(context.logs[0]).toContain(text)
      expect(facts.summary).toMatch(new RegExp(`^float16: ${half} of 5 operators`))
      expect(operatorsOf(model)).toMatchObject({ Cast: casts })
    },
  )

  it('makes inputs and outputs float16 too where asked, with Casts for excluded nodes', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const [first] = g.node('MatMul', [x, weights([4, 4], 'v')], { name: 'first' })
    const [second] = g.node('MatMul', [g.Add(first, x), weights([4, 4], 'w')], { name: 'second' })
    g.output('middle', first!, { dtype: 'float32' })
    g.output('y', second!, { dtype: 'float32' })
    const rows: [string[], number][] = [
      [[], 0],
      [['first'], 2],
      [['second'], 2],
    ]
    for (const [exclude, casts] of rows) {
      const options = { scheme: 'float16', keepTypes: false, exclude } as const
      const { model, facts } = await quantized(float, options)
      const { inputs, outputs } = model.graph
      expect([...inputs, ...outputs].map(({ name, type }) => [name, type?.dtype])).toEqual([
        ['x', 'float16'],
        ['middle', 'float16'],
        ['y', 'float16'],
      ])
      expect(operatorsOf(model)).toMatchObject({
        Add: 1,
        MatMul: 2,
        ...(casts > 0 && { Cast: casts }),
      })
      expect(facts.summary).toMatch(/; cosine 1.0000/)
    }
  })

  it('refuses a model that is float16 already, keeps it, or converts the rest, as asked', async () => {
    const { model } = await quantized(classifier(), { scheme: 'float16', exclude: ['classify'] })
    await expect(quantized(model, { scheme: 'float16' })).rejects.toThrow(
      /^model: it is float16 already: '\w+' — quantize the float32 model, or set 'quantized' to keep this one or extend it$/,
    )
    const kept = await quantized(model, { scheme: 'float16', quantized: 'keep' })
    expect(kept.model).toBe(model)
    const { facts } = await quantized(model, { scheme: 'float16', quantized: 'extend' })
    expect(facts.summary).toMatch(/^float16: 1 of /)
  })

  it.each(['float16', 'bfloat16', 'float8'] as const)(
    '%s refuses constants with NaN',
    async (scheme) => {
      const { model: float, g } = newModel('test', 19)
      const x = g.input('x', { dtype: 'float32', shape: [2] })
      const broken = tensorOf('float32', [2], [NaN, 1])
      g.output('y', g.Add(x, g.constant(broken, 'broken')), { dtype: 'float32' })
      await expect(quantized(float, { scheme })).rejects.toThrow(
        "model: the constant 'broken' has NaN: 1 of 2 numbers — repair the model, or exclude the nodes that use it",
      )
    },
  )

  it('survives a Transpose of batch axes before MatMul, which ends ONNX Runtime in float16', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 8] })
    const moved = g.Transpose(x, { perm: [1, 0, 2] })
    g.output('y', g.MatMul(moved, weights([8, 4], 'w')), { dtype: 'float32' })
    const { facts } = await quantized(float, { scheme: 'float16' })
    expect(facts.summary).toMatch(/^float16: 1 of 2 operators/)
  })
})
