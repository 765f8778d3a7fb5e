// Training on labels and on a teacher's answers.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { sha256 } from '../../base/hash.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { predict } from '../../runtime/predict.ts'
import { distill } from '../../stages/distill/index.ts'
import type { StageContext } from '../../stages/stage.ts'
import { train } from '../../stages/train.ts'
import { classes, contextOf, data, shape } from './support.ts'

const mlp = (hidden: number, seed: number): Model =>
  buildArchitecture(
    { architecture: 'mlp', hidden: [hidden] },
    { ...oneInput(shape, classes), seed },
  )
const untrained = mlp(32, 1)

const trained = async (): Promise<Model> => {
  const options = train.options.parse({ stage: 'train', epochs: 8, batch: 32 })
  const { model } = await train.run(
    { model: untrained, facts: {} },
    options,
    contextOf(untrained).context,
  )
  return model
}

const distilled = (context: StageContext, options: object = {}) =>
  distill.run(
    { model: mlp(6, 2), facts: {} },
    distill.options.parse({
      ...{ stage: 'distill', epochs: 3, batch: 32 },
      optimizer: { name: 'adamw', rate: 0.01 },
      ...options,
    }),
    context,
  )

const bytesOf = (model: Model): string => sha256(serializeModel(model))

/** The share of test samples for which two models say the same. */
async function agreement(one: Model, other: Model): Promise<number> {
  const answers = await Promise.all(
    [one, other].map(async (model) => {
      const { outputs } = await predict(model, data.test)
      return Array.from({ length: data.test.size }, (_, row) => {
        const values = [...outputs.subarray(row * classes, (row + 1) * classes)]
        return values.indexOf(Math.max(...values))
      })
    }),
  )
  return answers[0]!.filter((answer, row) => answer === answers[1]![row]).length / data.test.size
}

describe('distillation', () => {
  it('makes the student answer as the teacher does, without a single label', async () => {
    const teacher = await trained()
    const { context } = contextOf(teacher)
    const before = await agreement(mlp(6, 2), teacher)
    const { model, facts } = await distilled(context, { epochs: 8, losses: [{ loss: 'kl' }] })
    const after = await agreement(model, teacher)
    expect(after).toBeGreaterThan(0.9)
    expect(after).toBeGreaterThan(before)
    expect(facts.losses).toEqual([{ loss: 'kl', weight: 1, temperature: 4, standardise: false }])
    expect(facts.epochs).toHaveLength(8)
  })

  it('asks the teacher once, and again where its answers on disk are damaged', async () => {
    const { context, messages } = contextOf(await trained())
    const { folder, shared } = context
    const asked = () => messages.filter((message) => message.startsWith('teacher answers')).length
    const anew = async () => {
      rmSync(folder, { recursive: true, force: true })
      return bytesOf((await distilled(context)).model)
    }
    const first = await anew()
    expect(asked()).toBe(1)
    expect(await anew()).toBe(first)
    expect(asked()).toBe(1)
    const [name = ''] = readdirSync(shared)
    const content = readFileSync(join(shared, name))
    content[10]! ^= 1
    writeFileSync(join(shared, name), content)
    expect(await anew()).toBe(first)
    expect(asked()).toBe(2)
  })

  it.each([
    ['augmented', { shift: 1 }],
    ['mixed', { mixup: 0.2 }],
  ])('asks the teacher about what the student sees where samples are %s', async (_, augment) => {
    const { context, messages } = contextOf(await trained())
    const { model } = await distilled(context, { augment })
    expect(messages.filter((message) => message.startsWith('teacher answers'))).toEqual([])
    expect(await agreement(model, context.teacher)).toBeGreaterThan(0.5)
  })

  it('asks the teacher once where the augmentation changes nothing', async () => {
    const { context, messages } = contextOf(await trained())
    await distilled(context, { augment: { shift: 0, mixup: 0 } })
    expect(messages.filter((message) => message.startsWith('teacher answers'))).toHaveLength(1)
  })

  it('starts from the student that the options name', async () => {
    const { context } = contextOf(await trained())
    const { model } = await distilled(context, { student: { architecture: 'mlp', hidden: [5] } })
    const shapes = [...model.graph.initializers].map(({ tensor }) => tensor?.dims.join('x'))
    expect(shapes).toContain('5x64')
  })

  it('needs data', async () => {
    const { context } = contextOf(untrained)
    await expect(distilled({ ...context, data: undefined })).rejects.toThrow(
      'training needs data: there is none — name a data set',
    )
  })
})
