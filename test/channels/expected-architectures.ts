// The groups of every architecture, and the proof that they are cut rightly.
import { expect } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { examples, feedsOf } from '../models/examples.ts'
import { expectSameAsZeroed } from './masking.ts'

/** Groups by example; those by the width of heads where these are others. All but the outputs can be cut. */
const counts: Readonly<Record<string, readonly [byHeads: number, byWidth?: number]>> = {
  mlp: [2],
  'mlp of several inputs with all options': [3],
  'lenet-300-100': [3],
  lenet: [4],
  'lenet-5': [5],
  'lenet-5 as it is today': [5],
  resnet: [7],
  'wide-resnet': [8],
  vgg: [6],
  mobilenet: [7],
  'mobilenet-v1': [15],
  'mobilenet-v2': [22],
  'mobilenet-v3-small': [26],
  'ds-cnn': [4],
  'conv1d of one channel': [5],
  'conv1d of channels': [6],
  'bilstm-tagger': [4],
  'bilstm-tagger without a mask': [3],
  'bilstm-tagger for whole texts': [3],
  'bilstm-tagger for whole texts by their ends': [3],
  bert: [7, 9],
  'bert with types, pre-norm, by the mean': [4, 5],
  'bert as a tagger': [4, 5],
  vit: [6, 8],
  'vit by the mean': [4, 5],
  autoencoder: [4],
  'autoencoder of images': [6],
  'autoencoder of images, plain': [4],
  'two-tower': [5],
  'two-tower with features': [4],
}

/** Why the groups of an example that cannot be cut have to stay, one reason for all. */
const reasons: Readonly<Record<string, readonly string[]>> = {
  autoencoder: ["output 'output' of the model keeps its shape"],
  'autoencoder of images': ["output 'output' of the model keeps its shape"],
  'autoencoder of images, plain': ['it is a single channel'],
  'two-tower': [],
  'two-tower with features': [],
}

/** The examples with what is expected of them, as rows of a test. */
export const architectures = examples.map(([what]) => what)

/** Cuts 30 % of every group of an example, by heads and by their width where these differ. */
export async function expectArchitecture(what: string, seeds: readonly number[]): Promise<void> {
  const [, options, shape] = examples.find(([name]) => name === what)!
  const model = buildArchitecture(options, { ...shape, seed: 1 })
  for (const [index, count] of (counts[what] ?? []).entries())
    for (const seed of seeds) {
      const { groups } = await expectSameAsZeroed(model, seed, {
        split: index === 0 ? 'heads' : 'width',
        feeds: feedsOf(shape, seed, 1),
      })
      expect(groups).toHaveLength(count!)
      expect(groups.flatMap(({ prunable }) => (prunable === true ? [] : [prunable]))).toEqual(
        reasons[what] ?? ["output 'logits' of the model keeps its shape"],
      )
    }
  expect(counts).toHaveProperty([what])
}
