// Short trainings of a small net with options.
import { expect } from '@jest/globals'
import type { Splits } from '../../data/dataset.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { train } from '../../stages/train.ts'
import { classes, contextOf, data, shape } from './support.ts'

const net = (): Model =>
  buildArchitecture(
    { architecture: 'resnet', depth: 8, width: 4 },
    { ...oneInput(shape, classes), seed: 1 },
  )

/** Trains the net and gives, besides what the stage does, what was said and the bytes of the model. */
export async function trained(options: object = {}, splits: Splits = data, model = net()) {
  const { context, messages } = contextOf(model)
  const result = await train.run(
    { model, facts: {} },
    train.options.parse({ stage: 'train', epochs: 2, batch: 32, ...options }),
    { ...context, data: splits },
  )
  return {
    ...result,
    messages,
    bytes: Buffer.from(serializeModel(result.model)).toString('base64'),
  }
}

/** What trainings without options give, by their number of epochs: each is done once. */
const plainly = new Map<number, ReturnType<typeof trained>>()
function plain(epochs = 2): ReturnType<typeof trained> {
  const known = plainly.get(epochs) ?? trained({ epochs })
  plainly.set(epochs, known)
  return known
}

type Options = { readonly epochs?: number } & Readonly<Record<string, unknown>>

/** Options that each make another model of a training. */
export const heeded: readonly Options[] = [
  { rates: { 'op:Gemm': 0.1 } },
  { accumulate: 2 },
  { average: 0.9 },
  { batchNormalization: 'freeze' },
  { batchNormalization: 're-estimate' },
  { classWeights: [1, 2, 1, 0.5] },
  { clip: 0.1 },
  { freeze: ['stem*'] },
  { schedule: 'one-cycle' },
  { schedule: { name: 'plateau', patience: 1, threshold: 0.5 }, epochs: 4 },
  { optimizer: { name: 'lamb' } },
  { optimizer: { name: 'rmsprop', centred: true, momentum: 0.5 } },
  { augment: { mixup: 0.4 } },
]

/** Expects that options change what comes of a training. */
export async function expectHeeded(options: Options): Promise<string> {
  const other = await trained(options)
  expect(other.bytes).not.toBe((await plain(options.epochs)).bytes)
  return other.bytes
}

/** Expects the same of two trainings with these options, and something else without them. */
export async function expectRepeated(options: Options): Promise<void> {
  const bytes = await expectHeeded(options)
  expect((await trained(options)).bytes).toBe(bytes)
}
