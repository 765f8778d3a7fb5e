// Training with the rounding of quantization in it: what is stored is what was trained, zeros and clusters hold, and few
// bits lose less than without.
import { beforeAll, describe, expect, it } from '@jest/globals'
import { architectureOptions, buildArchitecture } from '../../../../models/index.ts'
import { oneInput } from '../../../../models/layers.ts'
import { cloneModel } from '../../../../onnx/clone.ts'
import type { Model } from '../../../../onnx/graph.ts'
import { layersOf } from '../../../../onnx/layers.ts'
import { liftConstants } from '../../../../onnx/passes/constants.ts'
import { elements, numbers, tensorOf } from '../../../../onnx/tensor.ts'
import { predict } from '../../../../runtime/predict.ts'
import { cooled } from '../../../../stages/quantize/aware/train.ts'
import { quantize } from '../../../../stages/quantize/index.ts'
import { machineAdvice } from '../../../../stages/quantize/machine.ts'
import type { StageContext } from '../../../../stages/stage.ts'
import { train } from '../../../../stages/train.ts'
import { classes, contextOf, data, shape } from '../../support.ts'

const input = { ...oneInput(shape, classes), seed: 1 }
const optimizer = { name: 'adamw', rate: 0.01 }

/** A small net that has learned its samples. */
let float: Model
beforeAll(async () => {
  const net = buildArchitecture(
    architectureOptions.parse({ architecture: 'lenet', channels: [4, 6], hidden: [12] }),
    input,
  )
  const options = train.options.parse({ stage: 'train', epochs: 6, batch: 32, optimizer })
  float = (await train.run({ model: net, facts: {} }, options, contextOf(net).context)).model
})

const run = async (
  aware: object | undefined,
  more: object = {},
  model = float,
  context?: StageContext,
) => {
  const options = quantize.options.parse({
    stage: 'quantize',
    scheme: 'static',
    ...(aware && {
      aware: { epochs: 2, batch: 32, optimizer: { ...optimizer, rate: 0.003 }, ...aware },
    }),
    ...more,
  })
  return quantize.run({ model, facts: {} }, options, context ?? contextOf(float).context)
}

/** The stored integers of each layer's weights. */
const integersOf = ({ graph }: Model) =>
  graph.nodes.flatMap((node) => {
    if (node.opType !== 'DequantizeLinear') return []
    const { tensor } = node.input(0)
    return tensor && tensor.dtype !== 'int32' ? [numbers(tensor)] : []
  })

// Weights of 8 bits are refused where sums of products with them saturate; what is taken then are 7.
const { weightBits: most } = await machineAdvice('cpu')

describe('quantization-aware training', () => {
  it.each([
    ['lsq', 4],
    ['pact', 4],
    ['none', most],
    ['none', 2],
  ])('stores weights in the levels of their bits (%s, %i)', async (learn, weightBits) => {
    const { model, facts } = await run({ learn, weightBits })
    expect(facts.summary).toMatch(/aware of it: trained 2 epochs/)
    const all = integersOf(model)
    expect(all.length).toBeGreaterThanOrEqual(4)
    const largest = Math.max(...all.flat().map(Math.abs))
    expect(largest).toBe(2 ** (weightBits - 1) - 1)
  })

  it('keeps more with 4 bits than rounding does', async () => {
    /** Mean divergence of the answers from those of the float model. */
    const agreed = async (aware: object): Promise<number> => {
      const { model } = await run({ learn: 'none', weightBits: 4, keep: 'last', ...aware })
      const [before, after] = [await predict(float, data.test), await predict(model, data.test)]
      const rows = (outputs: Float32Array) =>
        Array.from({ length: data.test.size }, (_, row) => {
          const exps = [...outputs.slice(row * classes, (row + 1) * classes)].map(Math.exp)
          const sum = exps.reduce((total, each) => total + each, 0)
          return exps.map((each) => each / sum)
        })
      const [p, q] = [rows(before.outputs), rows(after.outputs)]
      const terms = p.flatMap((row, index) =>
        row.map((share, place) => share * Math.log(share / q[index]![place]!)),
      )
      return terms.reduce((sum, term) => sum + term, 0) / data.test.size
    }
    const rounded = await agreed({ epochs: 1, optimizer: { name: 'sgd', rate: 1e-12 } })
    const trained = await agreed({ epochs: 6, learn: 'lsq' })
    expect(trained).toBeLessThan(0.5 * rounded)
  })

  it('keeps pruned weights at zero, and weights in their clusters', async () => {
    const model = cloneModel(float)
    liftConstants(model)
    const [first, , third] = layersOf(model.graph)
    const pruned = elements(first!.weight.tensor!, 'float32').map((w, at) => (at % 3 ? w : 0))
    first!.weight.tensor = tensorOf('float32', first!.weight.tensor!.dims, pruned)
    const clustered = elements(third!.weight.tensor!, 'float32').map(
      (w) => Math.round(Math.max(-3, Math.min(3, w * 16))) / 16,
    )
    third!.weight.tensor = tensorOf('float32', third!.weight.tensor!.dims, clustered)
    const { model: done } = await run({}, { perChannel: false }, model)
    const all = integersOf(done)
    const own = all.find(({ length }) => length === pruned.length)!
    for (const [at, weight] of pruned.entries()) if (weight === 0) expect(own[at]).toBe(0)
    expect(own.filter((level) => level !== 0).length).toBeGreaterThan(pruned.length / 2)
    const codes = all.find(({ length }) => length === clustered.length)!
    const levelOf = new Map<number, number>()
    for (const [at, level] of codes.entries()) {
      const cluster = clustered[at]! + 0
      expect(level).toBe(levelOf.get(cluster) ?? level)
      levelOf.set(cluster, level)
    }
    expect(new Set(levelOf.values()).size).toBeGreaterThan(2)
  })

  it.each([
    [{ scheme: 'dynamic', aware: {} }, "does not go with scheme 'dynamic'"],
    [{ aware: {}, weights: 'uint8' }, 'use int8'],
    [{ aware: {}, symmetric: 'none' }, "use 'weights' or 'both'"],
    [{ aware: {}, quantized: 'extend' }, 'train the float model'],
    [{ aware: { activationBits: 12 } }, 'use uint16 or int16'],
    [{ aware: {}, repair: ['adaround'] }, "does not go with 'aware'"],
    [{ aware: { engine: 'tfjs' } }, 'cannot train through quantization'],
    [{ aware: { batchNormalization: 're-estimate' } }, 'ranges are kept like statistics'],
    [{ aware: { labels: true, losses: [{ loss: 'kl' }] } }, 'does not go with losses'],
    [{ aware: { weightBits: 9 } }, '8'],
  ])('refuses %j', (options, message) => {
    const { error } = quantize.options.safeParse({
      stage: 'quantize',
      scheme: 'static',
      ...options,
    })
    expect(error?.issues.map((issue) => issue.message).join()).toContain(message)
  })

  it('teaches few bits at low temperatures', () => {
    const kl = { loss: 'kl', weight: 1, temperature: 4, standardise: false } as const
    const temperatures = [3, 4, 5, 6, 7, 8].map((bits) => cooled([kl], bits)[0])
    expect(temperatures).toEqual([1, 1, 2, 2, 4, 4].map((temperature) => ({ ...kl, temperature })))
  })
})
