// Every loss on values inside the teacher, in a real training, from taps that are found and shapes that do not agree.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { distill } from '../../stages/distill/index.ts'
import type { connectors } from '../../train/connectors.ts'
import { classes, contextOf, shape } from '../stages/support.ts'
import { datasetOf } from '../support/samples.ts'

const resnet = (width: number, seed: number): Model =>
  buildArchitecture(
    { architecture: 'resnet', depth: 8, width },
    { ...oneInput(shape, classes), seed },
  )
const teacher = resnet(8, 1)
const student = resnet(4, 2)

/** The mean loss of each epoch. */
async function lossesOf(term: object): Promise<number[]> {
  const { model, facts } = await distill.run(
    { model: student, facts: {} },
    distill.options.parse({
      ...{ stage: 'distill', epochs: 3, batch: 32 },
      optimizer: { name: 'adamw', rate: 0.01 },
      losses: [term],
    }),
    contextOf(teacher).context,
  )
  // What a loss learns for itself is thrown away.
  expect(model.graph.initializers.size).toBe(student.graph.initializers.size)
  return facts.epochs!.map(({ loss }) => loss)
}

const alike = [
  'feature',
  'attention-transfer',
  'fsp',
  'similarity',
  'correlation',
  'pkt',
  'relational',
  'nst',
  'cwd',
]

/** Signals of two channels, whose class is how fast they swing. */
const signals = (size: number, seed: number) =>
  datasetOf({
    source: 'swings',
    shape: [2, 32],
    classes: ['a', 'b', 'c', 'd'],
    labels: Int32Array.from({ length: size }, (_, index) => index % classes),
    write(index, into) {
      const noise = random(seed, index)
      const phase = 6 * noise.uniform()
      for (let at = 0; at < 64; at++)
        into[at] =
          Math.sin(phase + (at % 32) * (0.3 + 0.4 * (index % classes))) + noise.normal() / 4
    },
  })

describe('distillation from values inside the teacher', () => {
  it.each(alike)('makes the student more like the teacher by %s', async (loss) => {
    const [first, ...rest] = await lossesOf({ loss })
    expect(rest.at(-1)).toBeLessThan(first!)
  })

  it('puts neurons on the right side of zero', async () => {
    const term = { loss: 'activation-boundary', connector: 'linear' }
    const [first, ...rest] = await lossesOf(term)
    expect(rest.at(-1)).toBeLessThan(first!)
  })

  it.each(['linear', 'conv', 'projection'] satisfies (keyof typeof connectors)[])(
    'learns with a connector that is thrown away: %s',
    async (connector) => {
      const [first, ...rest] = await lossesOf({ loss: 'feature', connector })
      expect(rest.at(-1)).toBeLessThan(first!)
    },
  )

  it.each(['feature', 'attention-transfer', 'nst', 'fsp'])(
    'takes the channels of signals for channels: %s',
    async (loss) => {
      const conv1d = (width: number, seed: number) =>
        buildArchitecture(
          { architecture: 'conv1d', depth: 3, width },
          { ...oneInput([2, 32], classes), seed },
        )
      const { context } = contextOf(conv1d(8, 1))
      const data = {
        train: signals(256, 1),
        validation: signals(64, 2),
        calibration: signals(128, 1),
        test: signals(64, 3),
      }
      const { facts } = await distill.run(
        { model: conv1d(4, 2), facts: {} },
        distill.options.parse({
          ...{ stage: 'distill', epochs: 3, batch: 32 },
          optimizer: { name: 'adamw', rate: 0.01 },
          losses: [{ loss }],
        }),
        { ...context, data },
      )
      const [first, ...rest] = facts.epochs!.map((epoch) => epoch.loss)
      expect(rest.at(-1)).toBeLessThan(first!)
    },
  )
})
