// Two activations behind a convolution get something between them that changes no bit.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { withSession } from '../../../runtime/session.ts'
import { partActivations } from '../../../stages/quantize/paired-activations.ts'
import { firstSample, quantized, samplesOf, weights } from './support.ts'

const shape = [3, 8, 8]

function behindConvolution(activate: (g: Builder, made: Value) => Value): Model {
  const { model, g } = newModel('m')
  const x = g.input('x', { dtype: 'float32', shape: ['n', ...shape] })
  const y = activate(g, g.Conv(x, weights([4, 3, 1, 1], 'w')))
  g.output('y', y, { dtype: 'float32', shape: ['n', 4, 8, 8] })
  return model
}

const bytesOf = async (model: Model) => {
  const x = firstSample(samplesOf(shape, 1))
  return (await withSession(model, {}, (session) => session.run({ x }))).y!.bytes
}
const operatorsOf = (model: Model) => model.graph.nodes.map(({ opType }) => opType).join(' ')

describe('activations in pairs', () => {
  it.each<[string, number, (g: Builder, made: Value) => Value]>([
    ['Conv Sigmoid Max Clip', 1, (g, made) => g.Clip(g.Sigmoid(made), 0.4, 0.6)],
    ['Conv Clip Max Relu Max Tanh', 2, (g, made) => g.Tanh(g.Relu(g.Clip(made, -0.1, 0.1)))],
    ['Conv Relu Clip', 0, (g, made) => g.Clip(g.Relu(made), 0.1, 0.3)],
    ['Conv Sigmoid Neg Relu', 0, (g, made) => g.Relu(g.Neg(g.Sigmoid(made)))],
    ['Conv Sigmoid Mul', 0, (g, made) => g.Mul(made, g.Sigmoid(made))],
    ['Relu Sigmoid', 0, (g, made) => g.Sigmoid(g.Relu(made.producer!.input(0)))],
  ])('become %s', async (operators, count, activate) => {
    const model = behindConvolution(activate)
    const parted = cloneModel(model)
    expect(partActivations(parted)).toBe(count)
    expect(operatorsOf(parted).replace(/^Conv (?=Relu Sigmoid$)/, '')).toBe(operators)
    expect(await bytesOf(parted)).toEqual(await bytesOf(model))
  })

  it('are left where another reads what is between them', () => {
    const model = behindConvolution((g, made) => {
      const between = g.Sigmoid(made)
      return g.Add(g.Relu(between), between)
    })
    expect(partActivations(model)).toBe(0)
  })

  it('are parted by quantization where webgpu is wanted', async () => {
    const model = behindConvolution((g, made) => g.Clip(g.Sigmoid(made), 0.4, 0.6))
    const { model: alone } = await quantized(model, { scheme: 'float16' })
    expect(operatorsOf(alone)).not.toContain('Max')
    const { model: both } = await quantized(model, {
      scheme: 'float16',
      providers: ['cpu', 'webgpu'],
    })
    expect(operatorsOf(both)).toContain('Sigmoid Max Clip')
  })
})
