// Bidirectional LSTM over a text (Graves and Schmidhuber 2005; as a tagger: Ma and Hovy 2016, without characters and
// CRF): a number of outputs for each position, or for the whole text.
import { z } from 'zod'
import type { Value } from '../onnx/graph.ts'
import { dataTypes } from '../onnx/tensor.ts'
import { defineArchitecture } from './architecture.ts'
import { dropoutRatio } from './common-options.ts'
import { companions, tokens } from './intake.ts'
import { defineModel, type Feature, type Layers } from './layers.ts'
import {
  embedding,
  idsAmong,
  type Mask,
  maskAmong,
  meanOverPlaces,
  pointwise,
} from './sequences.ts'

/**
 * Embeddings, bidirectional LSTM layers, and logits of each position or of the whole text.
 *
 * Inputs: ids `[length]`; one whose name ends with `attention_mask` may stand beside them, and then texts end where it
 * says (its ones stand in front). With its defaults on 32 of 5000 ids and 9 tags: 387,721 parameters and 2,134,016
 * MACs.
 */
export const bilstmTagger = defineArchitecture({
  summary: 'Bidirectional LSTM for text',
  options: z.strictObject({
    architecture: z.literal('bilstm-tagger').describe('Bidirectional LSTM for text.'),
    embedding: z.int().min(1).default(64).describe('Width of the embeddings.'),
    hidden: z.int().min(1).default(64).describe('Units of each direction of each layer.'),
    layers: z.int().min(1).default(1).describe('Bidirectional layers.'),
    pool: z
      .enum(['mean', 'last'])
      .default('mean')
      .describe('What stands for a whole text: the mean, or where both directions end.'),
    dropout: dropoutRatio.describe('Share dropped before each layer; 0.5 in Ma and Hovy.'),
  }),
  intake: tokens([companions.mask]),
  tags: true,
  build: ({ embedding: width, hidden, layers: count, pool, dropout }, shape, random) =>
    defineModel('bilstm-tagger', shape, random, (layers, _, inputs) => {
      const mask = maskAmong(layers, inputs)
      // Ma and Hovy 2016, section 3.1: unit variance over the width.
      const limit = Math.sqrt(3 / width)
      const draw = () => limit * (2 * random.uniform() - 1)
      let x = embedding(layers, 'embedding', idsAmong(inputs), width, draw)
      const layer = (index: number) =>
        bidirectional(layers, `lstm${index}`, layers.dropout(x, dropout), hidden, mask)
      for (let index = 1; index < count; index++) x = layer(index).places()
      const last = layer(count)
      if (shape.positions === undefined && pool === 'last')
        return layers.linear('classifier', layers.dropout(last.ends(), dropout), shape.outputs)
      x = layers.dropout(last.places(), dropout)
      if (shape.positions !== undefined) return pointwise(layers, 'classifier', x, shape.outputs)
      return layers.linear('classifier', meanOverPlaces(layers, x, mask), shape.outputs)
    }),
})

/**
 * One layer over `[length, width]`: the states at each place, and the last ones, of both directions side by side.
 *
 * Glorot uniform weights by gate, zero biases but 1 for the forget gate (Ma and Hovy 2016, section 3.1).
 */
function bidirectional(
  { g, random, weight }: Layers,
  name: string,
  x: Feature,
  hidden: number,
  mask: Mask | undefined,
): { readonly places: () => Feature; readonly ends: () => Feature } {
  const [length, width] = x.shape as [number, number]
  const uniform = (inputs: number) => {
    const limit = Math.sqrt(6 / (inputs + hidden))
    return () => limit * (2 * random.uniform() - 1)
  }
  // Each direction has the blocks i, o, f, c of W and again of R.
  let element = 0
  const forgetFirst = () => (Math.floor((element++ % (8 * hidden)) / hidden) === 2 ? 1 : 0)
  const inputs = [
    g.Transpose(x.value, { perm: [1, 0, 2] }),
    weight(`${name}.weight`, [2, 4 * hidden, width], uniform(width)),
    weight(`${name}.recurrent`, [2, 4 * hidden, hidden], uniform(hidden)),
    weight(`${name}.bias`, [2, 8 * hidden], forgetFirst),
    mask && g.Cast(g.ReduceSum(mask.fed, [1], { keepdims: 0 }), { to: dataTypes.int32.code }),
  ]
  const attributes = { direction: 'bidirectional', hidden_size: hidden }
  const [all, ends] = g.node('LSTM', inputs, { name, attributes, outputs: 2 })
  const turned = (value: Value, perm: readonly number[], shape: readonly number[]): Feature => ({
    value: g.Reshape(g.Transpose(value, { perm }), [0, ...shape]),
    shape,
  })
  return {
    places: () => turned(all!, [2, 0, 1, 3], [length, 2 * hidden]),
    ends: () => turned(ends!, [1, 0, 2], [2 * hidden]),
  }
}
