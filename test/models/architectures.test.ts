import { describe, expect, it } from '@jest/globals'
import { sha256 } from '../../base/hash.ts'
import {
  type ArchitectureInput,
  architectureOptions,
  architectures,
  buildArchitecture,
} from '../../models/index.ts'
import { type ModelShape, oneInput } from '../../models/layers.ts'
import { parseModel } from '../../onnx/load.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { fixDims, inferShapes } from '../../runtime/shapes.ts'
import { examples, feedsOf, text } from './examples.ts'
import {
  colour,
  countable,
  digit,
  expectCounts,
  expectLearning,
  isDeep,
  published,
} from './published.ts'

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
    const first = hash(1)
    expect(hash(1)).toBe(first)
    expect(hash(2)).not.toBe(first)
    const seeded = buildArchitecture({ ...options, seed: 1 }, { ...shape, seed: 2 })
    expect(sha256(serializeModel(seeded))).toBe(first)
  })

  it('is saved and loaded unchanged', () => {
    const bytes = serializeModel(build(1))
    expect(sha256(serializeModel(parseModel(bytes)))).toBe(sha256(bytes))
  })
})

it.each(examples.filter((example) => !isDeep(example)))('%s learns', (...example) =>
  expectLearning(example),
)

describe('parameters and multiplications', () => {
  it.each(published.quick)('of %j are as published or by hand', (...row) => expectCounts(row))

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
    // 1.4²
    [{ architecture: 'mobilenet-v2' }, { architecture: 'mobilenet-v2', width: 1.4 }, colour, 1.96],
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
    [{ architecture: 'vit', hidden: 48 }, { architecture: 'vit', hidden: 96 }, colour, 4],
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
  [
    { architecture: 'lenet', padding: 'valid' },
    oneInput([1, 15, 16], 2),
    'takes images of at least 16x16',
  ],
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
