import { describe, expect, it } from '@jest/globals'
import { sha256 } from '../../base/hash.ts'
import type { Random } from '../../base/random.ts'
import type { Architecture } from '../../models/architecture.ts'
import {
  type ArchitectureInput,
  architectureOptions,
  architectures,
  buildArchitecture,
} from '../../models/index.ts'
import { type ModelShape, oneInput } from '../../models/layers.ts'
import { countMacs, countParameters } from '../../onnx/cost.ts'
import type { Model } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { fixDims, inferShapes } from '../../runtime/shapes.ts'
import { onnx } from '../../train/engines/onnx.ts'
import { optimizerOptions } from '../../train/options.ts'
import { Stepper } from '../../train/stepper.ts'
import { content, examples, feedsOf, text } from './examples.ts'

/** Weights of which only the number matters. */
const constant: Random = {
  uniform: () => 0.5,
  normal: () => 0.1,
  integer: () => 0,
  permutation: (count) => new Uint32Array(count),
}

function countable(options: ArchitectureInput, shape: ModelShape): Model {
  const whole = architectureOptions.parse(options)
  const architecture: Architecture = architectures[whole.architecture]
  return architecture.build(whole, shape, constant)
}

const parametersOf = (options: ArchitectureInput, shape: ModelShape) =>
  countParameters(countable(options, shape)).parameters

it('has the literal of each schema as its key', () => {
  const literals = Object.values(architectures).map((row) => row.options.shape.architecture.value)
  expect(literals).toEqual(Object.keys(architectures))
})

it('has an example of each', () => {
  const names = new Set(examples.map(([, { architecture }]) => architecture))
  expect([...names].sort()).toEqual(Object.keys(architectures).sort())
})

describe.each(examples)('%s', (_, options, shape, output = [shape.outputs]) => {
  const build = (seed: number) => buildArchitecture(options, { ...shape, seed })

  it('answers each sample of a batch as it does alone', async () => {
    await withSession(build(1), {}, async (session) => {
      expect(session.inputs.map(({ name }) => name)).toEqual(shape.inputs.map(({ name }) => name))
      const answer = async (first: number, count: number) => {
        const [tensor, ...others] = Object.values(await session.run(feedsOf(shape, first, count)))
        expect(others).toEqual([])
        expect(tensor!.dims).toEqual([count, ...output])
        return elements(tensor!, 'float32')
      }
      const together = await answer(0, 3)
      expect(together.every((value) => Number.isFinite(value) && Math.abs(value) < 100)).toBe(true)
      const width = sizeOf(output)
      for (const sample of [0, 1, 2])
        for (const [index, value] of (await answer(sample, 1)).entries())
          expect(Math.abs(value - together[sample * width + index]!)).toBeLessThan(1e-4)
      expect(together.subarray(0, width)).not.toEqual(together.subarray(width, 2 * width))
    })
  })

  it('depends on the seed alone', () => {
    const hash = (seed: number) => sha256(serializeModel(build(seed)))
    expect(hash(1)).toBe(hash(1))
    expect(hash(1)).not.toBe(hash(2))
  })

  it('is saved and loaded unchanged', () => {
    const bytes = serializeModel(build(1))
    expect(sha256(serializeModel(parseModel(bytes)))).toBe(sha256(bytes))
  })

  it('learns', async () => {
    const batch = 4
    const stepper = await Stepper.open({
      steps: 10,
      definition: {
        model: build(1),
        forward: {
          ...{ batch, freeze: [], batchStatistics: true, dropout: false },
          losses: [{ loss: 'match', weight: 1 }],
        },
        update: { optimizer: optimizerOptions.parse({ name: 'adamw', rate: 3e-3 }) },
      },
      engine: onnx,
      options: { provider: 'cpu', threads: 1, sharesCores: false, log: () => undefined },
      seed: 9,
      rate: () => 3e-3,
      mostSteps: 1,
    })
    try {
      const wanted = { name: 'wanted', dtype: 'float32', shape: output } as const
      const inputs = shape.inputs.map((input) => content(input, 0, batch).bytes)
      const targets = [elements(content(wanted, 0, batch), 'float32')]
      const indices = Uint32Array.from({ length: batch }, (_, index) => index)
      const losses: number[] = []
      for (let step = 0; step < 12; step++)
        losses.push(...(await stepper.take(step, { inputs, size: batch, indices }, targets)))
      expect(losses.at(-1)).toBeLessThan(0.95 * losses[0]!)
    } finally {
      await stepper.dispose()
    }
  })
})

const bertInputs = [
  ...text(512, 30522),
  { name: 'token_type_ids', dtype: 'int64', shape: [512] } as const,
]
const colour = oneInput([3, 32, 32], 10)
const photo = oneInput([3, 224, 224], 1000)
const digit = oneInput([1, 28, 28], 10)

describe('parameters and multiplications', () => {
  it.each<[ArchitectureInput, ModelShape, number, number]>([
    [{ architecture: 'mlp' }, digit, 784 * 256 + 256 * 128 + 1280 + 394, 234_752],
    [{ architecture: 'mlp', hidden: [] }, oneInput([12], 10), 12 * 10 + 10, 120],
    // LeCun et al. 1998, section III.C.4: 266,610.
    [{ architecture: 'lenet-300-100' }, digit, 266_610, 266_200],
    [{ architecture: 'lenet' }, digit, 69_362, 654_696],
    // By hand: C1 28²·25·6, C3 10²·25·6·16, then the matrices; everybody's LeNet-5 has 61,706 weights.
    [{ architecture: 'lenet-5' }, digit, 61_706, 117_600 + 240_000 + 48_000 + 10_080 + 840],
    [{ architecture: 'lenet-5' }, oneInput([1, 32, 32], 10), 61_706, 416_520],
    // He et al. 2016: 0.27 M.
    [{ architecture: 'resnet', depth: 20 }, colour, 272_474, 40_813_184],
    [{ architecture: 'resnet' }, colour, 78_042, 12_501_632],
    // Zagoruyko and Komodakis 2016: 36.5 M, and exactly so many in the authors' code.
    [{ architecture: 'wide-resnet', depth: 28, widen: 10 }, colour, 36_479_194, 5_243_328_768],
    // 0.7 M in the literature on distillation.
    [{ architecture: 'wide-resnet' }, colour, 691_674, 101_106_944],
    // 14.7 M and 313 M for VGG-16 on CIFAR in the literature on pruning.
    [{ architecture: 'vgg', depth: 16 }, colour, 14_724_042, 313_201_664],
    [{ architecture: 'vgg' }, colour, 3_917_386, 67_834_880],
    [{ architecture: 'mobilenet' }, colour, 136_778, 16_525_824],
    // Howard et al. 2017, table 4: 4.2 M and 569 M.
    [{ architecture: 'mobilenet-v1' }, photo, 4_231_976, 568_740_352],
    [{ architecture: 'mobilenet-v1' }, colour, 3_217_226, 175_556_608],
    // Sandler et al. 2018, table 4: 3.4 M and 300 M; torchvision: 3,504,872.
    [{ architecture: 'mobilenet-v2' }, photo, 3_504_872, 300_774_272],
    [{ architecture: 'mobilenet-v2' }, colour, 2_236_682, 87_976_448],
    // Howard et al. 2019, table 3: 2.5 M and 56 M; torchvision: 2,542,856.
    [{ architecture: 'mobilenet-v3-small' }, photo, 2_542_856, 56_510_400],
    [{ architecture: 'mobilenet-v3-small' }, colour, 1_528_106, 17_507_328],
    // MLPerf Tiny: 24,908 with 9·64 biases and 9·128 running statistics; Zhang et al. 2017: 2.7 M.
    [
      { architecture: 'ds-cnn' },
      oneInput([1, 49, 10], 12),
      24_908 - 576 - 1_152,
      125 * 64 * 40 + 4 * 125 * 64 * (9 + 64) + 768,
    ],
    [{ architecture: 'conv1d' }, oneInput([6, 128], 6), 36_806, 418_560],
    // Dai et al. 2017, table 1: M5 has 0.5 M.
    [
      { architecture: 'conv1d', width: 128, kernel: 80, stride: 4 },
      oneInput([32_000], 10),
      10_240 + 49_152 + 98_304 + 393_216 + 2 * (128 + 128 + 256 + 512) + 5_130,
      278_533_120,
    ],
    // Each direction: four gates of 64 units over 64 inputs and 64 states, and two biases.
    [
      { architecture: 'bilstm-tagger' },
      { inputs: text(32, 5000, false), outputs: 9, positions: 32 },
      5000 * 64 + 2 * 4 * 64 * (64 + 64 + 2) + 128 * 9 + 9,
      32 * (2 * 4 * 64 * (64 + 64) + 128 * 9),
    ],
    // Turc et al. 2019: the published BERT-Tiny has 4,385,920; the classifier has 258 more.
    [{ architecture: 'bert' }, { inputs: bertInputs, outputs: 2 }, 4_385_920 + 258, 335_560_960],
    [{ architecture: 'bert' }, { inputs: text(128, 30522), outputs: 2 }, 4_336_770, 58_736_896],
    // Touvron et al. 2021: 5 M and 1.3 G; in the authors' code 5,717,416 with a class token of 192 by itself.
    [{ architecture: 'vit', patch: 16 }, photo, 5_717_416 - 192, 1_253_683_200],
    [{ architecture: 'vit' }, colour, 5_362_570, 365_107_584],
    // MLPerf Tiny: 269,992 with 2,064 running statistics and 16 weights of a norm around the bottleneck.
    [{ architecture: 'autoencoder' }, oneInput([640], 640), 269_992 - 2_064 - 16, 264_192],
    [{ architecture: 'autoencoder' }, digit, 36_297, 533_120],
    [
      { architecture: 'two-tower' },
      {
        inputs: [
          { name: 'user', dtype: 'int64', shape: [], ids: 1000 },
          { name: 'item', dtype: 'int64', shape: [], ids: 500 },
        ],
        outputs: 1,
      },
      1500 * 32 + 2 * (32 * 64 + 64 + 64 * 32 + 32),
      2 * (32 * 64 + 64 * 32),
    ],
  ])('of %j are as published or by hand', async (options, shape, parameters, macs) => {
    const model = countable(options, shape)
    expect(countParameters(model).parameters).toBe(parameters)
    fixDims(model, { batch: 1 })
    await inferShapes(model)
    expect(countMacs(model)).toBe(macs)
  })

  it.each<[ArchitectureInput, ArchitectureInput, ModelShape, number]>([
    [{ architecture: 'mlp', hidden: [32] }, { architecture: 'mlp', hidden: [64] }, digit, 2],
    [{ architecture: 'lenet-300-100', width: 0.5 }, { architecture: 'lenet-300-100' }, digit, 2],
    [{ architecture: 'lenet-5', width: 0.5 }, { architecture: 'lenet-5' }, digit, 4],
    [{ architecture: 'resnet', width: 8 }, { architecture: 'resnet', width: 16 }, colour, 4],
    [
      { architecture: 'wide-resnet', widen: 2 },
      { architecture: 'wide-resnet', widen: 4 },
      colour,
      4,
    ],
    [{ architecture: 'vgg', width: 0.25 }, { architecture: 'vgg', width: 0.5 }, colour, 4],
    [{ architecture: 'mobilenet', width: 0.5 }, { architecture: 'mobilenet' }, colour, 4],
    [
      { architecture: 'mobilenet-v1', width: 0.25 },
      { architecture: 'mobilenet-v1', width: 0.5 },
      colour,
      4,
    ],
    [{ architecture: 'mobilenet-v2' }, { architecture: 'mobilenet-v2', width: 2 }, colour, 4],
    [
      { architecture: 'mobilenet-v3-small', width: 0.5 },
      { architecture: 'mobilenet-v3-small' },
      colour,
      4,
    ],
    [{ architecture: 'ds-cnn', channels: 64 }, { architecture: 'ds-cnn', channels: 128 }, digit, 4],
    [
      { architecture: 'conv1d', width: 16 },
      { architecture: 'conv1d', width: 32 },
      oneInput([500], 4),
      4,
    ],
    [
      { architecture: 'bert', hidden: 64, intermediate: 256 },
      { architecture: 'bert', hidden: 128, intermediate: 512 },
      { inputs: text(16, 50), outputs: 4 },
      4,
    ],
    [{ architecture: 'vit', hidden: 96 }, { architecture: 'vit' }, colour, 4],
  ])('grow with the width: %j, %j', (narrow, wide, shape, factor) => {
    const ratio = parametersOf(wide, shape) / parametersOf(narrow, shape)
    expect(ratio).toBeGreaterThan(0.8 * factor)
    expect(ratio).toBeLessThan(1.1 * factor)
  })
})

describe('the total stride of a MobileNet', () => {
  const side = async (stride: 'auto' | 1 | 2 | 4 | 8 | 16 | 32 | undefined, length: number) => {
    const options = { architecture: 'mobilenet-v1', width: 0.1, stride } as const
    const model = countable(options, oneInput([3, length, length], 10))
    fixDims(model, { batch: 1 })
    await inferShapes(model)
    const pool = model.graph.nodes.find(({ opType }) => opType === 'GlobalAveragePool')
    return pool!.input(0).type!.shape![3]
  }
  it.each([
    [undefined, 224, 7],
    [undefined, 96, 3],
    [undefined, 64, 4],
    [undefined, 32, 4],
    [undefined, 28, 4],
    [undefined, 5, 5],
    [32, 32, 1],
    [4, 32, 8],
    [1, 8, 8],
  ] as const)('%s on images of %i leaves %i', async (stride, length, left) => {
    expect(await side(stride, length)).toBe(left)
  })
})

describe('a text', () => {
  const shape = { inputs: text(6, 20), outputs: 3 }
  it.each<ArchitectureInput>([
    { architecture: 'bert', hidden: 8, intermediate: 12 },
    { architecture: 'bert', hidden: 8, intermediate: 12, norm: 'pre', pool: 'mean' },
    { architecture: 'bilstm-tagger', embedding: 6, hidden: 5, layers: 2 },
    { architecture: 'bilstm-tagger', embedding: 6, hidden: 5, layers: 2, pool: 'last' },
  ])('is read as far as its mask says: %j', async (options) => {
    const model = buildArchitecture(options, { ...shape, seed: 1 })
    await withSession(model, {}, async (session) => {
      const answer = async (ids: readonly number[], mask: readonly number[]) => {
        const { logits } = await session.run({
          input_ids: tensorOf('int64', [1, 6], ids),
          attention_mask: tensorOf('int64', [1, 6], mask),
        })
        return [...elements(logits!, 'float32')]
      }
      const near = (a: readonly number[], b: readonly number[]) =>
        Math.max(...a.map((value, index) => Math.abs(value - b[index]!)))
      const short = await answer([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 0, 0])
      expect(near(short, await answer([1, 2, 3, 7, 8, 9], [1, 1, 1, 0, 0, 0]))).toBeLessThan(1e-6)
      expect(near(short, await answer([1, 2, 9, 4, 5, 6], [1, 1, 1, 0, 0, 0]))).toBeGreaterThan(
        1e-4,
      )
      expect(near(short, await answer([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1]))).toBeGreaterThan(
        1e-4,
      )
      const empty = await answer([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0])
      expect(empty.every(Number.isFinite)).toBe(true)
    })
  })
})

it('spends little on names and structure', () => {
  const model = buildArchitecture(
    { architecture: 'resnet', depth: 8, width: 8 },
    { ...digit, seed: 1 },
  )
  const weights = [...model.graph.initializers].reduce((sum, v) => sum + v.tensor!.byteLength, 0)
  expect(serializeModel(model).length - weights).toBeLessThan(6000)
})

it.each([
  [{ architecture: 'resnet', depth: 9 }, '6n+2'],
  [{ architecture: 'wide-resnet', depth: 14 }, '6n+4'],
  [{ architecture: 'lenet', channels: [8] }, 'channels'],
  [{ architecture: 'bert', hidden: 10, heads: 3 }, 'expected a divisor of hidden'],
  [{ architecture: 'vit', hidden: 10, heads: 3 }, 'expected a divisor of hidden'],
  [{ architecture: 'vgg', depth: 12 }, 'depth'],
  [{ architecture: 'mobilenet-v2', stride: 3 }, 'stride'],
])('refuses %j', (options, message) => {
  expect(() => architectureOptions.parse(options)).toThrow(message)
})

const users = [
  { name: 'user', dtype: 'int64', shape: [], ids: 3 },
  { name: 'film', dtype: 'int64', shape: [], ids: 3 },
] as const

it.each<[ArchitectureInput, ModelShape, string]>([
  [
    { architecture: 'lenet' },
    oneInput([10], 2),
    "takes images [C,H,W]: the data has [10] — use 'mlp'",
  ],
  [{ architecture: 'lenet' }, oneInput([1, 3, 8], 2), 'takes images of at least 4x4'],
  [{ architecture: 'lenet-5' }, oneInput([1, 11, 28], 2), 'takes images of at least 12x12'],
  [
    { architecture: 'resnet' },
    { inputs: text(8, 9), outputs: 2 },
    'takes images [C,H,W]: the data has input_ids int64 [8], attention_mask int64 [8]',
  ],
  [{ architecture: 'mlp' }, { inputs: text(8, 9), outputs: 2 }, 'takes inputs of numbers'],
  [{ architecture: 'conv1d' }, digit, 'takes series [length] or [channels,length]'],
  [{ architecture: 'autoencoder' }, { inputs: users, outputs: 2 }, 'takes one input of numbers'],
  [{ architecture: 'bert' }, digit, 'takes ids [length] of which it is known how many there are'],
  [
    { architecture: 'bert' },
    { inputs: [{ name: 'ids', dtype: 'int64', shape: [8] }], outputs: 2 },
    'takes ids [length] of which it is known how many there are',
  ],
  [
    { architecture: 'bilstm-tagger' },
    {
      inputs: [...text(8, 9), { name: 'token_type_ids', dtype: 'int64', shape: [8] }],
      outputs: 2,
    },
    'inputs of that length whose names end with attention_mask, one of each',
  ],
  [
    { architecture: 'bilstm-tagger' },
    { inputs: text(8, 9), outputs: 2, positions: 7 },
    'takes as many positions to tag as there are ids: 8 ids, 7 positions',
  ],
  [
    { architecture: 'mlp' },
    { ...oneInput([4], 2), positions: 4 },
    "gives one answer a sample: the data wants one for each of 4 positions — use 'bert'",
  ],
  [
    { architecture: 'vit' },
    oneInput([1, 28, 30], 2),
    'patches of 4x4 do not fill the images: [1,28,30]',
  ],
  [
    { architecture: 'two-tower' },
    { inputs: users, outputs: 1 },
    "item: the data has no input of that name: 'item' — known: user, film",
  ],
  [
    { architecture: 'two-tower', user: ['user'], item: ['user'] },
    { inputs: users, outputs: 1 },
    "an input is in no tower: 'film'",
  ],
  [
    { architecture: 'two-tower', item: ['film'] },
    { inputs: users, outputs: 3 },
    'gives one number a sample: the data wants 3',
  ],
  [
    { architecture: 'mlp' },
    { inputs: [{ name: 'logits', dtype: 'float32', shape: [3] }], outputs: 3 },
    "an input is called like the output: 'logits'",
  ],
])('says that %j does not take %j', (options, shape, message) => {
  expect(() => buildArchitecture(options, { ...shape, seed: 0 })).toThrow(message)
})
