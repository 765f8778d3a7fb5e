// Layers in the branches of If: found, measured, stored and run as those around them.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import type { Dataset } from '../../../data/dataset.ts'
import { storedDataset } from '../../../data/stored-dataset.ts'
import { type Builder, build, newModel } from '../../../onnx/build.ts'
import { allNodes, Graph, type Model, type Value } from '../../../onnx/graph.ts'
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { quantize } from '../../../stages/quantize/index.ts'
import { likenessOf } from '../../../stages/quantize/noise.ts'
import {
  contextOf,
  firstSample,
  quantized,
  samplesOf,
  weights,
} from '../../stages/quantize/support.ts'

/** A model that computes `one(x)` where `way` is 1, else `other(x)`; it reads x `[N, ...shape]` through a Relu. */
function forked(
  shape: readonly number[],
  one: (g: Builder, x: Value) => Value,
  other: (g: Builder, x: Value) => Value,
): Model {
  const { model, g } = newModel('test', 17)
  const x = g.Relu(g.input('x', { dtype: 'float32', shape: ['N', ...shape] }))
  const way = g.input('way', { dtype: 'int64', shape: [] })
  const branch = (name: string, write: typeof one) => {
    const graph = new Graph(name, model.graph)
    graph.outputs.push(write(build(graph), x))
    return graph
  }
  const [y] = g.node('If', [g.Equal(way, tensorOf('int64', [], [1]))], {
    attributes: { then_branch: branch('one', one), else_branch: branch('other', other) },
  })
  g.output('y', y!, { dtype: 'float32' })
  return model
}

/** Random samples that all take the first branch. */
const takingOne = (shape: readonly number[]): Dataset =>
  storedDataset({ ...samplesOf(shape, 16).recipe, inputs: { way: { constant: 1 } } })

async function likeness(float: Model, model: Model, x: Tensor, way: number): Promise<number> {
  const feeds = { x, way: tensorOf('int64', [], [way]) }
  const [before, after] = [
    await withSession(float, {}, (session) => session.run(feeds)),
    await withSession(model, {}, (session) => session.run(feeds)),
  ]
  return likenessOf([before], [after]).get('y')!.cosine
}

function randomTensor(dims: readonly number[]): Tensor {
  const { normal } = random(5, 'x')
  const size = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf(
    'float32',
    dims,
    Float32Array.from({ length: size }, () => normal()),
  )
}

const count = ({ graph }: Model, opType: string): number =>
  [...allNodes(graph)].filter((node) => node.opType === opType).length

const dense =
  (label: string) =>
  (g: Builder, x: Value): Value =>
    g.MatMul(g.Relu(g.MatMul(x, weights([32, 24], `${label}.a`))), weights([24, 8], `${label}.b`))

describe('layers in branches', () => {
  const float = forked([32], dense('one'), dense('other'))
  const data = takingOne([32])
  const x = firstSample(data)

  it('are static integers where samples take the branch, and float where none does', async () => {
    const options = quantize.options.parse({ stage: 'quantize', scheme: 'static' })
    const context = contextOf(float, data)
    const { model } = await quantize.run({ model: float, facts: {} }, options, context)
    expect(context.logs).toContainEqual(
      '2 nodes stay float: they are in branches that no calibration sample takes',
    )
    expect(count(model, 'DequantizeLinear')).toBeGreaterThan(3)
    expect(await likeness(float, model, x, 1)).toBeGreaterThan(0.999)
    expect(await likeness(float, model, x, 0)).toBeGreaterThan(0.999999)
  })

  it.each([
    [{ scheme: 'dynamic' }, 'MatMulInteger'],
    [{ scheme: 'weight-only', bits: 8 }, 'MatMulNBits'],
  ] as const)('are small: %j', async (options, opType) => {
    const { model } = await quantized(float, options, data)
    expect(count(model, opType)).toBe(4)
    for (const way of [0, 1]) expect(await likeness(float, model, x, way)).toBeGreaterThan(0.999)
  })

  it('stay float by the search for mixed precision, which tries them', async () => {
    const options = { scheme: 'static', mixed: { floor: 1, least: 'bytes' } } as const
    await expect(quantized(float, options, data)).resolves.toMatchObject({
      facts: { summary: expect.stringMatching(/with 2 of 2 nodes float/) },
    })
  })
})

describe('weights of the same name in two branches', () => {
  it.each(['qdq', 'matmul-nbits'] as const)('stay two weights as %s', async (form) => {
    const float = forked([32], dense('one'), dense('other'))
    for (const { subgraphs } of float.graph.nodes)
      for (const branch of subgraphs)
        for (const [at, value] of [...branch.initializers].entries()) value.name = `w${at}`
    const { model } = await quantized(float, { scheme: 'weight-only', bits: 8, block: 16, form })
    const x = randomTensor([4, 32])
    expect(await likeness(float, model, x, 1)).toBeGreaterThan(0.999)
    expect(await likeness(float, model, x, 0)).toBeGreaterThan(0.999)
  })
})

describe('an LSTM whose weights are computed in both branches is stored once', () => {
  const hidden = 16
  const recurrent = (g: Builder, x: Value): Value => {
    const matrix = (label: string) => g.Unsqueeze(weights([4 * hidden, 16], label, 0.2), [0])
    const [, last] = g.node('LSTM', [x, matrix('w'), matrix('r')], {
      outputs: 2,
      attributes: { hidden_size: hidden },
    })
    return g.Identity(last!)
  }
  const float = forked([3, 16], recurrent, (g, x) => g.Neg(recurrent(g, x)))

  it.each([
    ['in 8 bits for integers', { scheme: 'dynamic' }, 'DynamicQuantizeLSTM', [16, 64]],
    ['in 8 bits of weights', { scheme: 'weight-only', bits: 8 }, 'LSTM', [64, 16]],
  ] as const)('%s', async (_, options, opType, shape) => {
    const { model } = await quantized(float, options, takingOne([3, 16]))
    expect(count(model, opType)).toBe(2)
    const graphs = [model.graph, ...model.graph.nodes.flatMap(({ subgraphs }) => subgraphs)]
    const stored = graphs.flatMap(({ initializers }) => [...initializers])
    // Signed or unsigned, as the processor takes them.
    const matrices = stored.flatMap(({ tensor }) =>
      /^u?int8$/.test(tensor?.dtype ?? '') && tensor!.size === 16 * 64 ? [tensor!.dims] : [],
    )
    expect(matrices.map((dims) => dims.filter((size) => size > 1))).toEqual([shape, shape])
    for (const way of [0, 1])
      expect(await likeness(float, model, randomTensor([2, 3, 16]), way)).toBeGreaterThan(0.999)
  })
})
