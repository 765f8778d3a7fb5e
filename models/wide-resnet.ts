// Wide residual net (Zagoruyko and Komodakis 2016): pre-activation blocks, depth 6n+4, stages widened by a factor.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio, scaled } from './common-options.ts'
import { images } from './intake.ts'
import { defineModel, type Feature, type Layers } from './layers.ts'
import { residualStages } from './residual-stages.ts'

/**
 * WRN-depth-widen of table 1.
 *
 * With its defaults (WRN-16-2) on [3,32,32] and 10 classes: 691,674 parameters and 101,106,944 MACs. WRN-28-10 has
 * 36,479,194 parameters (published: 36.5 M) and 5,243,328,768 MACs.
 */
export const wideResnet = defineArchitecture({
  summary: 'Wide residual net of depth 6n+4',
  options: z.strictObject({
    architecture: z.literal('wide-resnet').describe('Wide residual net for small images.'),
    depth: z
      .int()
      .min(10)
      .refine((depth) => (depth - 4) % 6 === 0, 'expected 6n+4: 10, 16, 22, 28, …')
      .default(16)
      .describe('Layers with weights: 6n+4 for n blocks a stage, so 10, 16, 22, …'),
    widen: z
      .number()
      .positive()
      .max(16)
      .default(2)
      .describe('Multiplies the 16, 32 and 64 channels of the stages.'),
    dropout: dropoutRatio.describe('Share dropped between the two convolutions of a block.'),
  }),
  intake: images(),
  build: ({ depth, widen, dropout }, shape, random) =>
    defineModel(`wide-resnet${depth}`, shape, random, (layers, input) => {
      const blocks = (depth - 4) / 6
      const stem = layers.convolution('stem', input, 16, { kernel: 3 })
      const widths = [16, 32, 64].map((channels) => scaled(channels, widen))
      let x = residualStages(stem, widths, blocks, (name, x, channels, stride) =>
        residual(layers, name, x, channels, { stride, dropout }),
      )
      x = layers.relu(layers.normalisation('final.norm', x))
      return layers.linear('classifier', layers.globalPool(x), shape.outputs)
    }),
})

/** x + F(x) with normalisation and Relu before each convolution; they are shared where x needs a projection. */
function residual(
  layers: Layers,
  name: string,
  x: Feature,
  channels: number,
  { stride, dropout }: { readonly stride: number; readonly dropout: number },
): Feature {
  const open = layers.relu(layers.normalisation(`${name}.norm1`, x))
  let inner = layers.convolution(`${name}.conv1`, open, channels, { kernel: 3, stride })
  inner = layers.dropout(layers.relu(layers.normalisation(`${name}.norm2`, inner)), dropout)
  const branch = layers.convolution(`${name}.conv2`, inner, channels, { kernel: 3 })
  const changes = stride > 1 || x.shape[0] !== channels
  const shortcut = changes
    ? layers.convolution(`${name}.shortcut`, open, channels, { kernel: 1, stride })
    : x
  return layers.add(branch, shortcut)
}
