// What a run tells of its students, and what helped them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { checkReport } from '../../../benchmarks/report/report.ts'
import { ablate, ablationRecipe } from '../../../pipeline/ablation.ts'
import type { RunEvent } from '../../../pipeline/events.ts'
import { explainRun, type FinishedRun, openRun } from '../../../pipeline/explain.ts'
import { checkRecipe } from '../../../pipeline/read-recipe.ts'
import type { RecipeInput, Step } from '../../../pipeline/recipe.ts'
import { run } from '../../../pipeline/run.ts'
import { phasesOf, taughtPairs } from '../../../pipeline/trainings.ts'
import { temporaryFolder, tinyRecipe } from '../../pipeline/tiny.ts'

const student = { architecture: 'mlp' as const, hidden: [6] }
const training = { epochs: 2, batch: 32, optimizer: { name: 'adamw' as const, rate: 0.01 } }
const recipe: RecipeInput = {
  ...tinyRecipe,
  stages: [
    {
      ...{ stage: 'distill', id: 'plain', student, ...training },
      losses: [{ loss: 'cross-entropy' }],
    },
    {
      ...{ stage: 'distill', id: 'taught', from: 'teacher', student, ...training },
      losses: [
        { loss: 'kl', weight: 0.9, temperature: 2 },
        { loss: 'cross-entropy', weight: 0.1 },
      ],
    },
  ],
  benchmark: { ...tinyRecipe.benchmark, knowledge: false },
}

const cacheFolder = temporaryFolder()
const folder = join(temporaryFolder(), 'run')
let finished: FinishedRun
beforeAll(async () => {
  await run(recipe, { cacheFolder, outFolder: folder, threads: 1 })
  finished = openRun(folder)
})

/** A finished run of other stages, as far as its recipe tells. */
const runOf = (...stages: readonly object[]): FinishedRun => ({
  ...finished,
  recipe: checkRecipe({ ...recipe, stages }).recipe,
})
const distillOf = (options: object) => ({ stage: 'distill', id: 'taught', student, ...options })
const leftOutOf = (options: object) =>
  ablationRecipe(runOf(distillOf(options))).reduced.map(({ leftOut }) => leftOut)

describe('a run', () => {
  it('tells what its students learned from', () => {
    const { variants, teacher } = explainRun(finished)
    expect(teacher?.metric).toBe('top1')
    expect(variants.map(({ id }) => id)).toEqual(['plain', 'taught'])
    expect(variants[0]).toMatchObject({ losses: [{ loss: 'cross-entropy', share: 1 }], epochs: 2 })
    const [kl, labels] = variants[1]!.losses
    expect(kl).toMatchObject({ loss: 'kl', weight: 0.9, temperature: 2 })
    expect(labels).toMatchObject({ loss: 'cross-entropy', weight: 0.1 })
    expect(kl!.share! + labels!.share!).toBeCloseTo(1, 6)
    expect(variants[1]!.score!.value).toBeGreaterThan(0.25)
    expect(variants[1]!.retention).toBeGreaterThan(0)
  })

  it('compares a student with the same one without a teacher', () => {
    const taught = finished.report.variants.find(({ id }) => id === 'taught')!
    const plain = finished.report.variants.find(({ id }) => id === 'plain')!
    const { difference, p } = taught.against!.plain!
    expect(difference).toBeCloseTo(taught.accuracy!.value! - plain.accuracy!.value!, 9)
    expect(p).toBeGreaterThan(0)
    const isBetter = difference > 0 && p! < 0.05
    expect(finished.report.advice ?? []).toHaveLength(isBetter ? 0 : 1)
  })

  it.each([
    [
      'no run',
      () => openRun(join(folder, 'none')),
      /none: no run is there: it has no report\.json — /,
    ],
    [
      'no JSON',
      () => {
        const broken = temporaryFolder()
        writeFileSync(join(broken, 'report.json'), '{')
        return openRun(broken)
      },
      /report\.json: not JSON: .* — run the recipe again$/,
    ],
    [
      'no recipe',
      () => {
        const bare = temporaryFolder()
        const { recipe: _, ...report } = finished.report
        writeFileSync(join(bare, 'report.json'), JSON.stringify(report))
        return openRun(bare)
      },
      /report\.json: it was made without a recipe — /,
    ],
    [
      'nothing trained',
      () => explainRun(runOf({ stage: 'quantize', scheme: 'dynamic' })),
      /: nothing was distilled or trained in this run: it has /,
    ],
    [
      'nothing distilled',
      () => ablationRecipe(runOf({ stage: 'quantize', scheme: 'dynamic' })),
      /: nothing was distilled in this run — /,
    ],
    [
      'one loss',
      () => ablationRecipe(runOf(distillOf({ losses: [{ loss: 'kl' }] }))),
      /: nothing can be left out: 'taught' has a single loss — /,
    ],
    [
      'another variant',
      () => ablationRecipe(finished, 'tauhgt'),
      /^--ablate: no distilled variant: 'tauhgt' — did you mean 'taught'/,
    ],
  ] as [string, () => unknown, RegExp][])('says in one line: %s', (_, act, message) => {
    expect(act).toThrow(message)
  })
})

describe('an ablation', () => {
  const [kl, labels] = [{ loss: 'kl' }, { loss: 'cross-entropy' }]

  it.each([
    ['the losses of the task', {}, ['kl', 'cross-entropy']],
    ['what counts', { losses: [kl, { ...labels, weight: 0 }] }, []],
    ['equal ones', { losses: [kl, labels, kl] }, ['kl', 'cross-entropy', 'kl (2)']],
    [
      'options',
      { losses: [kl], transfer: { select: ['teacher-correct'] }, focus: {} },
      ['transfer', 'focus'],
    ],
    [
      'phases',
      {
        phases: [
          { losses: [kl], epochs: 1 },
          { losses: [kl, labels], epochs: 1 },
        ],
      },
      ['phase 1', 'kl of phase 2', 'cross-entropy of phase 2', 'phase 2'],
    ],
    [
      'losses that phases share',
      { losses: [kl, labels], phases: [{ epochs: 1 }] },
      ['kl', 'cross-entropy'],
    ],
  ] as [string, object, string[]][])('leaves out %s', (_, options, expected) => {
    if (expected.length === 0) expect(() => leftOutOf(options)).toThrow(/nothing can be left out/)
    else expect(leftOutOf(options)).toEqual(expected)
  })

  it('is a recipe that is in order, without what follows the student', () => {
    const { stages } = finished.recipe
    const { input } = ablationRecipe(runOf(...stages, { stage: 'quantize', scheme: 'dynamic' }))
    const { recipe: whole } = checkRecipe(JSON.parse(JSON.stringify(input)))
    expect(whole.stages.map(({ id }) => id)).toEqual([
      'taught',
      'taught-without-kl',
      'taught-without-cross-entropy',
    ])
    expect(phasesOf(whole.stages[1]!, 'classification')[0]).toMatchObject([labels!])
  })

  it('leaves peers out where nothing listens to them', () => {
    const { reduced } = ablationRecipe(
      runOf(distillOf({ losses: [{ loss: 'mutual' }, labels], peers: [student] })),
    )
    expect(reduced.map(({ step }) => step.peers?.length)).toEqual([undefined, 1])
  })

  it('compares each with the whole, on the same samples, and finds what is finished', async () => {
    const events: RunEvent[] = []
    const result = await ablate(finished, {
      cacheFolder,
      threads: 1,
      variant: 'taught',
      onEvent: (event) => events.push(event),
    })
    const done = events.flatMap((event) => (event.event === 'stage-done' ? [event] : []))
    expect(done.map(({ id, cached }) => [id, cached])).toEqual([
      ['teacher', true],
      ['taught', true],
      ['taught-without-kl', false],
      ['taught-without-cross-entropy', false],
    ])
    const [{ variant, without, score, conclusion }] = result.students as [
      (typeof result.students)[number],
    ]
    expect(variant).toBe('taught')
    for (const row of without) {
      expect(row.difference).toBeCloseTo(row.score!.value - score!.value, 9)
      expect(row.p).toBeGreaterThan(0)
      expect(row.agreement).toBeGreaterThan(0)
      const isChance = row.p! >= 0.05 || row.difference === 0
      const effect = row.difference! < 0 ? 'helps' : 'harms'
      expect(row.effect).toBe(isChance ? 'no significant difference' : effect)
    }
    expect(conclusion).toMatch(/^'taught' is .*'kl'/)
    expect(result.folder).toBe(join(folder, 'ablation-taught'))
    const read = (name: string) => JSON.parse(readFileSync(join(result.folder, name), 'utf8'))
    expect(read('explain.json')).toEqual(JSON.parse(JSON.stringify(result)))
    expect(checkReport(read('report.json')).variants).toHaveLength(3)
  })
})

describe('pairs with and without a teacher', () => {
  const pairsOf = (...stages: readonly object[]) =>
    taughtPairs(checkRecipe({ ...recipe, stages }).recipe.stages as Step[], 'classification')
  const labelled = { losses: [{ loss: 'cross-entropy' }] }

  it('start from the same student', () => {
    const other = { ...student, hidden: [7] }
    expect(
      pairsOf(
        { stage: 'distill', id: 'a', student, ...labelled },
        { stage: 'distill', id: 'b', student },
        { stage: 'distill', id: 'c', student: other },
        { stage: 'distill', id: 'd', student: other, ...labelled },
      ),
    ).toEqual([
      { taught: 'b', plain: 'a' },
      { taught: 'c', plain: 'd' },
    ])
  })

  it('or from the same variant', () => {
    expect(
      pairsOf(
        { stage: 'quantize', id: 'small', scheme: 'float16' },
        { stage: 'train', id: 'a', from: 'small' },
        { stage: 'distill', id: 'b', from: 'small' },
        { stage: 'distill', id: 'c', from: 'teacher' },
      ),
    ).toEqual([{ taught: 'b', plain: 'a' }])
  })
})
