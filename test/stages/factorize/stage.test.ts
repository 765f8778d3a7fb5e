import { describe, expect, it } from '@jest/globals'
import { prepareChannels } from '../../../channels/prepare.ts'
import { architectureOptions, buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { build, newModel } from '../../../onnx/build.ts'
import { Graph, type Model } from '../../../onnx/graph.ts'
import { layersOf } from '../../../onnx/layers.ts'
import { loadModel } from '../../../onnx/load.ts'
import { countMacs } from '../../../onnx/multiplications.ts'
import { countParameters } from '../../../onnx/parameters.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { numbers } from '../../../onnx/tensor.ts'
import { validated } from '../../../pipeline/problems.ts'
import { predict } from '../../../runtime/predict.ts'
import { factorize } from '../../../stages/factorize/index.ts'
import type { Artifact } from '../../../stages/stage.ts'
import { outputsOf } from '../../support/compare.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'
import { classes, contextOf, data, shape } from '../support.ts'
import { answer, type LayerCase, layerModel, lost, noise } from './support.ts'

const lenet = buildArchitecture(
  architectureOptions.parse({ architecture: 'lenet', channels: [8, 12] }),
  { ...oneInput(shape, classes), seed: 1 },
)
const { context, messages } = contextOf(lenet)

/** Factorizes as a recipe would say it. */
function factorized(model: Model, options: object, input: Partial<Artifact> = {}) {
  messages.length = 0
  return factorize.run(
    { model, facts: {}, ...input },
    validated(factorize.options, { stage: 'factorize', ...options }, 'options'),
    context,
  )
}

const macsOf = async (model: Model): Promise<number> => countMacs(await prepareChannels(model))!
const parametersOf = (model: Model): number => countParameters(model).parameters
const dimsOf = (model: Model) =>
  layersOf(model.graph).map(({ opType, weight }) => [opType, ...weight.tensor!.dims].join(' '))

const product: LayerCase = { opType: 'MatMul', data: ['N', 24], weight: [24, 30] }
const convolution: LayerCase = {
  ...{ opType: 'Conv', data: ['N', 8, 9, 9], weight: [12, 8, 3, 3], bias: [12] },
  attributes: { pads: [1, 1, 1, 1] },
}

describe('what is lost', () => {
  it.each([
    ['svd', [1, 3, 6]],
    ['tensor-train', [1, 2]],
  ])('by %s falls as the rank grows', async (method, ranks) => {
    const model = layerModel(product)
    const expected = await answer(model, 16)
    const errors: number[] = []
    for (const rank of ranks) {
      const { model: chain } = await factorized(model, { method, rank })
      errors.push(lost(await answer(chain, 16), expected))
    }
    expect(errors).toEqual(errors.toSorted((one, other) => other - one))
    expect(errors.at(-1)).toBeLessThan(1)
  })

  it.each(['channel-svd', 'spatial-svd', 'tucker-2', 'cp', 'nmf'])(
    'by %s falls as the rank grows, and is what the log says',
    async (method) => {
      const model = layerModel({ ...convolution, ...(method === 'nmf' && { positive: true }) })
      const errors: number[] = []
      for (const rank of [1, 3, 6]) {
        await factorized(model, { method, rank })
        const [, percent] = messages.at(-1)!.match(/(\d+\.\d) % of its energy lost$/)!
        errors.push(Number(percent))
      }
      expect(errors).toEqual(errors.toSorted((one, other) => other - one))
      expect(errors.at(-1)).toBeLessThan(errors[0]!)
    },
  )

  it('of the outputs on samples is less where these are kept instead of the weights', async () => {
    const options = { layers: ['op:Conv'], rank: 3, method: 'channel-svd' }
    const { model: weights } = await factorized(lenet, options)
    const { model: outputs } = await factorized(lenet, { ...options, fit: 'outputs' })
    const run = async (model: Model) => [...(await predict(model, data.calibration)).outputs]
    const expected = await run(lenet)
    expect(lost(await run(outputs), expected)).toBeLessThan(lost(await run(weights), expected))
  })
})

describe('how much', () => {
  it.each([
    [{ macs: 0.6 }, 'error'],
    [{ parameters: 0.5 }, 'error'],
    [{ macs: 0.7 }, 'uniform'],
    [{ macs: 0.7 }, 'sensitivity'],
  ])('%j by %s holds by recount', async (target, ratios) => {
    const { model, facts } = await factorized(lenet, {
      ...{ target, ratios, method: ['svd', 'channel-svd', 'spatial-svd', 'tucker-2'] },
    })
    const share =
      'macs' in target
        ? (await macsOf(model)) / (await macsOf(lenet))
        : parametersOf(model) / parametersOf(lenet)
    const [limit] = Object.values(target) as [number]
    expect(share).toBeLessThanOrEqual(limit)
    expect(share).toBeGreaterThan(limit - 0.06)
    expect(facts.summary).toMatch(/^factorized \d of 4 layers \(.+\), \d+\.\d % of MACs and/)
  })

  it('by energy keeps at least that share', async () => {
    const { model } = await factorized(layerModel(product), { energy: 0.6, method: 'svd' })
    const found = Number(messages.at(-1)!.match(/(\d+\.\d) % of its energy lost/)![1])
    expect(found).toBeLessThanOrEqual(40)
    expect(found).toBeGreaterThan(30)
    expect(parametersOf(model)).toBeLessThan(24 * 30)
  })

  it('by variational Bayes finds the rank under the noise', async () => {
    const { model, g } = newModel('noisy')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 40] })
    const [u, v] = [noise([40, 3], 1), noise([3, 40], 2)]
    const signal = g.MatMul(g.constant(u), g.constant(v))
    const weight = g.Add(signal, g.Mul(g.constant(noise([40, 40], 3)), 0.3))
    g.output('y', g.MatMul(x, weight), { dtype: 'float32' })
    const { model: chain } = await factorized(model, { rank: 'vbmf', method: 'svd' })
    expect(dimsOf(chain)).toEqual(['MatMul 40 3', 'MatMul 3 40'])
  })

  it.each([
    [{ rank: 4 }, ['MatMul 24 4', 'MatMul 4 30']],
    [{ rank: 0.25 }, ['MatMul 24 6', 'MatMul 6 30']],
    [{ rank: 0.25, round: 4 }, ['MatMul 24 8', 'MatMul 8 30']],
  ])('by %j is what it says', async (options, dims) => {
    const { model } = await factorized(layerModel(product), { ...options, method: 'svd' })
    expect(dimsOf(model)).toEqual(dims)
  })

  it('measures sensitivities once', async () => {
    const options = factorize.options.parse({
      ...{ stage: 'factorize', method: 'svd', layers: ['op:Gemm'] },
      ...{ target: { parameters: 0.7 }, ratios: 'sensitivity', samples: 32 },
    })
    let compared = 0
    const retain: typeof context.task.retain = (...compare) => {
      compared++
      return context.task.retain(...compare)
    }
    const counting = { ...context, task: { ...context.task, retain } }
    const run = () => factorize.run({ model: lenet, facts: {} }, options, counting)
    const first = await run()
    const once = compared
    const second = await run()
    expect([once > 0, compared - once]).toEqual([true, 0])
    expect(serializeModel(second.model)).toEqual(serializeModel(first.model))
  })
})

describe('auto', () => {
  it('takes the method that loses least for as many operations', async () => {
    const { facts } = await factorized(layerModel(convolution), { target: { macs: 0.5 } })
    const lossOf = () => Number(messages.at(-1)!.match(/(\d+\.\d) % of its energy lost/)![1])
    const own = lossOf()
    for (const method of ['channel-svd', 'spatial-svd', 'tucker-2']) {
      await factorized(layerModel(convolution), { target: { macs: 0.5 }, method })
      expect(own).toBeLessThanOrEqual(lossOf())
    }
    expect(facts.summary).toMatch(/^factorized 1 of 1 layers/)
  })
})

describe('layers that stay', () => {
  it('are those that would be larger, with the reason', async () => {
    const { model } = await factorized(lenet, { rank: 8, method: ['svd', 'channel-svd'] })
    expect(messages[0]).toMatch(/left as (it is|they are): it would be larger at rank/)
    expect(await macsOf(model)).toBeLessThan(await macsOf(lenet))
  })

  it('are those of which the weight is used elsewhere', async () => {
    const { model, g } = newModel('tied')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 16] })
    const weight = g.constant(noise([16, 16], 1), 'W')
    const row = g.Gather(weight, g.input('i', { dtype: 'int64', shape: ['N'] }))
    g.output('y', g.Add(g.MatMul(x, weight), row), { dtype: 'float32' })
    await expect(factorized(model, { rank: 2 })).rejects.toThrow(
      /^no layer can be factorized: 'MatMul': its weight is used by Gather/,
    )
  })

  it('are not those that share a weight among themselves: they share the factors', async () => {
    const { model, g } = newModel('shared')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 16] })
    const weight = g.constant(noise([16, 16], 1), 'W')
    g.output('y', g.MatMul(g.Relu(g.MatMul(x, weight)), weight), { dtype: 'float32' })
    const { model: chain } = await factorized(model, { rank: 4, method: 'svd' })
    expect(dimsOf(chain)).toEqual(['MatMul 16 4', 'MatMul 4 16', 'MatMul 16 4', 'MatMul 4 16'])
    expect(parametersOf(chain)).toBe(128)
    expect(await answer(chain)).toHaveLength(32)
  })

  it('are those inside branches', async () => {
    const { model, g } = newModel('branches')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 16] })
    const branch = (name: string) => {
      const inner = new Graph(name, model.graph)
      const h = build(inner)
      const weight = h.constant(noise([16, 16], 1), `${name}_weight`)
      h.output(`${name}_y`, h.MatMul(x, weight), { dtype: 'float32' })
      return inner
    }
    const condition = g.input('condition', { dtype: 'bool', shape: [] })
    const attributes = { then_branch: branch('yes'), else_branch: branch('no') }
    g.output('y', g.node('If', [condition], { attributes })[0]!, { dtype: 'float32' })
    await expect(factorized(model, { rank: 2 })).rejects.toThrow(
      /^no layer can be factorized: 'MatMul.*': it is inside a branch or a loop/,
    )
  })

  it('are those that are excluded, or not among the layers', async () => {
    const [first] = layersOf(lenet.graph)
    const { model } = await factorized(lenet, {
      rank: 2,
      exclude: [first!.name],
      layers: ['op:Conv'],
    })
    expect(dimsOf(model)[0]).toBe('Conv 8 1 5 5')
    expect(dimsOf(model).slice(-2)).toEqual(dimsOf(lenet).slice(-2))
  })
})

it('recovers from the model as it was, and never changes its input', async () => {
  const before = serializeModel(lenet)
  const recover = { epochs: 1, batch: 32, optimizer: { name: 'adamw', rate: 0.005 } }
  const { model, facts } = await factorized(lenet, {
    target: { macs: 0.6 },
    method: ['tucker-2', 'svd', 'tensor-train'],
    recover,
  })
  expect(facts.epochs).toHaveLength(1)
  expect(facts.summary).toMatch(/^factorized .* left; trained 1 epochs/)
  expect((await macsOf(model)) / (await macsOf(lenet))).toBeLessThanOrEqual(0.6)
  expect(serializeModel(lenet)).toEqual(before)
  expect(model.graph.inputs[0]!.type).toEqual(lenet.graph.inputs[0]!.type)
})

describe('what cannot be done is told in one line', () => {
  it.each<[object, RegExp]>([
    [{ rank: 0 }, /^options: rank: expected/],
    [{ energy: 1 }, /^options: energy: expected/],
    [{}, /expected exactly one of rank, energy, target/],
    [{ rank: 2, energy: 0.5 }, /expected exactly one of rank, energy, target/],
    [{ target: {} }, /expected exactly one of macs, parameters/],
    [{ rank: 2, ratios: 'uniform' }, /goes with target alone/],
    [{ rank: 2, samples: 5 }, /goes with fit/],
    [{ rank: 2, fit: 'outputs', method: 'cp' }, /'outputs' does not go with method 'cp'/],
    [{ target: { macs: 0.001 } }, /^target\.macs: cannot be reached: 0\.001 — 0\.\d+ is the least/],
    [{ rank: 2, layers: ['nothing'] }, /^layers: matches no layer: 'nothing'/],
    [{ rank: 2, exclude: ['*'] }, /^no layer can be factorized: there is none with weights/],
    [{ rank: 2, method: 'nmf' }, /^no layer can be factorized: .* has negative weights/],
    [{ rank: 500 }, /^no layer can be factorized: .* it would be larger at rank/],
    [{ rank: 'vbmf', method: 'cp' }, /vbmf does not go with cp/],
  ])('%j', async (options, message) => {
    const failure = (async () => factorized(lenet, options))()
    await expect(failure).rejects.toThrow(message)
    await expect(failure).rejects.toThrow(/^[^\n]+$/)
  })

  it('of a quantized model', async () => {
    const { model, g } = newModel('quantized')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const [scaled] = g.node('QuantizeLinear', [x, 0.1])
    g.output('y', g.DequantizeLinear(scaled, 0.1), { dtype: 'float32' })
    await expect(factorized(model, { rank: 2 })).rejects.toThrow(
      /^model: it is quantized already: it has QuantizeLinear .* factorize the float model/,
    )
  })
})

itWithShared('takes a fifth of the MACs of a real network, whose outputs stay close', async () => {
  const file = 'conv-distiller-resnet20-dense-cifar10.onnx'
  const model = await loadModel(sharedModel(file))
  const { model: smaller } = await factorized(model, {
    ...{ target: { macs: 0.8 }, method: ['channel-svd', 'spatial-svd'] },
  })
  const share = (await macsOf(smaller)) / (await macsOf(model))
  expect(share).toBeLessThanOrEqual(0.8)
  expect(share).toBeGreaterThan(0.78)
  const [expected, found] = [await outputsOf(model, file), await outputsOf(smaller, file)]
  expect(lost(numbers(found.logits!), numbers(expected.logits!))).toBeLessThan(0.2)
})
