import { describe, expect, it } from '@jest/globals'
import { getFloat16 } from '@petamoriken/float16'
import { build, newModel } from '../../../onnx/build.ts'
import { Graph, type Model } from '../../../onnx/graph.ts'
import { parseModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { halfTensor } from '../../../stages/quantize/float16.ts'
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
    const { tensor, count } = halfTensor(tensorOf('float32', [10], values))
    const third = 0.333251953125
    const tiny = 2 ** -24
    const small = 168 * tiny
    expect(floats(tensor)).toEqual([
      1,
      third,
      65504,
      -65504,
      tiny,
      -tiny,
      0,
      small,
      Infinity,
      -Infinity,
    ])
    expect(count).toBe(2)
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

  it('keeps values that subgraphs read float32', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [4] })
    const doubled = g.Add(x, x)
    const branch = (opType: 'Neg' | 'Abs') => {
      const graph = new Graph(opType, float.graph)
      const inner = build(graph)
      inner.output(`${opType}_y`, inner[opType](doubled), { dtype: 'float32', shape: [4] })
      return graph
    }
    const condition = g.constant(tensorOf('bool', [], [1]))
    const [chosen] = g.node('If', [condition], {
      attributes: { then_branch: branch('Neg'), else_branch: branch('Abs') },
    })
    g.output('y', g.Mul(chosen, chosen), { dtype: 'float32' })
    const { model } = await quantized(float, { scheme: 'float16' })
    expect([...(await runOnce(model, tensorOf('float32', [4], [1, 2, 3, 4])))]).toEqual([
      4, 16, 36, 64,
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

  it('says which weights had to be clamped', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: [2] })
    g.output('y', g.Mul(x, g.constant(tensorOf('float32', [2], [1e6, 1]), 'big')), {
      dtype: 'float32',
    })
    const context = contextOf(float)
    const options = quantize.options.parse({ stage: 'quantize', scheme: 'float16' })
    await quantize.run({ model: float, facts: {} }, options, context)
    expect(context.logs).toEqual([
      "'big' has 1 numbers beyond float16's ±65504, which were clamped",
    ])
  })

  it('keeps what goes beyond float16 on the data float32', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const large = g.Mul(g.Mul(g.Relu(x), 200), 2000)
    g.output('y', g.Relu(g.Mul(large, 1e-6)), { dtype: 'float32' })
    const context = contextOf(float, samplesOf([4]))
    const options = quantize.options.parse({ stage: 'quantize', scheme: 'float16' })
    const { facts, model } = await quantize.run({ model: float, facts: {} }, options, context)
    expect(context.logs).toEqual([
      "2 nodes stay float32, because values beyond float16's ±65504 go through them",
    ])
    expect(facts.summary).toMatch(/^float16: 3 of 5 operators/)
    expect(operatorsOf(model)).toMatchObject({ Cast: 4 })
  })

  it('survives a Transpose of batch axes before MatMul, which ends ONNX Runtime in float16', async () => {
    const { model: float, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 8] })
    const moved = g.Transpose(x, { perm: [1, 0, 2] })
    g.output('y', g.MatMul(moved, weights([8, 4], 'w')), { dtype: 'float32' })
    const { facts } = await quantized(float, { scheme: 'float16' })
    expect(facts.summary).toMatch(/^float16: 1 of 2 operators/)
  })
})
