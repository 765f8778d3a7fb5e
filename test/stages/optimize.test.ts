import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { loadModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { optimize } from '../../stages/optimize.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import {
  contextOf,
  firstSample,
  operatorsOf,
  runOnce,
  samplesOf,
  weights,
} from './quantize/support.ts'

const all = optimize.options.parse({ stage: 'optimize' })

function untidy() {
  const { model, g } = newModel('untidy', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 9, 9] })
  const doubled = g.Add(
    g.constant(weights([4, 3, 3, 3], 'w')),
    g.constant(weights([4, 3, 3, 3], 'w')),
  )
  const parameters = ['s', 'b', 'm'].map((label) => weights([4], label))
  const convolved = g.Conv(g.Identity(x), doubled)
  const normalized = g.BatchNormalization(
    convolved,
    ...parameters,
    tensorOf('float32', [4], [1, 2, 3, 4]),
  )
  const twice = g.Add(g.Relu(normalized), g.Relu(normalized))
  g.Sigmoid(twice)
  g.output('y', twice, { dtype: 'float32' })
  return model
}

describe('optimize', () => {
  it('leaves one node for each thing that has to be computed', async () => {
    const before = untidy()
    const { model, facts } = await optimize.run(
      { model: before, facts: {} },
      all,
      contextOf(before),
    )
    expect(operatorsOf(model)).toEqual({ Conv: 1, Relu: 1, Add: 1 })
    expect(facts.summary).toBe('8 → 3 nodes; cosine 1.0000 with its input on 1 sample')
    const input = firstSample(samplesOf([3, 9, 9]))
    const [found, expected] = [await runOnce(model, input), await runOnce(before, input)]
    for (const [index, value] of expected.entries()) expect(found[index]).toBeCloseTo(value, 4)
  })

  it('does only what is asked for', async () => {
    const before = untidy()
    const options = { ...all, batchNormalization: false, deadNodes: false }
    const { model } = await optimize.run({ model: before, facts: {} }, options, contextOf(before))
    expect(operatorsOf(model)).toMatchObject({ BatchNormalization: 1, Sigmoid: 1 })
    expect(operatorsOf(model)).not.toHaveProperty('Identity')
  })

  it('leaves its input as it was, and keeps the facts about training', async () => {
    const before = untidy()
    const bytes = serializeModel(before)
    const losses = [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }] as const
    const { facts } = await optimize.run(
      { model: before, facts: { losses, epochs: [] } },
      all,
      contextOf(before),
    )
    expect(serializeModel(before)).toEqual(bytes)
    expect(facts.losses).toBe(losses)
    expect(facts).not.toHaveProperty('epochs')
  })

  itWithShared.each([
    ['conv-tiny-resnet8-cifar10.onnx', [3, 32, 32]],
    ['mnist-8-ortweb.onnx', [1, 28, 28]],
    ['ultraface-rfb-320.onnx', [3, 240, 320]],
  ])('keeps the outputs of %s', async (name, shape) => {
    const before = await loadModel(sharedModel(name))
    const { model } = await optimize.run({ model: before, facts: {} }, all, contextOf(before))
    expect(model.graph.nodes.length).toBeLessThan(before.graph.nodes.length)
    const input = firstSample(samplesOf(shape, 1))
    const [found, expected] = [await runOnce(model, input), await runOnce(before, input)]
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
    const worst = expected.reduce(
      (most, value, index) => Math.max(most, Math.abs(value - found[index]!)),
      0,
    )
    expect(worst / largest).toBeLessThan(1e-4)
  })
})
