// A small example of every architecture, with what its tests need: samples that depend on their number alone.
import { random } from '../../base/random.ts'
import type { ArchitectureInput } from '../../models/index.ts'
import { type InputShape, type ModelShape, oneInput } from '../../models/layers.ts'
import { sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'

/** Ids of a text, and its mask. */
export const text = (length: number, ids: number, mask = true): readonly InputShape[] => [
  { name: 'input_ids', dtype: 'int64', shape: [length], ids },
  ...(mask ? [{ name: 'attention_mask', dtype: 'int64', shape: [length] } as const] : []),
]

const numbersOf = (name: string, shape: readonly number[]) =>
  ({ name, dtype: 'float32', shape }) as const
const idsOf = (name: string, shape: readonly number[], ids: number) =>
  ({ name, dtype: 'int64', shape, ids }) as const

const small = oneInput([2, 9, 7], 5)
const tagging = { inputs: text(6, 20), outputs: 4, positions: 6 }
const sentence = { inputs: text(6, 20), outputs: 5 }

/** What it shows, the options, what it is built for, and the output's shape where it is not `[N, outputs]`. */
export const examples: readonly (readonly [
  what: string,
  options: ArchitectureInput,
  shape: ModelShape,
  output?: readonly number[],
])[] = [
  ['mlp', { architecture: 'mlp', hidden: [16] }, small],
  [
    'mlp of several inputs with all options',
    { architecture: 'mlp', hidden: [16, 8], activation: 'gelu', normalisation: true, dropout: 0.2 },
    { inputs: [numbersOf('a', [3]), numbersOf('b', []), numbersOf('c', [2, 2])], outputs: 3 },
  ],
  ['lenet-300-100', { architecture: 'lenet-300-100', width: 0.1, activation: 'tanh' }, small],
  ['lenet', { architecture: 'lenet', channels: [3, 4], hidden: [10] }, small],
  ['lenet-5', { architecture: 'lenet-5', width: 0.5 }, oneInput([1, 28, 28], 10)],
  [
    'lenet-5 as it is today',
    { architecture: 'lenet-5', width: 0.5, activation: 'relu', pool: 'max' },
    oneInput([1, 13, 32], 10),
  ],
  ['resnet', { architecture: 'resnet', depth: 8, width: 3 }, small],
  ['wide-resnet', { architecture: 'wide-resnet', depth: 10, widen: 0.5, dropout: 0.1 }, small],
  ['vgg', { architecture: 'vgg', width: 0.1 }, oneInput([3, 28, 28], 10)],
  ['mobilenet', { architecture: 'mobilenet', width: 0.125 }, small],
  ['mobilenet-v1', { architecture: 'mobilenet-v1', width: 0.1 }, small],
  ['mobilenet-v2', { architecture: 'mobilenet-v2', width: 0.1, dropout: 0.1 }, small],
  ['mobilenet-v3-small', { architecture: 'mobilenet-v3-small', width: 0.2, stride: 4 }, small],
  ['ds-cnn', { architecture: 'ds-cnn', channels: 8, blocks: 2 }, oneInput([1, 49, 10], 12)],
  ['conv1d of one channel', { architecture: 'conv1d', width: 6, stride: 2 }, oneInput([90], 4)],
  ['conv1d of channels', { architecture: 'conv1d', width: 6, depth: 5 }, oneInput([3, 41], 4)],
  [
    'bilstm-tagger',
    { architecture: 'bilstm-tagger', embedding: 6, hidden: 5, layers: 2 },
    tagging,
    [6, 4],
  ],
  [
    'bilstm-tagger without a mask',
    { architecture: 'bilstm-tagger', embedding: 6, hidden: 5, dropout: 0.1 },
    { ...tagging, inputs: text(6, 20, false) },
    [6, 4],
  ],
  [
    'bilstm-tagger for whole texts',
    { architecture: 'bilstm-tagger', embedding: 6, hidden: 5 },
    sentence,
  ],
  [
    'bilstm-tagger for whole texts by their ends',
    { architecture: 'bilstm-tagger', embedding: 6, hidden: 5, pool: 'last' },
    sentence,
  ],
  [
    'bert',
    { architecture: 'bert', hidden: 12, heads: 3, intermediate: 20, dropout: 0.1 },
    sentence,
  ],
  [
    'bert with types, pre-norm, by the mean',
    { architecture: 'bert', layers: 1, hidden: 8, intermediate: 12, norm: 'pre', pool: 'mean' },
    { ...sentence, inputs: [...text(6, 20), { ...idsOf('token_type_ids', [6], 2) }] },
  ],
  [
    'bert as a tagger',
    { architecture: 'bert', layers: 1, hidden: 8, intermediate: 12 },
    { ...tagging, inputs: text(6, 20, false) },
    [6, 4],
  ],
  [
    'vit',
    { architecture: 'vit', patch: 3, depth: 2, hidden: 12, heads: 2 },
    oneInput([2, 9, 6], 5),
  ],
  [
    'vit by the mean',
    { architecture: 'vit', depth: 1, hidden: 6, ratio: 1.5, pool: 'mean', dropout: 0.1 },
    oneInput([1, 8, 8], 5),
  ],
  ['autoencoder', { architecture: 'autoencoder', hidden: [10] }, oneInput([12], 12), [12]],
  ['autoencoder of images', { architecture: 'autoencoder' }, oneInput([2, 9, 12], 1), [2, 9, 12]],
  [
    'autoencoder of images, plain',
    { architecture: 'autoencoder', channels: [4], normalisation: false },
    oneInput([1, 6, 5], 1),
    [1, 6, 5],
  ],
  [
    'two-tower',
    { architecture: 'two-tower' },
    { inputs: [idsOf('user', [], 30), idsOf('item', [], 40)], outputs: 1 },
  ],
  [
    'two-tower with features',
    {
      architecture: 'two-tower',
      user: ['who', 'age'],
      item: ['what', 'tags'],
      hidden: [],
      width: 4,
    },
    {
      inputs: [
        idsOf('who', [1], 30),
        idsOf('what', [], 40),
        numbersOf('age', [2]),
        idsOf('tags', [3], 9),
      ],
      outputs: 1,
    },
  ],
]

/** Content for an input: sample `first` and the `count - 1` that follow it. */
export function content(input: InputShape, first: number, count: number): Tensor {
  const { name, dtype, shape, ids = 2 } = input
  const values = Array.from({ length: count }, (_, index) => {
    const source = random(5, name, first + index)
    const draw = (place: number) => {
      if (dtype === 'float32') return source.normal()
      // Texts of different lengths.
      if (name.endsWith('attention_mask')) return place < 6 - ((first + index) % 3) ? 1 : 0
      return source.integer(ids)
    }
    return Array.from({ length: sizeOf(shape) }, (_, place) => draw(place))
  }).flat()
  return tensorOf(dtype, [count, ...shape], values)
}

/** All inputs of some samples by name. */
export const feedsOf = ({ inputs }: ModelShape, first: number, count: number) =>
  Object.fromEntries(inputs.map((input) => [input.name, content(input, first, count)]))
