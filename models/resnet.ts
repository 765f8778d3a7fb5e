// Residual net for small images (He et al. 2016, section 4.2): a 3x3 stem, three stages of n blocks, depth 6n+2.
import { z } from 'zod'
import { defineArchitecture } from './architecture.ts'
import { images } from './intake.ts'
import { defineModel, type Feature, type Layers, normalised } from './layers.ts'
import { residualStages } from './residual-stages.ts'

/**
 * A CIFAR-style residual net of any depth 6n+2 and width.
 *
 * With its defaults on [3,32,32] and 10 classes: 78,042 parameters and 12,501,632 MACs; at depth 20: 272,474 parameters
 * and 40,813,184 MACs (published: 0.27 M).
 */
export const resnet = defineArchitecture({
  summary: 'Residual net of depth 6n+2',
  options: z.strictObject({
    architecture: z.literal('resnet').describe('Residual net for small images.'),
    depth: z
      .int()
      .min(8)
      .refine((depth) => (depth - 2) % 6 === 0, 'expected 6n+2: 8, 14, 20, …')
      .default(8)
      .describe('Layers with weights: 6n+2 for n blocks a stage, so 8, 14, 20, …'),
    width: z
      .int()
      .min(1)
      .default(16)
      .describe('Channels of the first stage; the next ones have 2 and 4 times as many.'),
  }),
  intake: images(),
  build: ({ depth, width }, shape, random) =>
    defineModel(`resnet${depth}`, shape, random, (layers, input) => {
      const blocks = (depth - 2) / 6
      const stem = layers.relu(normalised(layers, 'stem', input, width, { kernel: 3 }))
      const widths = [width, 2 * width, 4 * width]
      const x = residualStages(stem, widths, blocks, (...block) => residual(layers, ...block))
      return layers.linear('classifier', layers.globalPool(x), shape.outputs)
    }),
})

/** relu(F(x) + x); where the shape changes, x goes through a 1x1 convolution (option B of the paper). */
function residual(
  layers: Layers,
  name: string,
  x: Feature,
  channels: number,
  stride: number,
): Feature {
  const inner = layers.relu(normalised(layers, `${name}.conv1`, x, channels, { kernel: 3, stride }))
  const branch = normalised(layers, `${name}.conv2`, inner, channels, { kernel: 3 })
  const changes = stride > 1 || x.shape[0] !== channels
  const shortcut = changes
    ? normalised(layers, `${name}.shortcut`, x, channels, { kernel: 1, stride })
    : x
  return layers.relu(layers.add(branch, shortcut))
}
