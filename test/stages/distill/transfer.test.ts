// The samples that a student is taught with.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { softmax } from '../../../base/statistics.ts'
import type { Dataset, Splits } from '../../../data/dataset.ts'
import { storedDataset, targetColumn } from '../../../data/stored-dataset.ts'
import { subset } from '../../../data/subset.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { predict } from '../../../runtime/predict.ts'
import {
  checkLosses,
  checkTransfer,
  focusOptions,
  lossesWithoutLabels,
  type TransferOptions,
  transferOptions,
  transferSet,
} from '../../../stages/distill/transfer.ts'
import { type LossOptions, lossOptions } from '../../../train/losses.ts'
import { numbersStore } from '../../support/numbers.ts'
import { recipeOf } from '../../support/samples.ts'
import { classes, data, shape } from '../support.ts'

const mlp = (seed: number) =>
  buildArchitecture({ architecture: 'mlp', hidden: [16] }, { ...oneInput(shape, classes), seed })
/** Untrained, they are right about one sample in four. */
const [teacher, student] = [mlp(1), mlp(2)]

/** Who was asked. */
const asked: string[] = []
/** Answers of which the model is somewhat surer than it is. */
const answers = (name: string, model: typeof teacher) => async (samples: Dataset) => {
  asked.push(name)
  const found = await predict(model, samples)
  for (const at of found.outputs.keys()) found.outputs[at]! *= 3
  return found
}
const chosenBy = async (
  select: TransferOptions['select'],
  rest: Partial<TransferOptions> = {},
  splits: Splits = data,
  seed = 1,
) => {
  asked.length = 0
  const options = transferOptions.parse({ select, ...rest })
  return transferSet(splits, options, {
    ...{ seed, teacher: answers('teacher', teacher), student: answers('student', student) },
  })
}

/** The decision and the largest probability of each of these samples, worked out once more. */
async function judged(model: typeof teacher, samples: Dataset) {
  const found = await predict(model, samples)
  return Array.from({ length: samples.size }, (_, index) => {
    const probabilities = [...softmax(found.row(index).map((value) => value * 3))]
    const confidence = Math.max(...probabilities)
    return { decision: probabilities.indexOf(confidence), confidence }
  })
}
const theirs = await judged(teacher, data.train)
const own = await judged(student, data.train)

const all = Array.from({ length: data.train.size }, (_, index) => index)
const labelOf = (index: number) => data.train.labels[index]!
/** The data set of these samples. */
const those = (indices: readonly number[], of = data.train) =>
  subset(of, Uint32Array.from(indices)).fingerprint

const extra = subset(
  data.validation,
  Uint32Array.from({ length: 40 }, (_, index) => index),
)
const withMore: Splits = { ...data, unlabelled: extra }
const theirsOfMore = await judged(teacher, extra)

describe('rules', () => {
  it('none: all samples, and nobody is asked', async () => {
    const { data: chosen, unlabelled, summary } = await chosenBy([])
    expect(chosen).toBe(data.train)
    expect([unlabelled, summary, asked]).toEqual([false, 'taught with 256 of 256 samples', []])
  })

  it('teacher-correct: those that the teacher gets right', async () => {
    const right = all.filter((index) => theirs[index]!.decision === labelOf(index))
    expect(right.length).toBeGreaterThan(10)
    const { data: chosen, summary } = await chosenBy(['teacher-correct'])
    expect(chosen.fingerprint).toBe(those(right))
    expect(summary).toBe(`taught with ${right.length} of 256 samples, teacher-correct`)
    expect(asked).toEqual(['teacher'])
  })

  it('both-correct: those that the student gets right as well', async () => {
    const right = all.filter(
      (index) =>
        theirs[index]!.decision === labelOf(index) && own[index]!.decision === labelOf(index),
    )
    expect(right.length).toBeGreaterThan(0)
    expect((await chosenBy(['both-correct'])).data.fingerprint).toBe(those(right))
    expect(asked.sort()).toEqual(['student', 'teacher'])
  })

  it('confidence: those of which the teacher is sure', async () => {
    const sure = all.filter((index) => theirs[index]!.confidence >= 0.6)
    expect([sure.length > 10, sure.length < 246]).toEqual([true, true])
    expect((await chosenBy([{ confidence: 0.6 }])).data.fingerprint).toBe(those(sure))
  })

  it('without and only: classes by name', async () => {
    const rest = all.filter((index) => labelOf(index) !== 1)
    expect((await chosenBy([{ without: ['b'] }])).data.fingerprint).toBe(those(rest))
    expect((await chosenBy([{ only: ['a', 'c', 'd'] }])).data.fingerprint).toBe(those(rest))
    expect(asked).toEqual([])
  })

  it('balanced: equally many of each class that there is, by seed', async () => {
    const few = [{ only: ['a', 'b', 'd'] }, { confidence: 0.6 }, 'balanced' as const]
    const { data: chosen } = await chosenBy(few)
    const sure = all.filter((index) => labelOf(index) !== 2 && theirs[index]!.confidence >= 0.6)
    const count = (labels: Iterable<number>, wanted: number) =>
      [...labels].filter((label) => label === wanted).length
    const fewest = Math.min(...[0, 1, 3].map((label) => count(sure.map(labelOf), label)))
    expect([0, 1, 2, 3].map((label) => count(chosen.labels, label))).toEqual([
      ...[fewest, fewest, 0, fewest],
    ])
    expect((await chosenBy(few)).data.fingerprint).toBe(chosen.fingerprint)
    expect((await chosenBy(few, {}, data, 2)).data.fingerprint).not.toBe(chosen.fingerprint)
  })

  it('share: a part with the classes in their proportions, by seed', async () => {
    const { data: chosen } = await chosenBy([{ share: 0.25 }])
    expect([...chosen.labels].sort().join('')).toBe('0123'.replace(/./g, (l) => l.repeat(16)))
    expect((await chosenBy([{ share: 0.25 }])).data.fingerprint).toBe(chosen.fingerprint)
    const other = await chosenBy([{ share: 0.25 }], {}, data, 2)
    expect(other.data.fingerprint).not.toBe(chosen.fingerprint)
  })

  it('apply in turn, and the summary says what each left', async () => {
    const right = all.filter((index) => theirs[index]!.decision === labelOf(index))
    const left = right.filter((index) => labelOf(index) !== 0)
    const { data: chosen, summary } = await chosenBy(['teacher-correct', { without: ['a'] }])
    expect(chosen.fingerprint).toBe(those(left))
    expect(summary).toBe(
      `taught with ${left.length} of 256 samples, teacher-correct: ${right.length}, without 'a': ${left.length}`,
    )
    expect(asked).toEqual(['teacher'])
  })
})

describe('samples without labels', () => {
  it('takes labels away, and classes are what the teacher says', async () => {
    const { data: chosen, unlabelled } = await chosenBy([{ without: ['a'] }], { labels: false })
    const rest = all.filter((index) => theirs[index]!.decision !== 0)
    expect([...chosen.labels]).toEqual(rest.map(() => -1))
    expect(unlabelled).toBe(true)
    expect([...chosen.recipe.indices]).toEqual(rest)
  })

  it('are added behind the others', async () => {
    const found = await chosenBy([], { unlabelled: true }, withMore)
    expect(found).toMatchObject({
      unlabelled: true,
      summary: 'taught with 296 of 296 samples, 40 without labels',
    })
    expect([...found.data.labels]).toEqual([...data.train.labels, ...Array(40).fill(-1)])
    expect((await chosenBy([], {}, withMore)).data).toBe(data.train)
  })

  it('are chosen by what the teacher says, and stay where only a label could tell', async () => {
    const sure = [...theirsOfMore.keys()].filter((index) => theirsOfMore[index]!.confidence >= 0.6)
    const all = await chosenBy([{ confidence: 0.6 }], { unlabelled: true }, withMore)
    expect(all.data.labels.filter((label) => label < 0)).toHaveLength(sure.length)
    const right = await chosenBy(['teacher-correct'], { unlabelled: true }, withMore)
    expect(right.data.labels.filter((label) => label < 0)).toHaveLength(40)
    const parts = await chosenBy([{ share: 0.5 }], { unlabelled: true }, withMore)
    expect(parts.data.labels.filter((label) => label < 0)).toHaveLength(20)
    const even = await chosenBy(['balanced'], { unlabelled: true }, withMore)
    const { used } = await even.classCounts()
    expect(new Set(used).size).toBe(1)
  })

  it('leaves the test samples alone', async () => {
    const test = new Proxy(data.test, {
      get: () => {
        throw new Error('the test split was read')
      },
    })
    const every = ['teacher-correct', 'both-correct', 'balanced', { share: 0.9 }] as const
    await chosenBy([...every], { unlabelled: true }, { ...withMore, test })
  })
})

it('counts classes among all samples and among those that are left', async () => {
  const { classCounts } = await chosenBy([{ without: ['b'] }, { share: 0.5 }])
  expect(await classCounts()).toEqual({ all: [64, 64, 64, 64], used: [32, 0, 32, 32] })
  expect(asked).toEqual([])
})

const values: Dataset = storedDataset(
  recipeOf(
    numbersStore([
      { name: 'x', rows: [[1], [2], [3], [4]] },
      { name: targetColumn, rows: [[1], [2], [3], [4]] },
    ]),
    { source: 'values', labels: new Int32Array(4), group: 2 },
  ),
)
const valued: Splits = { train: values, validation: values, calibration: values, test: values }

it('takes a share of samples that are no classes, in whole groups', async () => {
  const { data: chosen } = await chosenBy([{ share: 0.5 }], {}, valued)
  expect([[0, 1].join(), [2, 3].join()]).toContain([...chosen.recipe.indices].join())
})

describe('one-line errors', () => {
  it.each<[string, object, Splits, string]>([
    [
      'nothing left',
      { select: ['teacher-correct', { confidence: 1 }] },
      data,
      'transfer.select: no sample is left: confidence 1 — choose less strictly',
    ],
    [
      'no such class',
      { select: [{ without: ['e'] }] },
      data,
      "transfer.select: no such class: 'e' — did you mean 'a'? known: a, b, c, d",
    ],
    [
      'no labels',
      { labels: false, select: ['both-correct'] },
      data,
      "transfer.select: 'both-correct' needs labels, which labels: false leaves out — choose by confidence",
    ],
    [
      'no classes',
      { select: [{ confidence: 0.5 }] },
      valued,
      "transfer.select: 'confidence' is for samples of one class each, which those of values are not — use share alone",
    ],
    [
      'nothing to add',
      { unlabelled: true },
      data,
      'transfer.unlabelled: the data has no samples without labels — name some as data.unlabelled, or leave it out',
    ],
  ])('%s', async (_, options, splits, message) => {
    const parsed = transferOptions.parse(options)
    const found = chosenBy(parsed.select, parsed, splits)
    await expect(found).rejects.toThrow(new UserError(message))
    if (message.includes('no sample is left')) return
    expect(() => checkTransfer(parsed, splits)).toThrow(message)
  })

  it.each<[unknown, RegExp]>([
    [['correct'], /expected one of 'teacher-correct'.* 'balanced', or one of 'confidence'/],
    [[{ confidence: 1.1 }], /expected number to be <=1/],
    [[{ share: 1 }], /expected number to be <1/],
    [[{ without: [] }], /expected array to have >=1/],
    [[{ balanced: true }], /expected one of/],
    [[{ share: 0.1, confidence: 0.5 }], /expected one of/],
  ])('refuses %j', (select, message) => {
    expect(transferOptions.safeParse({ select }).error?.issues[0]?.message).toMatch(message)
  })
})

it('accepts its own output', () => {
  const options = transferOptions.parse({ select: ['balanced', { without: ['3'] }] })
  expect(options).toEqual({
    labels: true,
    unlabelled: false,
    select: ['balanced', { without: ['3'] }],
  })
  expect(transferOptions.parse(options)).toEqual(options)
  expect(focusOptions.parse({})).toEqual({ by: 'teacher', power: 1 })
})

describe('losses', () => {
  const parsed = (...losses: object[]): LossOptions[] =>
    losses.map((loss) => lossOptions.parse(loss))
  const [kl, labels, error] = parsed(
    { loss: 'kl' },
    { loss: 'cross-entropy' },
    { loss: 'squared-error' },
  ) as [LossOptions, LossOptions, LossOptions]

  it('that need no labels', () => {
    expect(lossesWithoutLabels([kl, labels, error])).toEqual([kl])
  })

  it('are refused where they compare with what is not there', () => {
    const check = (options: object, losses: LossOptions[], of: Dataset) => () =>
      checkLosses(transferOptions.parse(options), losses, of)
    expect(check({}, [kl, labels, error], values)).not.toThrow()
    expect(check({ unlabelled: true }, [kl, labels], data.train)).not.toThrow()
    expect(check({ labels: false }, [kl], data.train)).not.toThrow()
    expect(check({ labels: false }, [kl, labels], data.train)).toThrow(
      "transfer: loss 'cross-entropy' compares with targets that labels: false leaves out — use losses with the teacher alone",
    )
    expect(check({ unlabelled: true }, [kl, error], values)).toThrow(
      "transfer: loss 'squared-error' compares with targets that the samples without labels do not have — use losses with the teacher alone",
    )
  })
})
