// Bias correction and learned rounding: what is repaired in the integers, by what the float model gives.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../../onnx/build.ts'
import { cloneModel } from '../../../../onnx/clone.ts'
import type { Model } from '../../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../../onnx/tensor.ts'
import { predict } from '../../../../runtime/predict.ts'
import { measureRanges } from '../../../../stages/quantize/calibrate.ts'
import { place } from '../../../../stages/quantize/placement.ts'
import { biasCorrections } from '../../../../stages/quantize/repair/bias-correction.ts'
import {
  dequantized,
  quantizedLayers,
} from '../../../../stages/quantize/repair/quantized-layers.ts'
import { learnRounding } from '../../../../stages/quantize/repair/rounding.ts'
import { quantizeGraph, valuesToMeasure } from '../../../../stages/quantize/static.ts'
import { contextOf, samplesOf, weights } from '../support.ts'
import { attentive, mobile, preparedCopy, uneven } from './models.ts'

const images = samplesOf([3, 12, 12], 64)
const tokens = samplesOf([4, 16], 64)

interface Storage {
  readonly weightBits?: 7 | 8
  readonly perChannel?: boolean
  readonly weights?: 'int8' | 'uint8'
}

/** The two models that repairs of integers get. */
async function pair(
  model: Model,
  data: typeof images,
  { weightBits = 8, perChannel = false, weights: type = 'int8' }: Storage = {},
): Promise<{ float: Model; quantized: Model }> {
  const { prepared, before } = await preparedCopy(model)
  const { graph } = prepared.model
  const placement = place(graph, new Set(), { symmetric: false })
  const ranges = await measureRanges(prepared.model, valuesToMeasure(placement), data, {
    method: 'minmax',
    share: 1,
    threads: 1,
    where: 'model',
    check: () => undefined,
    progress: () => undefined,
  } as Parameters<typeof measureRanges>[3])
  quantizeGraph(prepared.model, placement, (value) => ranges.get(value)!, {
    activations: 'uint8',
    symmetricActivations: false,
    weights: type,
    symmetricWeights: type === 'int8',
    weightBits,
    perChannel,
  })
  return { float: before, quantized: prepared.model }
}

/** The mean of each output, and the squared difference of all, as a share of the squares. */
async function compared(float: Model, quantized: Model, data: typeof images) {
  const [a, b] = [await predict(float, data), await predict(quantized, data)]
  const mean = (outputs: Float32Array, column: number) => {
    let sum = 0
    for (let row = 0; row < a.size; row++) sum += outputs[row * a.width + column]!
    return sum / a.size
  }
  const shifts = Array.from({ length: a.width }, (_, column) =>
    Math.abs(mean(a.outputs, column) - mean(b.outputs, column)),
  )
  let [error, energy] = [0, 0]
  for (const [at, value] of a.outputs.entries()) {
    error += (value - b.outputs[at]!) ** 2
    energy += value ** 2
  }
  return { shift: Math.max(...shifts), error: error / energy }
}

/** One layer of a kind, whose rounding shifts its outputs. */
function single(
  write: (g: Builder, x: ReturnType<Builder['input']>) => ReturnType<Builder['Relu']>,
) {
  const { model, g } = newModel('single', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 12, 12] })
  g.output('y', write(g, g.Relu(x)), { dtype: 'float32', shape: ['N', 'C', 'H', 'W'] })
  return model
}

describe('bias correction', () => {
  it('brings the outputs of a model with one scale a tensor closer, layer by layer', async () => {
    const { float, quantized } = await pair(mobile(), images)
    const before = await compared(float, quantized, images)
    const context = contextOf(float, images)
    const done = await biasCorrections.full(float, quantized, { samples: 64, context })
    expect(done).toEqual({ layers: 6, left: 0 })
    const after = await compared(float, quantized, images)
    expect(after.error).toBeLessThan(before.error)
    expect(after.shift).toBeLessThan(before.shift / 10)
  })

  it('takes back by means of inputs alone what rounded weights add to a mean', async () => {
    const model = single((g, x) => g.Conv(x, uneven(weights([4, 3, 3, 3], 'w', 0.3))))
    const { float, quantized } = await pair(model, images)
    const [layer] = quantizedLayers(float.graph, quantized.graph)
    const shifts = async () => {
      const goal = await channelMean(float, layer!.float.output().name)
      const found = await channelMean(quantized, layer!.node.output().name)
      return Math.max(...goal.map((mean, channel) => Math.abs(mean - found[channel]!)))
    }
    const before = await shifts()
    const context = contextOf(float, images)
    await biasCorrections.fast(float, quantized, { samples: 64, context })
    expect(await shifts()).toBeLessThan(before / 2)
  })

  it.each([
    ['zeros around', [4, 3, 3, 3], { pads: [1, 1, 1, 1] }],
    ['zeros on one side and strides', [4, 3, 5, 5], { pads: [0, 4, 1, 0], strides: [2, 3] }],
    ['zeros as many as there have to be', [4, 3, 4, 4], { auto_pad: 'SAME_UPPER' }],
    ['gaps and groups', [6, 1, 3, 3], { pads: [3, 3, 3, 3], dilations: [3, 3], group: 3 }],
  ] as const)(
    'is exact for rounded weights of a convolution with %s',
    async (_, dims, attributes) => {
      const model = single((g, x) =>
        g.Conv(x, uneven(weights(dims, 'w', 0.3)), weights([dims[0]], 'b'), attributes),
      )
      const { float, quantized } = await pair(model, images)
      const [layer] = quantizedLayers(float.graph, quantized.graph)
      const { name } = layer!.float.output()
      // The float model with what was rounded, so that its inputs are what they were.
      const shifts = async () => {
        const rounded = cloneModel(float)
        const node = rounded.graph.nodes[float.graph.nodes.indexOf(layer!.float)]!
        const [steps, scale] = layer!.node.input(2).producer!.inputs.map((each) => each!.tensor!)
        const scales = elements(scale!, 'float32')
        const bias = Float32Array.from(
          elements(steps!, 'int32'),
          (step, at) => step * scales[at % scales.length]!,
        )
        node.input(1).tensor = tensorOf('float32', dims, dequantized(layer!.codes))
        node.input(2).tensor = tensorOf('float32', [dims[0]], bias)
        const [goal, found] = [
          await channelMean(float, name, dims[0]),
          await channelMean(rounded, name, dims[0]),
        ]
        const errors = goal.map((mean, at) => Math.abs(mean - found[at]!) / scales[0]!)
        return Math.max(...errors)
      }
      expect(await shifts()).toBeGreaterThan(5)
      const context = contextOf(float, images)
      await biasCorrections.fast(float, quantized, { samples: 64, context })
      // In units of the bias, which was rounded twice: when it was stored, and what was added.
      expect(await shifts()).toBeLessThan(1.01)
    },
  )

  it.each(['with', 'without'])(
    'makes the mean outputs of a layer %s a bias equal',
    async (kind) => {
      const model = single((g, x) =>
        g.Conv(x, weights([4, 3, 3, 3], 'w', 0.3), ...(kind === 'with' ? [weights([4], 'b')] : [])),
      )
      const { float, quantized } = await pair(model, images, { weightBits: 7 })
      const before = await compared(float, quantized, images)
      await biasCorrections.full(float, quantized, {
        samples: 64,
        context: contextOf(float, images),
      })
      const layer = quantizedLayers(float.graph, quantized.graph)[0]!
      expect(layer.node.inputs[2]?.producer?.opType).toBe('DequantizeLinear')
      const [goal, found] = [
        await channelMean(float, layer.float.output().name),
        await channelMean(quantized, layer.node.output().name),
      ]
      const { scales } = layer.codes
      const input = layer.node.input(0).producer!.input(1).tensor!
      const step = elements(input, 'float32')[0]! * Math.max(...scales)
      for (const [channel, mean] of goal.entries())
        expect(Math.abs(found[channel]! - mean)).toBeLessThan(0.51 * step + 1e-5)
      expect((await compared(float, quantized, images)).error).toBeLessThanOrEqual(before.error)
    },
  )

  it.each(['fast', 'full'] as const)('%s corrects what is added behind a MatMul', async (form) => {
    const { float, quantized } = await pair(attentive(), tokens)
    const context = contextOf(float, tokens)
    const before = await compared(float, quantized, tokens)
    const done = await biasCorrections[form](float, quantized, { samples: 64, context })
    expect(done.layers).toBe(6)
    const after = await compared(float, quantized, tokens)
    expect(after.error).toBeLessThan(1.05 * before.error)
    expect(after.shift).toBeLessThan(before.shift)
  })
})

/** The mean of each channel of a value. */
async function channelMean(model: Model, name: string, channels = 4): Promise<number[]> {
  const copy = cloneModel(model)
  const value = copy.graph.nodes
    .flatMap(({ outputs }) => outputs)
    .find((one) => one?.name === name)!
  copy.graph.outputs.splice(0, 1, value)
  const { outputs, width, size } = await predict(copy, images)
  const sums = new Array<number>(channels).fill(0)
  const positions = width / channels
  for (const [at, one] of outputs.entries()) sums[Math.floor((at % width) / positions)]! += one
  return sums.map((sum) => sum / (size * positions))
}

describe('AdaRound', () => {
  it.each([
    ['one scale a tensor', { perChannel: false }],
    ['a scale a channel and 7 bits', { perChannel: true, weightBits: 7 }],
    ['a zero point', { perChannel: true, weights: 'uint8' }],
  ] as const)(
    'rounds each weight up or down, with less error than nearest: %s',
    async (_, storage) => {
      const { float, quantized } = await pair(mobile(), images, storage)
      const nearest = quantizedLayers(float.graph, quantized.graph)
      const before = await compared(float, quantized, images)
      const context = contextOf(float, images)
      const learned = await learnRounding(float, quantized, { samples: 64, steps: 200, context })
      expect(learned.length).toBe(6)
      for (const layer of learned) expect(layer.after).toBeLessThanOrEqual(layer.before)
      expect(learned.filter(({ before, after }) => after < before).length).toBeGreaterThan(3)
      expect((await compared(float, quantized, images)).error).toBeLessThan(before.error)

      let changed = 0
      const after = quantizedLayers(float.graph, quantized.graph)
      for (const [index, { weights: tensor, codes }] of after.entries()) {
        const values = elements(tensor, 'float32')
        const [old, now] = [dequantized(nearest[index]!.codes), dequantized(codes)]
        const step = Math.max(...codes.scales)
        for (const [at, value] of values.entries()) {
          expect(Math.abs(now[at]! - value)).toBeLessThan(step * 1.001)
          if (now[at] !== old[at]) changed++
        }
      }
      expect(changed).toBeGreaterThan(20)
    },
  )

  it('keeps zeros that pruning has made', async () => {
    const model = mobile()
    for (const value of model.graph.initializers)
      if (value.name.startsWith('inner')) {
        const values = elements(value.tensor!, 'float32')
        for (let at = 0; at < values.length; at += 2) values[at] = 0
      }
    const { float, quantized } = await pair(model, images)
    const context = contextOf(float, images)
    await learnRounding(float, quantized, { samples: 32, steps: 200, context })
    for (const { weights: tensor, codes } of quantizedLayers(float.graph, quantized.graph)) {
      const now = dequantized(codes)
      for (const [at, value] of elements(tensor, 'float32').entries())
        if (value === 0) expect(now[at]).toBeCloseTo(0)
    }
  })

  it('gives the same roundings again', async () => {
    const codes: string[] = []
    for (let time = 0; time < 2; time++) {
      const { float, quantized } = await pair(attentive(), tokens)
      const context = contextOf(float, tokens)
      await learnRounding(float, quantized, { samples: 32, steps: 50, context })
      codes.push(
        quantizedLayers(float.graph, quantized.graph)
          .map((layer) => Buffer.from(layer.codes.tensor.bytes).toString('base64'))
          .join(),
      )
    }
    expect(codes[0]).toBe(codes[1])
  })
})
