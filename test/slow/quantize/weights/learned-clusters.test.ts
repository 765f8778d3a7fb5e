// Training what clusters are worth: weights stay together and zeros zero, and the answers come closer to those before.
import { beforeAll, describe, expect, it } from '@jest/globals'
import { architectureOptions, buildArchitecture } from '../../../../models/index.ts'
import { oneInput } from '../../../../models/layers.ts'
import type { Model } from '../../../../onnx/graph.ts'
import { layersOf } from '../../../../onnx/layers.ts'
import { packedOf } from '../../../../onnx/packed.ts'
import { liftConstants } from '../../../../onnx/passes/constants.ts'
import { elements, tensorOf } from '../../../../onnx/tensor.ts'
import { quantize } from '../../../../stages/quantize/index.ts'
import type { Artifact } from '../../../../stages/stage.ts'
import { train } from '../../../../stages/train.ts'
import { classes, contextOf, shape } from '../../../stages/support.ts'

const input = { ...oneInput(shape, classes), seed: 1 }

/** A small net that has learned its samples, a third of whose weights are zero. */
let float: Model
beforeAll(async () => {
  const net = buildArchitecture(
    architectureOptions.parse({ architecture: 'lenet', channels: [6, 8], hidden: [24] }),
    input,
  )
  const optimizer = { name: 'adamw', rate: 0.01 }
  const options = train.options.parse({ stage: 'train', epochs: 6, batch: 32, optimizer })
  float = (await train.run({ model: net, facts: {} }, options, contextOf(net).context)).model
  liftConstants(float)
  for (const { weight } of layersOf(float.graph)) {
    const tensor = weight.tensor!
    const holey = elements(tensor, 'float32').map((value, at) => (at % 3 ? value : 0))
    weight.tensor = tensorOf('float32', tensor.dims, holey)
  }
})

const run = async (more: object) => {
  const options = quantize.options.parse({ stage: 'quantize', scheme: 'clusters', ...more })
  return quantize.run({ model: float, facts: {} }, options, contextOf(float).context)
}

const recover = {
  ...{ epochs: 6, batch: 32, keep: 'last', score: 'divergence' },
  optimizer: { name: 'adamw', rate: 0.003 },
}

const weightsOf = (model: Model) => layersOf(model.graph).map(({ weight }) => weight.tensor!)

/** What a training of clusters that stay what they are says of them. */
const still = { ...recover, epochs: 1, optimizer: { name: 'sgd', rate: 1e-12 } }

/** How far the answers are from those of the float model after a training. */
const divergence = ({ facts }: Artifact): number => -facts.epochs!.at(-1)!.score

describe('clusters that learn', () => {
  it.each([
    ['tensor', 3],
    ['channel', 2],
  ] as const)('of a %s stay together, answer better, and are packed', async (shared, clusters) => {
    const plain = await run({ clusters, shared, recover: still })
    const learned = await run({ clusters, shared, recover })
    const { model, facts } = learned
    expect(facts.summary).toMatch(/^clusters, \d clusters a \w+: 4 weights in .*; trained 6 epochs/)
    expect(facts.epochs).toHaveLength(6)
    const before = weightsOf(plain.model)
    for (const [index, tensor] of weightsOf(model).entries()) {
      const own = elements(tensor, 'float32')
      const first = elements(before[index]!, 'float32')
      expect(own.every((value, at) => (value === 0) === (first[at] === 0))).toBe(true)
      expect(own.some((value, at) => value !== first[at])).toBe(true)
      // Tables of the small ones would win nothing.
      if (tensor.byteLength > 4096) expect(packedOf(tensor)).toBeDefined()
      if (shared === 'channel') continue
      const values = new Map<number, number>()
      for (const [at, value] of own.entries()) {
        expect(value).toBe(values.get(first[at]!) ?? value)
        values.set(first[at]!, value)
      }
      expect(values.size).toBe(clusters + 1)
    }
    expect(divergence(learned)).toBeLessThan(0.8 * divergence(plain))
  })

  it('are taught by labels where that is asked for', async () => {
    const { facts } = await run({ clusters: 3, recover: { ...recover, epochs: 1, labels: true } })
    expect(facts.losses).toEqual([expect.objectContaining({ loss: 'cross-entropy' })])
  })

  it('ask for data, and go with clusters alone', async () => {
    expect(
      quantize.dataUse?.(
        quantize.options.parse({ stage: 'quantize', scheme: 'clusters', recover }),
      ),
    ).toBe('always')
    const { error } = quantize.options.safeParse({ stage: 'quantize', scheme: 'ternary', recover })
    expect(error?.issues[0]?.message).toBe("does not go with scheme 'ternary'")
    await expect(
      quantize.run(
        { model: float, facts: {} },
        quantize.options.parse({ stage: 'quantize', scheme: 'clusters', recover }),
        { ...contextOf(float).context, data: undefined },
      ),
    ).rejects.toThrow(/^training needs data/)
  })
})
