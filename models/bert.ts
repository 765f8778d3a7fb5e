// A small text encoder after BERT (Devlin et al. 2019), by default of the size of BERT-Tiny (Turc et al. 2019).
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio } from './common-options.ts'
import { encoderBlock } from './encoder.ts'
import { companions, tokens } from './intake.ts'
import { defineModel, type Feature, type Input, type Layers } from './layers.ts'
import {
  embedding,
  firstPlace,
  idsAmong,
  layerNormalisation,
  maskAmong,
  meanOverPlaces,
  pointwise,
} from './sequences.ts'

/** Of embeddings (Devlin et al.'s code). */
const deviation = 0.02
const epsilon = 1e-12

/**
 * Token and position embeddings, encoder blocks, and logits of the whole text or of each position.
 *
 * Inputs: ids `[length]`; one whose name ends with `attention_mask`, and one with `token_type_ids`, may stand beside
 * them. With its defaults on 128 of 30522 ids and 2 classes: 4,336,770 parameters and 58,736,896 MACs. On 512 positions
 * and with token types it has the 4,385,920 parameters of the published BERT-Tiny and the classifier's.
 */
export const bert = defineArchitecture({
  summary: 'Transformer encoder for text',
  options: z
    .strictObject({
      architecture: z.literal('bert').describe('Transformer encoder for text.'),
      layers: z.int().min(1).default(2).describe('Encoder blocks.'),
      hidden: z.int().min(1).default(128).describe('Width of every position.'),
      heads: z.int().min(1).default(2).describe('Heads of attention; they divide `hidden`.'),
      intermediate: z
        .int()
        .min(1)
        .default(512)
        .describe('Width between the two fully connected layers of a block.'),
      norm: z
        .enum(['post', 'pre'])
        .default('post')
        .describe('LayerNormalization behind each sum as in BERT, or before each branch.'),
      pool: z
        .enum(['cls', 'mean'])
        .default('cls')
        .describe('What stands for the text: its first position through a layer, or the mean.'),
      dropout: dropoutRatio.describe('Share dropped of embeddings and branches; 0.1 in BERT.'),
    })
    .refine(({ hidden, heads }) => hidden % heads === 0, {
      path: ['heads'],
      message: 'expected a divisor of hidden',
    }),
  intake: tokens([companions.mask, companions.types]),
  tags: true,
  build: ({ layers: count, hidden, norm, pool, ...options }, shape, random) =>
    defineModel('bert', shape, random, (layers, _, inputs) => {
      const mask = maskAmong(layers, inputs)
      let x = embedded(layers, inputs, hidden)
      if (norm === 'post') x = layerNormalisation(layers, 'embeddings.norm', x, epsilon)
      x = layers.dropout(x, options.dropout)
      for (let index = 1; index <= count; index++)
        x = encoderBlock(layers, `block${index}`, x, { ...options, norm, epsilon, mask })
      if (norm === 'pre') x = layerNormalisation(layers, 'final.norm', x, epsilon)
      if (shape.positions !== undefined) return pointwise(layers, 'classifier', x, shape.outputs)
      const row =
        pool === 'mean'
          ? meanOverPlaces(layers, x, mask)
          : layers.activation(layers.linear('pooler', firstPlace(layers, x), hidden), 'tanh')
      return layers.linear('classifier', layers.dropout(row, options.dropout), shape.outputs)
    }),
})

function embedded(layers: Layers, inputs: readonly Input[], hidden: number): Feature {
  const { g, weight } = layers
  const draw = () => deviation * layers.random.normal()
  let x = embedding(layers, 'embeddings.token', idsAmong(inputs), hidden, draw)
  const positions = weight('embeddings.position', x.shape, draw)
  x = { ...x, value: g.Add(x.value, positions) }
  const types = inputs.find(({ name }) => name.endsWith(companions.types))
  if (!types) return x
  // Two texts are the most that have been given types.
  const known = { ...types, ids: types.ids ?? 2 }
  return layers.add(x, embedding(layers, 'embeddings.type', known, hidden, draw))
}
