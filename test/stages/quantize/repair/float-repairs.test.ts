// What equalization, smoothing and splitting do to a float model: nothing but to its weights.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../../base/random.ts'
import { type Attributes, type Builder, newModel } from '../../../../onnx/build.ts'
import { cloneModel } from '../../../../onnx/clone.ts'
import type { Model, Value } from '../../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../../onnx/tensor.ts'
import { predict } from '../../../../runtime/predict.ts'
import { quantizeWeights } from '../../../../stages/quantize/arithmetic.ts'
import { copyForQuantization, prepareForIntegers } from '../../../../stages/quantize/prepare.ts'
import { absorbBiases } from '../../../../stages/quantize/repair/absorption.ts'
import { reestimateNormalizations } from '../../../../stages/quantize/repair/batch-normalization.ts'
import { equalize } from '../../../../stages/quantize/repair/equalization.ts'
import { smooth } from '../../../../stages/quantize/repair/smoothing.ts'
import { splitOutliers } from '../../../../stages/quantize/repair/splitting.ts'
import { datasetOf } from '../../../support/samples.ts'
import {
  contextOf,
  firstSample,
  operatorsOf,
  quantized,
  runOnce,
  samplesOf,
  weights as seededWeights,
} from '../support.ts'
import { attentive, constantAt, mobile, nodesOf, normalized, preparedCopy } from './models.ts'

const images = samplesOf([3, 12, 12], 32)
const tokens = samplesOf([4, 16], 32)

/** The largest difference of outputs, as a share of the largest output. */
async function difference(before: Model, after: Model, data: typeof images): Promise<number> {
  const [a, b] = [await runOnce(before, firstSample(data)), await runOnce(after, firstSample(data))]
  const scale = Math.max(...a.map(Math.abs))
  return Math.max(...a.map((value, at) => Math.abs(value - b[at]!))) / scale
}

const spread = (values: readonly number[]) => Math.max(...values) / Math.min(...values)

/** The largest magnitude for each index of the first axis. */
function rowRanges(values: Float32Array, rows: number): number[] {
  const width = values.length / rows
  return Array.from({ length: rows }, (_, row) =>
    Math.max(...values.subarray(row * width, (row + 1) * width).map(Math.abs)),
  )
}

describe('cross-layer equalization', () => {
  it('keeps what the model computes and gives both sides of every channel one range', async () => {
    const { prepared, before } = await preparedCopy(mobile())
    const { channels, weights } = await equalize(prepared.model, 'model')
    // stem → depth, depth → wide, wide = inner → inner, last; last → classifier.
    expect(channels).toBe(8 + 8 + 12 + 6)
    expect(weights).toBe(6)
    expect(await difference(before, prepared.model, images)).toBeLessThan(1e-5)
    const ranges = (model: Model) => rowRanges(constantAt(nodesOf(model, 'Conv')[1]!, 1), 8)
    expect(spread(ranges(prepared.model))).toBeLessThan(spread(ranges(before)) / 2)
    const [stem, depth] = nodesOf(prepared.model, 'Conv')
    const made = rowRanges(constantAt(stem!, 1), 8)
    const taken = rowRanges(constantAt(depth!, 1), 8)
    for (const [channel, range] of made.entries()) expect(range / taken[channel]!).toBeCloseTo(1, 2)
  })

  it('leaves channels alone that carry nothing but a bias, whichever side is nothing', async () => {
    const { prepared } = await preparedCopy(mobile())
    // A dead filter of the stem, and an input that the layer behind the sum does not listen to.
    for (const [at, channel, width] of [
      [0, 3, 27],
      [1, 5, 9],
    ] as const) {
      const weight = nodesOf(prepared.model, 'Conv')[at]!.input(1)
      const values = elements(weight.tensor!, 'float32').map((value, index) =>
        Math.floor(index / width) === channel ? 1e-14 * value : value,
      )
      weight.tensor = tensorOf('float32', weight.tensor!.dims, values)
    }
    const before = cloneModel(prepared.model)
    // Channels 3 and 5 of the stem, one dead and one unheard, and channel 5 of the depthwise layer, which is dead.
    const { channels } = await equalize(prepared.model, 'model')
    expect(channels).toBe(8 + 8 + 12 + 6 - 3)
    expect(await difference(before, prepared.model, images)).toBeLessThan(1e-5)
    const biases = (model: Model) => constantAt(nodesOf(model, 'Conv')[0]!, 2)
    for (const channel of [3, 5])
      expect(biases(prepared.model)[channel]).toBe(biases(before)[channel])
  })

  it('leaves channels alone that Clip cuts off above', async () => {
    const { prepared, before } = await preparedCopy(mobile('Relu6'))
    const { channels } = await equalize(prepared.model, 'model')
    // Only last → classifier has a Relu between.
    expect(channels).toBe(6)
    expect(await difference(before, prepared.model, images)).toBeLessThan(1e-5)
    expect(constantAt(nodesOf(prepared.model, 'Conv')[0]!, 1)).toEqual(
      constantAt(nodesOf(before, 'Conv')[0]!, 1),
    )
  })

  it('goes from a norm into the projections behind it, and not through attention', async () => {
    const { prepared, before } = await preparedCopy(attentive())
    const { channels } = await equalize(prepared.model, 'model')
    expect(channels).toBe(16)
    expect(await difference(before, prepared.model, tokens)).toBeLessThan(1e-5)
  })
})

/** What stands between a layer whose channels never come near zero and the layer that reads it. */
type Between = (g: Builder, made: Value) => Value

/** Eight channels of three inputs, some far above zero, and what reads them: [N, 3, 4, 4] → [N, 5, …]. */
function high({
  between = (g, made) => g.Relu(made),
  reader = {},
  normalize = false,
}: {
  readonly between?: Between
  readonly reader?: Attributes
  readonly normalize?: boolean
} = {}): Model {
  const { model, g } = newModel('high', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 4, 4] })
  const bias = tensorOf('float32', [8], [9, 0, 12, -9, 20, 1, 7, 0.5])
  const one = tensorOf('float32', [8], new Float32Array(8).fill(1))
  const zero = tensorOf('float32', [8], new Float32Array(8))
  const first = g.node(
    'Conv',
    [x, seededWeights([8, 3, 1, 1], 'a'), normalize ? undefined : bias],
    {
      name: 'maker',
    },
  )[0]!
  const made = normalize ? g.BatchNormalization(first, one, bias, zero, one) : first
  const grouped = Number(reader.group ?? 1)
  const w = seededWeights([4, 8 / grouped, 2, 2], 'b')
  const [y] = g.node('Conv', [between(g, made), w, seededWeights([4], 'c')], {
    name: 'reader',
    attributes: reader,
  })
  g.output('y', y!, { dtype: 'float32' })
  return model
}

/** Samples of ±1, of which no sum of three is further than 3 deviations from its mean. */
const signs = datasetOf({
  source: 'signs',
  shape: [3, 4, 4],
  classes: ['0', '1'],
  labels: new Int32Array(32),
  write(index, into) {
    const { integer } = random(5, index)
    for (let place = 0; place < into.length; place++) into[place] = 2 * integer(2) - 1
  },
})

describe('absorption of high biases', () => {
  const absorbed = async (model: Model, data?: typeof signs, exclude: readonly string[] = []) => {
    const prepared = copyForQuantization(model, exclude, 'refuse')
    const statistics = await prepareForIntegers(prepared, 'model')
    const before = cloneModel(prepared.model)
    const evidence = data && { samples: 32, context: contextOf(model, data) }
    const done = await absorbBiases(prepared.model, prepared.excluded, statistics, evidence)
    return { done, before, after: prepared.model, statistics }
  }
  const biasesOf = (model: Model, at = 0) => constantAt(nodesOf(model, 'Conv')[at]!, 2)

  it.each([
    ['a convolution', {}],
    ['one in groups', { reader: { group: 2 } }],
    ['one with strides', { reader: { strides: [2, 2], auto_pad: 'VALID' } }],
    [
      'one behind maxima and means',
      {
        between: (g: Builder, made: Value) =>
          g.AveragePool(g.MaxPool(g.Relu(made), { kernel_shape: [2, 2], pads: [1, 1, 1, 1] }), {
            kernel_shape: [2, 2],
            pads: [1, 0, 1, 0],
          }),
      },
    ],
  ])('moves what never flows below into %s and keeps what the model computes', async (_, given) => {
    const model = high(given)
    const { done, before, after } = await absorbed(model, signs)
    expect(done).toEqual({ channels: 4, layers: 1 })
    expect(await difference(before, after, signs)).toBeLessThan(1e-5)
    const [was, is] = [biasesOf(before), biasesOf(after)]
    const made = constantAt(nodesOf(before, 'Conv')[0]!, 1)
    for (let channel = 0; channel < 8; channel++) {
      // Of ±1 with random signs the deviation of a sum is the root of the squares of its weights.
      const own = made.subarray(3 * channel, 3 * channel + 3)
      const deviation = Math.sqrt(own.reduce((sum, value) => sum + value ** 2, 0))
      const expected = Math.max(0, was[channel]! - 3 * deviation)
      expect(Math.abs(was[channel]! - is[channel]! - expected)).toBeLessThan(0.3)
      if (expected === 0) expect(is[channel]).toBe(was[channel])
    }
  })

  it('takes mean and deviation from BatchNormalization where there is no data, and moves the mean', async () => {
    const { done, before, after, statistics } = await absorbed(high({ normalize: true }))
    // β - 3γ with γ = 1 and β as in the model.
    const moved = [6, 0, 9, 0, 17, 0, 4, 0]
    expect(done).toEqual({ channels: 4, layers: 1 })
    const [was, is] = [biasesOf(before), biasesOf(after)]
    expect([...was].map((value, at) => value - is[at]!)).toEqual(moved)
    const [said] = statistics.values()
    expect([...said!.means]).toEqual([3, 0, 3, -9, 3, 1, 3, 0.5])
    // Equalization before it does not lose what BatchNormalization said.
    const prepared = copyForQuantization(high({ normalize: true }), [], 'refuse')
    const known = await prepareForIntegers(prepared, 'model')
    await equalize(prepared.model, 'model', known)
    const both = await absorbBiases(prepared.model, prepared.excluded, known, undefined)
    expect(both).toEqual(done)
    expect(await difference(before, prepared.model, signs)).toBeLessThan(1e-5)
  })

  it.each([
    ['static', { calibration: { from: 'data' } }, signs],
    ['static', { calibration: { from: 'noise' } }, undefined],
    ['dynamic', {}, signs],
  ] as const)('is a repair of the scheme %s: %j', async (scheme, options, data) => {
    const repair = ['bias-absorption' as const]
    const { facts } = await quantized(
      high({ normalize: true }),
      { scheme, repair, ...options },
      data,
    )
    expect(facts.summary).toMatch(/absorbed biases of 4 channels of 1 layers/)
  })

  it.each([
    ['a reader pads', { reader: { pads: [1, 1, 1, 1] } }, []],
    ['a reader pads by itself', { reader: { auto_pad: 'SAME_UPPER' } }, []],
    ['a layer is excluded', {}, ['maker']],
    ['a reader is excluded', {}, ['reader']],
    [
      'a clipping has an upper end',
      { between: (g: Builder, made: Value) => g.Clip(made, 0, 6) },
      [],
    ],
    [
      'others read it as well',
      { between: (g: Builder, made: Value) => g.Mul(g.Relu(made), g.Sigmoid(made)) },
      [],
    ],
    ['there is no Relu', { between: (_: Builder, made: Value) => made }, []],
  ] as const)('leaves everything where %s', async (_, given, exclude) => {
    const { done } = await absorbed(high(given), signs, exclude)
    expect(done).toEqual({ channels: 0, layers: 0 })
  })
})

describe('SmoothQuant', () => {
  const smoothed = async (model: Model, data: typeof images, alpha = 0.5) => {
    const { prepared, before } = await preparedCopy(model)
    const summed = { samples: 32, context: contextOf(model, data) }
    const done = await smooth(prepared.model, prepared.excluded, alpha, summed, 'model')
    return { ...done, before, after: prepared.model }
  }

  it('folds into LayerNormalization what it can, and puts a Mul before the other projections', async () => {
    const { folded, multiplied, before, after } = await smoothed(attentive(), tokens)
    expect([folded, multiplied]).toEqual([3, 3])
    expect(operatorsOf(after).Mul).toBe(3)
    expect(await difference(before, after, tokens)).toBeLessThan(1e-5)
  })

  it('makes the channels of activations alike', async () => {
    const { after } = await smoothed(attentive(), tokens, 1)
    // With alpha = 1 every channel of the input has the largest magnitude 1.
    const [norm] = nodesOf(after, 'LayerNormalization')
    const probe = { ...after, graph: after.graph }
    probe.graph.outputs.splice(0, 1, norm!.output())
    const largest = new Array<number>(16).fill(0)
    for (let index = 0; index < tokens.size; index++) {
      const one = {
        ...tokens,
        read: (_: number, ...rest: [number, never, number]) => tokens.read(index, ...rest),
      }
      const values = await runOnce(probe, firstSample(one as typeof tokens))
      for (const [at, value] of values.entries())
        largest[at % 16] = Math.max(largest[at % 16]!, Math.abs(value))
    }
    for (const value of largest) expect(value).toBeCloseTo(1, 4)
  })

  it('scales convolutions where what makes their channels can be scaled', async () => {
    const { folded, multiplied, before, after } = await smoothed(mobile(), images)
    expect([folded, multiplied]).toEqual([5, 0])
    expect(await difference(before, after, images)).toBeLessThan(1e-5)
  })

  it('leaves excluded layers alone', async () => {
    const model = attentive()
    const { prepared } = await preparedCopy(model, ['op:MatMul'])
    const summed = { samples: 4, context: contextOf(model, tokens) }
    const done = await smooth(prepared.model, prepared.excluded, 0.5, summed, 'model')
    expect(done).toEqual({ folded: 0, multiplied: 0 })
  })
})

describe('outlier channel splitting', () => {
  it('keeps what the model computes and makes the range of the weights narrower', async () => {
    const { prepared, before } = await preparedCopy(mobile())
    const options = { expand: 0.1, highest: 127 }
    const { layers, channels } = splitOutliers(prepared.model.graph, prepared.excluded, options)
    expect(layers).toBeGreaterThan(2)
    expect(operatorsOf(prepared.model).Gather).toBe(layers)
    expect(channels).toBeGreaterThanOrEqual(layers)
    expect(await difference(before, prepared.model, images)).toBeLessThan(1e-5)
    const ranges = (model: Model) =>
      [...nodesOf(model, 'Conv'), ...nodesOf(model, 'Gemm')].map((node) =>
        Math.max(...constantAt(node, 1).map(Math.abs)),
      )
    const [was, is] = [ranges(before), ranges(prepared.model)]
    const narrower = is.filter((range, at) => range < 0.96 * was[at]!)
    expect(narrower.length).toBe(layers)
  })

  it('halves weights such that the sum of the rounded halves is the rounded weight', async () => {
    const { prepared } = await preparedCopy(attentive())
    const [first] = nodesOf(prepared.model, 'MatMul')
    const weight = first!.input(1)
    const values = elements(weight.tensor!, 'float32').slice()
    // One outlier: row 3 holds it.
    values[3 * 16 + 5] = 4
    weight.tensor = tensorOf('float32', [16, 16], values)
    splitOutliers(prepared.model.graph, prepared.excluded, { expand: 0.01, highest: 127 })
    const [node] = nodesOf(prepared.model, 'MatMul')
    const split = constantAt(node!, 1)
    expect(node!.input(1).tensor!.dims).toEqual([17, 16])
    const step = 2 / 127
    for (let column = 0; column < 16; column++) {
      const sum =
        Math.round(split[3 * 16 + column]! / step) + Math.round(split[16 * 16 + column]! / step)
      expect(Math.abs(sum - values[3 * 16 + column]! / step)).toBeLessThan(0.51)
    }
  })
})

describe('re-estimation of BatchNormalization', () => {
  it('takes the statistics of what rounded weights give, and leaves the weights', async () => {
    const model = normalized()
    const prepared = copyForQuantization(model, [], 'refuse')
    const count = await reestimateNormalizations(prepared, {
      bits: 2,
      perChannel: true,
      calibration: images,
      samples: 32,
      context: contextOf(model, images),
    })
    expect(count).toBe(1)
    const weight = nodesOf(model, 'Conv')[0]!.input(1)
    expect(nodesOf(prepared.model, 'Conv')[0]!.input(1).tensor).toBe(weight.tensor)

    const rounded = cloneModel(model)
    const [layer] = nodesOf(rounded, 'Conv')
    const { dims } = weight.tensor!
    const { values, scales } = quantizeWeights(elements(weight.tensor!, 'float32'), dims, 0, 2)
    const grid = Float32Array.from(values, (value, at) => value * scales[Math.floor(at / 27)]!)
    layer!.input(1).tensor = tensorOf('float32', dims, grid)
    rounded.graph.outputs.splice(0, 1, layer!.output())
    const { outputs } = await predict(rounded, images)
    const means = new Float64Array(8)
    for (const [at, value] of outputs.entries())
      means[Math.floor(at / 25) % 8]! += value / (images.size * 25)
    const found = constantAt(nodesOf(prepared.model, 'BatchNormalization')[0]!, 3)
    for (const [channel, mean] of means.entries()) expect(found[channel]).toBeCloseTo(mean, 4)
  })
})
