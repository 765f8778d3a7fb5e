// Every loss on values inside the teacher, in a real training, from taps that are found and shapes that do not agree.
import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { distill } from '../../stages/distill/index.ts'
import type { connectors } from '../../train/connectors.ts'
import { classes, contextOf, shape } from '../stages/support.ts'

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
  expect(model.graph.initializers.length).toBe(student.graph.initializers.length)
  return (facts.epochs as { loss: number }[]).map(({ loss }) => loss)
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
})
