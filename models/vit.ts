// Vision transformer (Dosovitskiy et al. 2021), pre-norm; by default the tiny one of Touvron et al. (2021, DeiT-Ti)
// with small patches for small images.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio } from './common-options.ts'
import { encoderBlock } from './encoder.ts'
import { images } from './intake.ts'
import { defineModel, type Feature, type Layers } from './layers.ts'
import { firstPlace, layerNormalisation, meanOverPlaces } from './sequences.ts'

/** Of position embeddings and the class token (Dosovitskiy et al.'s code). */
const deviation = 0.02
const epsilon = 1e-6

/**
 * Patches as a sequence, encoder blocks, logits from a class token or from the mean.
 *
 * With its defaults on [3,32,32] and 10 classes: 5,362,570 parameters and 365,107,584 MACs. With patches of 16 on
 * [3,224,224] and 1000 classes: 5,717,224 parameters and 1,253,683,200 MACs (published: 5 M and 1.3 G). The class token
 * and its position, which are only ever added, are one vector here, 192 numbers less.
 */
export const vit = defineArchitecture({
  summary: 'Vision transformer',
  options: z
    .strictObject({
      architecture: z.literal('vit').describe('Vision transformer.'),
      patch: z
        .int()
        .min(1)
        .default(4)
        .describe('Side of a patch in pixels; it divides both sides. 16 for 224x224.'),
      depth: z.int().min(1).default(12).describe('Encoder blocks.'),
      hidden: z.int().min(1).default(192).describe('Width of every patch.'),
      heads: z.int().min(1).default(3).describe('Heads of attention; they divide `hidden`.'),
      ratio: z
        .number()
        .positive()
        .default(4)
        .describe('Width between the two fully connected layers of a block, over `hidden`.'),
      pool: z
        .enum(['token', 'mean'])
        .default('token')
        .describe('What stands for the image: a class token, or the mean of the patches.'),
      dropout: dropoutRatio.describe('Share dropped of embeddings and branches while training.'),
    })
    .refine(({ hidden, heads }) => hidden % heads === 0, {
      path: ['heads'],
      message: 'expected a divisor of hidden',
    }),
  intake: images(),
  build: ({ patch, depth, hidden, heads, ratio, pool, dropout }, shape, random) =>
    defineModel('vit', shape, random, (layers, input) => {
      if (input.shape.slice(1).some((side) => side % patch !== 0))
        throw new UserError(
          `architecture 'vit': patches of ${patch}x${patch} do not fill the images: [${input.shape.join(',')}] — choose a patch that divides both sides`,
        )
      let x = patches(layers, input, { patch, hidden, token: pool === 'token' })
      x = layers.dropout(x, dropout)
      const intermediate = Math.max(1, Math.round(ratio * hidden))
      for (let index = 1; index <= depth; index++)
        x = encoderBlock(layers, `block${index}`, x, {
          ...{ heads, intermediate, norm: 'pre', epsilon, dropout },
        })
      x = layerNormalisation(layers, 'final.norm', x, epsilon)
      const row = pool === 'token' ? firstPlace(layers, x) : meanOverPlaces(layers, x, undefined)
      return layers.linear('classifier', row, shape.outputs)
    }),
})

/** The sequence of patches, positions added; a token in front has no patch but its position. */
function patches(
  layers: Layers,
  image: Feature,
  options: { readonly patch: number; readonly hidden: number; readonly token: boolean },
): Feature {
  const { g, random, weight } = layers
  const { patch, hidden, token } = options
  const cut = layers.convolution('patches', image, hidden, {
    ...{ kernel: patch, stride: patch, padding: 'valid', bias: true },
  })
  const count = cut.shape[1]! * cut.shape[2]!
  const row = g.Transpose(g.Reshape(cut.value, [0, hidden, count]), { perm: [0, 2, 1] })
  const length = token ? count + 1 : count
  const places = token ? g.Pad(row, [0, 1, 0, 0, 0, 0]) : row
  const position = weight('position', [length, hidden], () => deviation * random.normal())
  return { value: g.Add(places, position), shape: [length, hidden] }
}
