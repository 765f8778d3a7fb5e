// The cases of onnxruntime's own tests of quantization, by topology: what each becomes in 8 bits, and that ONNX Runtime
// computes it as ONNX defines it.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { type Attributes, type Builder, build, newModel } from '../../../onnx/build.ts'
import { allNodes, Graph, type Model, type Value } from '../../../onnx/graph.ts'
import { loadModel } from '../../../onnx/load.ts'
import { saveModel, serializeModel } from '../../../onnx/save.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { countKernels } from '../../../stages/quantize/kernels.ts'
import { interpret } from '../../stages/quantize/definition.ts'
import {
  firstSample,
  quantized,
  runOnce,
  samplesOf,
  weights,
} from '../../stages/quantize/support.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { modelOf, type Topology, topologies } from './topologies.ts'

const folder = temporaryFolder()

/** Opens what a topology is about. */
async function open(topology: Topology) {
  const float = modelOf(topology)
  const data = samplesOf(topology.shape, 16)
  const input = firstSample(data)
  return { float, data, input, expected: await runOnce(float, input) }
}

/** The largest difference, in steps of 255 between the ends of what is expected. */
function stepsBetween(found: ArrayLike<number>, expected: readonly number[]): number {
  const step = (Math.max(...expected) - Math.min(...expected)) / 255
  const apart = expected.map((value, index) => Math.abs(value - found[index]!))
  expect(found).toHaveLength(expected.length)
  return Math.max(...apart) / step
}

function cosineOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const product = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x, (value, index) => value * y[index]!).reduce((sum, each) => sum + each, 0)
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b))
}

/** Operators that only change how numbers are stored. */
const conversions = ['QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear', 'Cast']

const operatorsIn = ({ graph }: Model): string[] =>
  graph.nodes.map(({ opType }) => opType).filter((opType) => !conversions.includes(opType))

const rows = Object.entries(topologies)

/** One wrong choice of the best among four is a large step. */
const leastCosine = (name: string) => (name.includes('ArgMax') ? 0.99 : 0.999)

it.each(rows)('%s in 8 bits is computed as ONNX defines it, in both forms', async (name, row) => {
  const { float, data, input, expected } = await open(row)
  const { model } = await quantized(float, { scheme: 'static' }, data)
  const defined = interpret(model, input)
  const found = await runOnce(model, input)
  const { steps = 1 } = row
  expect(stepsBetween(found, defined)).toBeLessThanOrEqual(1.01 * steps)
  expect(cosineOf(found, expected)).toBeGreaterThan(leastCosine(name))

  const { model: operators } = await quantized(
    float,
    { scheme: 'static', format: 'qoperator' },
    data,
  )
  expect(operatorsIn(operators).join(' ')).toBe(row.operators)
  const foundByOperators = await runOnce(operators, input)
  expect(stepsBetween(foundByOperators, defined)).toBeLessThanOrEqual(1.01 * steps)

  const { float: islands } = await countKernels(model, join(folder, 'optimized.onnx'))
  const names = [...islands].flatMap(([opType, count]) => new Array<string>(count).fill(opType))
  expect(names.sort().join(' ')).toBe((row.islands ?? '').split(' ').sort().join(' '))
})

it.each(rows)('%s with ranges found at run time is computed as ONNX defines it', async (_, row) => {
  const { float, data, input, expected } = await open(row)
  const { model } = await quantized(float, { scheme: 'dynamic' }, data)
  const layers = operatorsIn(model).filter((opType) => opType.endsWith('Integer'))
  expect(layers).toHaveLength(row.dynamic ?? 2)
  const found = await runOnce(model, input)
  expect(stepsBetween(found, interpret(model, input))).toBeLessThanOrEqual(1.01)
  expect(cosineOf(found, expected)).toBeGreaterThan(0.999)
})

const twice = tensorOf('float32', [4], [1, 1, 2, 2])

/** What operators were written like before the opset that integers need. */
const old: readonly (readonly [
  opset: number,
  operator: string,
  write: (g: Builder, x: Value) => Value,
])[] = [
  [9, 'Upsample', (g, x) => one(g, 'Upsample', [x, twice], { mode: 'nearest' })],
  [9, 'Slice', (g, x) => one(g, 'Slice', [x], { axes: [2], starts: [1], ends: [7] })],
  [10, 'Resize', (g, x) => one(g, 'Resize', [x, twice], {})],
  [10, 'Pad', (g, x) => one(g, 'Pad', [x], { pads: [0, 0, 1, 1, 0, 0, 1, 1] })],
  [11, 'Softmax', (g, x) => one(g, 'Softmax', [x], { axis: 2 })],
  [
    12,
    'Squeeze',
    (g, x) => one(g, 'Squeeze', [one(g, 'Unsqueeze', [x], { axes: [2] })], { axes: [2] }),
  ],
  [12, 'ReduceSum', (g, x) => one(g, 'ReduceSum', [x], { axes: [3] })],
]

const one = (
  g: Builder,
  opType: string,
  inputs: Parameters<Builder['node']>[1],
  attributes: Attributes,
): Value => g.node(opType, inputs, { attributes })[0]!

describe('an old opset', () => {
  it.each(old)('%d is raised, %s and all', async (opset, _, middle) => {
    const shape = [4, 8, 8]
    const write = (g: Builder, x: Value) => {
      const [first, last] = ['a', 'b'].map((label) => weights([4, 4, 1, 1], label))
      return g.Conv(middle(g, g.Conv(x, first)), last)
    }
    const { float, data, input, expected } = await open({ shape, write, opset, operators: '' })
    for (const scheme of ['static', 'dynamic'] as const) {
      const { model } = await quantized(float, { scheme }, data)
      expect(model.opsets.get('')).toBeGreaterThanOrEqual(13)
      const found = await runOnce(model, input)
      expect(stepsBetween(found, interpret(model, input))).toBeLessThanOrEqual(1.01)
      expect(cosineOf(found, expected)).toBeGreaterThan(0.999)
    }
  })
})

describe('a model in parts', () => {
  /** What a product in the body of a Loop makes of the input, three times. */
  function looped(): Model {
    const { model, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 10] })
    const body = new Graph('body', model.graph)
    const inner = build(body)
    inner.input('round', { dtype: 'int64', shape: [] })
    const go = inner.input('go', { dtype: 'bool', shape: [] })
    const carried = inner.input('carried', { dtype: 'float32', shape: ['N', 10] })
    inner.output('go_on', inner.Identity(go), { dtype: 'bool', shape: [] })
    const next = inner.Tanh(inner.MatMul(carried, weights([10, 10], 'inner')))
    inner.output('next', next, { dtype: 'float32', shape: ['N', 10] })
    const rounds = [tensorOf('int64', [], [3]), tensorOf('bool', [], [1])]
    const [last] = g.node('Loop', [...rounds, g.MatMul(x, weights([10, 10], 'outer'))], {
      attributes: { body },
    })
    g.output('y', last!, { dtype: 'float32' })
    return model
  }

  it.each([
    ['static', ['MatMul', 'MatMul']],
    ['dynamic', ['MatMulInteger', 'MatMulInteger']],
  ] as const)(
    'is %s around the body of a Loop, which only weights leave float',
    async (scheme, all) => {
      const data = samplesOf([10], 16)
      const float = looped()
      const { model } = await quantized(float, { scheme }, data)
      const products = [...allNodes(model.graph)].filter(({ opType }) =>
        opType.startsWith('MatMul'),
      )
      expect(products.map(({ opType }) => opType)).toEqual(all)
      const pairs = products.map((node) => node.input(1).producer?.opType)
      if (scheme === 'static') expect(pairs).toEqual(['DequantizeLinear', undefined])
      const input = firstSample(data)
      const [found, expected] = [await runOnce(model, input), await runOnce(float, input)]
      expect(cosineOf(found, expected)).toBeGreaterThan(0.999)
    },
  )

  it('is the same when its weights lie in another file', async () => {
    const topology = topologies['Gather of rows, MatMul']!
    const data = samplesOf(topology.shape, 16)
    const path = join(folder, 'parted.onnx')
    await saveModel(modelOf(topology), path, { externalData: true })
    for (const scheme of ['static', 'dynamic'] as const) {
      const [parted, whole] = [
        await quantized(await loadModel(path), { scheme }, data),
        await quantized(modelOf(topology), { scheme }, data),
      ]
      expect(serializeModel(parted.model)).toEqual(serializeModel(whole.model))
    }
  })
})
