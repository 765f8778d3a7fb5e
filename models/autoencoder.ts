// Autoencoder (Hinton and Salakhutdinov 2006): the input through a narrow layer and back. Images go through
// convolutions, everything else through the fully connected layers of MLPerf Tiny's anomaly detector.
import { z } from 'zod'
import { sizeOf } from '../onnx/tensor.ts'
import { defineArchitecture } from './architecture.ts'
import { anySingle } from './intake.ts'
import { activated, defineModel, type Feature, type Layers } from './layers.ts'
import { perceptron } from './perceptron.ts'

/**
 * The one output, called `output`, has the shape of the input, whatever number of outputs was asked for.
 *
 * With its defaults on [640]: 267,912 parameters and 264,192 MACs; MLPerf Tiny counts 269,992, in which are
 * BatchNormalization around the bottleneck and 2,064 running statistics. On [1,28,28]: 36,297 parameters and 533,120
 * MACs.
 */
export const autoencoder = defineArchitecture({
  summary: 'Autoencoder',
  options: z.strictObject({
    architecture: z.literal('autoencoder').describe('Gives its input back through a narrow layer.'),
    bottleneck: z.int().min(1).default(8).describe('Width of the narrow layer.'),
    hidden: z
      .array(z.int().min(1))
      .default([128, 128, 128, 128])
      .describe('Of inputs that are no images: layers before the narrow one, mirrored behind it.'),
    channels: z
      .array(z.int().min(1))
      .default([16, 32])
      .describe('Of images: channels of the convolutions, each at half the resolution.'),
    normalisation: z.boolean().default(true).describe('BatchNormalization before each activation.'),
  }),
  intake: anySingle,
  build: ({ bottleneck, hidden, channels, normalisation }, shape, random) =>
    defineModel(
      'autoencoder',
      shape,
      random,
      (layers, input) => {
        if (input.shape.length === 3)
          return convolutional(layers, input, { bottleneck, channels, normalisation })
        const options = { activation: 'relu', normalisation, dropout: 0 } as const
        let x = perceptron(layers, 'encoder', layers.flatten(input), hidden, options)
        x = layers.linear('bottleneck', x, bottleneck)
        x = perceptron(layers, 'decoder', x, hidden.toReversed(), options)
        return layers.reshape(layers.linear('reconstruction', x, sizeOf(input.shape)), input.shape)
      },
      'output',
    ),
})

function convolutional(
  layers: Layers,
  image: Feature,
  options: {
    readonly bottleneck: number
    readonly channels: readonly number[]
    readonly normalisation: boolean
  },
): Feature {
  const { bottleneck, channels, normalisation } = options
  const shapes = [image.shape]
  let x = image
  for (const [index, width] of channels.entries()) {
    const name = `encoder${index + 1}`
    const halved = { kernel: 3, stride: 2 }
    x = normalisation
      ? activated(layers, name, x, width, halved)
      : layers.relu(layers.convolution(name, x, width, { ...halved, bias: true }))
    shapes.push(x.shape)
  }
  const narrow = layers.linear('bottleneck', layers.flatten(x), bottleneck)
  const wide = layers.relu(layers.linear('expansion', narrow, sizeOf(x.shape)))
  x = layers.reshape(wide, x.shape)
  for (let index = channels.length; index > 0; index--) {
    const last = index === 1
    const name = last ? 'reconstruction' : `decoder${index}`
    const bias = last || !normalisation
    x = doubled(layers, name, x, { shape: shapes[index - 1]!, bias })
    if (!bias) x = layers.normalisation(`${name}.norm`, x)
    if (!last) x = layers.relu(x)
  }
  return x
}

/**
 * Transposed 3x3 convolution with stride 2, to a shape that its opposite came from.
 *
 * He initialisation over the inputs that an output sees, a quarter of the kernel in the mean (He et al. 2015).
 */
function doubled(
  { g, weight, random }: Layers,
  name: string,
  x: Feature,
  { shape, bias }: { readonly shape: readonly number[]; readonly bias: boolean },
): Feature {
  const [inputs = 1] = x.shape
  const [channels = 1, ...sides] = shape
  const deviation = Math.sqrt(2 / ((inputs * 9) / 4))
  const filter = weight(
    `${name}.weight`,
    [inputs, channels, 3, 3],
    () => deviation * random.normal(),
  )
  const [value] = g.node(
    'ConvTranspose',
    bias ? [x.value, filter, weight(`${name}.bias`, [channels], () => 0)] : [x.value, filter],
    {
      name,
      attributes: {
        kernel_shape: [3, 3],
        pads: [1, 1, 1, 1],
        strides: [2, 2],
        // 2·side - 1 places without it.
        output_padding: sides.map((side) => (side % 2 === 0 ? 1 : 0)),
      },
    },
  )
  return { value: value!, shape }
}
