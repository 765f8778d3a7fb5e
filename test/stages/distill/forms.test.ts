// The forms of distillation on data that is learned in a moment: who teaches, whom, in which order.
import { describe, expect, it } from '@jest/globals'
import { statedClasses, withClasses } from '../../../models/class-names.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import type { Model } from '../../../onnx/graph.ts'
import { checkRecipe } from '../../../pipeline/read-recipe.ts'
import { predict } from '../../../runtime/predict.ts'
import { parametersOf } from '../../../stages/distill/assistants.ts'
import { distill } from '../../../stages/distill/index.ts'
import { reorderLogits } from '../../../stages/distill/shift-logits.ts'
import type { StageContext } from '../../../stages/stage.ts'
import { train } from '../../../stages/train.ts'
import { tasks } from '../../../tasks/index.ts'
import { tinyRecipe } from '../../pipeline/tiny.ts'
import { classes, contextOf, data, shape } from '../support.ts'

const mlp = (hidden: readonly number[], seed: number): Model =>
  buildArchitecture(
    { architecture: 'mlp', hidden: [...hidden] },
    { ...oneInput(shape, classes), seed },
  )

const optimizer = { name: 'adamw', rate: 0.01 }

let made: Promise<Model> | undefined
const teacher = () => {
  made ??= (async () => {
    const model = mlp([32], 1)
    const options = train.options.parse({ stage: 'train', epochs: 4, batch: 32, optimizer })
    return (await train.run({ model, facts: {} }, options, contextOf(model).context)).model
  })()
  return made
}

const distilled = async (
  options: object,
  change: Partial<StageContext> = {},
  student = mlp([6], 2),
) => {
  const { context, messages } = contextOf(await teacher())
  const progress: number[] = []
  const result = await distill.run(
    { model: student, facts: {} },
    distill.options.parse({ stage: 'distill', epochs: 3, batch: 32, optimizer, ...options }),
    { ...context, progress: ({ done }) => progress.push(done), ...change },
  )
  return { ...result, messages, progress }
}

/** Two models say the same of the test samples. */
async function expectSame(one: Model, other: Model): Promise<void> {
  const [own, theirs] = [await predict(one, data.test), await predict(other, data.test)]
  const apart = own.outputs.map((value, at) => Math.abs(value - theirs.outputs[at]!))
  expect(Math.max(...apart)).toBeLessThan(1e-5)
}

/** The share of test samples that a model has right. */
async function accuracy(model: Model): Promise<number> {
  const { classification } = tasks
  const found = classification.normaliser(model.graph)(await predict(model, data.test))
  return classification.evaluate(found, data.test, found).accuracy.value
}

const logits = { taps: [{ teacher: 'hidden1*', student: 'hidden1*' }] }

describe('distillation', () => {
  it('goes over several generations, each taught by the one before', async () => {
    const { facts, messages, progress } = await distilled({ generations: 3 })
    expect(
      messages.filter((line) => line.startsWith('generation') && line.endsWith('parameters')),
    ).toHaveLength(2)
    expect(facts.epochs?.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(facts.summary).toMatch(/is the best of 3 generations/)
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
    expect(progress.at(-1)).toBe(1)
  })

  it.each<[string, unknown]>([
    ['that are named', [{ architecture: 'mlp', hidden: [16] }]],
    ['that are chosen by size', 'auto'],
  ])('goes through assistants %s, and gives back the student alone', async (_, assistants) => {
    const { model, facts, messages } = await distilled({ assistants })
    expect(parametersOf(model)).toBe(parametersOf(mlp([6], 2)))
    const lines = messages.flatMap((line) => /^assistant 1: (\d+) parameters$/.exec(line) ?? [])
    expect(Number(lines[1])).toBeGreaterThan(parametersOf(model))
    expect(Number(lines[1])).toBeLessThan(parametersOf(await teacher()))
    expect(facts.epochs).toHaveLength(6)
    expect(await accuracy(model)).toBeGreaterThan(0.9)
  })

  it('learns beside peers, and gives back the student alone', async () => {
    const { model, facts } = await distilled({
      epochs: 6,
      peers: [{ architecture: 'mlp', hidden: [12] }],
      losses: [{ loss: 'cross-entropy' }, { loss: 'mutual' }],
    })
    // Whoever goes on with the student alone has no peers.
    expect(facts.losses?.map(({ loss }) => loss)).toEqual(['cross-entropy'])
    expect(model.graph.outputs).toHaveLength(1)
    expect(parametersOf(model)).toBe(parametersOf(mlp([6], 2)))
    expect(await accuracy(model)).toBeGreaterThan(0.9)
  })

  it('goes through phases, of which the second goes on from the last epoch of the first', async () => {
    const { model, facts, messages } = await distilled({
      phases: [{ epochs: 2, losses: [{ loss: 'feature', ...logits }] }, { epochs: 4 }],
    })
    expect(messages.filter((line) => line.startsWith('phase'))).toEqual([
      'phase 1 of 2',
      'phase 2 of 2',
    ])
    expect(facts.epochs?.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6])
    expect(await accuracy(model)).toBeGreaterThan(0.9)
    // A second phase that learns next to nothing leaves what the first one ended with.
    const losses = [{ loss: 'feature', ...logits }]
    const idle = { epochs: 1, optimizer: { name: 'sgd', rate: 1e-12, momentum: 0 } }
    const [alone, both] = [
      await distilled({ epochs: 2, losses, keep: 'last' }),
      await distilled({ phases: [{ epochs: 2, losses }, idle] }),
    ]
    await expectSame(both.model, alone.model)
  })

  it('tells how much each term of the loss is', async () => {
    const { facts } = await distilled({
      losses: [
        { loss: 'kl', weight: 0.5 },
        { loss: 'feature', weight: 2, ...logits },
      ],
    })
    for (const { loss, terms } of facts.epochs!) {
      expect(terms).toHaveLength(2)
      expect(terms![0]! + terms![1]!).toBeCloseTo(loss, 4)
    }
  })

  it('takes several teachers, variants and models', async () => {
    const asked: string[] = []
    const variant = async (id: string) => {
      asked.push(id)
      return teacher()
    }
    const { model } = await distilled(
      { teachers: [{ variant: 'teacher' }, { variant: 'other', weight: 3 }], combine: 'weighted' },
      { variant },
    )
    expect(asked).toEqual(['teacher', 'other'])
    expect(await accuracy(model)).toBeGreaterThan(0.8)
  })

  it.each(['agreement', 'divergence'])(
    'chooses the epoch by %s with the teacher, and stops where that is no longer better',
    async (score) => {
      // A teacher that knows nothing, and a student that begins as its copy and learns the labels.
      const ignorant = mlp([6], 2)
      const labels = { losses: [{ loss: 'cross-entropy' }], epochs: 4, stopAfter: 1 }
      const { facts, model } = await distilled({ ...labels, score }, { teacher: ignorant })
      expect(facts.summary).toMatch(new RegExp(`^trained 2 epochs, best 1: ${score} `))
      expect((await distilled(labels, { teacher: ignorant })).facts.epochs).toHaveLength(4)
      const { classification } = tasks
      const [own, theirs] = [
        await predict(model, data.validation),
        await predict(ignorant, data.validation),
      ]
      const kept = classification.retain(theirs, own, data.validation)
      const expected = score === 'agreement' ? kept.agreement : -kept.klDivergence!
      expect(facts.epochs![0]!.score).toBeCloseTo(expected, 6)
    },
  )

  it('learns in the order of the data where the student states its classes in another', async () => {
    const order = [2, 0, 3, 1]
    const turned = withClasses(reorderLogits(await teacher(), order), ['c', 'a', 'd', 'b'])
    const still = { epochs: 1, optimizer: { name: 'sgd', rate: 1e-12, momentum: 0 } }
    const { model, messages } = await distilled(still, {}, turned)
    expect(messages).toContain("student: its classes are put into the order of the data's, by name")
    expect(statedClasses(model)).toEqual(['a', 'b', 'c', 'd'])
    await expectSame(model, await teacher())
    // Such a teacher is judged by the right names, too, where samples are chosen.
    const transfer = { select: ['teacher-correct'] }
    const { facts } = await distilled(
      { ...still, teachers: [{ variant: 'turned' }], transfer },
      { variant: async () => turned },
    )
    const [, left] = /^taught with (\d+) of 256 samples, teacher-correct/.exec(facts.summary!)!
    expect(Number(left)).toBeGreaterThan(230)
  })

  it('learns with a temperature and weights that change', async () => {
    const { model } = await distilled({
      losses: [
        { loss: 'kl', temperature: { from: 8, to: 1, shape: 'exponential' } },
        { loss: 'cross-entropy', weight: { from: 0, to: 0.5, start: 0.5 } },
      ],
    })
    expect(await accuracy(model)).toBeGreaterThan(0.8)
  })

  it.each([
    [
      'weights that sum to zero',
      {
        losses: [
          { loss: 'kl', weight: 0 },
          { loss: 'cross-entropy', weight: 0 },
        ],
      },
      "losses: their weights sum to zero: 'kl', 'cross-entropy' — give one of them a weight",
    ],
    [
      'teachers without any weight',
      { teachers: [{ variant: 'teacher', weight: 0 }] },
      'teachers: their weights sum to zero — give one of them a weight',
    ],
    [
      'mutual learning without peers',
      { losses: [{ loss: 'mutual' }] },
      "model: 'mutual' needs peers: there are none — name them under 'peers'",
    ],
    [
      'a specialist for a class that is none',
      { teachers: [{ variant: 'teacher' }, { variant: 'teacher', classes: ['z'] }] },
      "teachers.1.classes: no class of quarters: 'z' — did you mean 'a'? known: a, b, c, d",
    ],
    [
      'a student for other classes',
      { student: undefined },
      "student: was made for other classes: it states a, b, c, …, and no 'd' — use a student for the same classes, or name them alike",
      () => withClasses(mlp([6], 2), ['a', 'b', 'c', 'e']),
    ],
    [
      'a tap that is none',
      { losses: [{ loss: 'feature', taps: [{ teacher: 'hiden1*', student: 'hidden1*' }] }] },
      "teacher: taps match no value: 'hiden1*'",
    ],
  ] as [string, object, string, (() => Model)?][])(
    'refuses %s',
    async (_, options, message, student = () => mlp([6], 2)) => {
      await expect(distilled(options, {}, student())).rejects.toThrow(message)
    },
  )

  it.each([
    [
      'peers that nobody listens to',
      { peers: [{ architecture: 'mlp' }] },
      data,
      "peers: no loss listens to them — add the loss 'mutual', or leave them out",
    ],
    [
      'hard samples without classes',
      { focus: { by: 'teacher' } },
      { ...data, train: { ...data.train, classes: [] } },
      'focus: is for samples of classes, of which those of quarters have none — leave it out',
    ],
  ])('refuses %s before anything runs', (_, options, splits, message) => {
    const asked = distill.options.parse({ stage: 'distill', ...options })
    expect(() => distill.check?.(asked, splits)).toThrow(message)
  })

  it.each([0, -1])('refuses a temperature of %d', (temperature) => {
    const stage = { stage: 'distill', student: { architecture: 'mlp' } }
    const stages = [{ ...stage, losses: [{ loss: 'kl', temperature }] }]
    expect(() => checkRecipe({ ...tinyRecipe, stages })).toThrow(
      /^recipe: stages\.0\.losses\.0\.temperature: [^\n]*$/,
    )
  })
})
