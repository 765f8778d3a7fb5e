// Recipes whose stages read more than the variant before: other variants, other models.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { modelSource } from '../../../models/source.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { modelsIn } from '../../../pipeline/cost.ts'
import { planRun } from '../../../pipeline/plan.ts'
import { checkRecipe } from '../../../pipeline/read-recipe.ts'
import type { RecipeInput } from '../../../pipeline/recipe.ts'
import { run } from '../../../pipeline/run.ts'
import { runStage } from '../../../pipeline/single.ts'
import { temporaryFolder, tinyData, tinyRecipe, tinyShape } from '../../pipeline/tiny.ts'

const student = { architecture: 'mlp' as const, hidden: [8] }
const training = {
  epochs: 1,
  batch: 32,
  optimizer: { name: 'adamw' as const, rate: 0.01 },
}

const recipe = (rate: number): RecipeInput => ({
  ...tinyRecipe,
  stages: [
    {
      ...{ stage: 'train', id: 'more', from: 'teacher', ...training },
      optimizer: { name: 'adamw', rate },
    },
    {
      ...{ stage: 'distill', from: 'teacher', student, ...training },
      teachers: [{ variant: 'teacher' }, { variant: 'more' }],
    },
  ],
})

describe('a stage that reads other variants', () => {
  it('runs anew when one of them changes, and is found again when none does', async () => {
    const cacheFolder = temporaryFolder()
    const cached = async (asked: RecipeInput) => {
      const found: Record<string, boolean> = {}
      await run(asked, {
        ...{ cacheFolder, threads: 1, outFolder: join(temporaryFolder(), 'out') },
        onEvent(event) {
          if (event.event === 'stage-done') found[event.id] = event.cached
        },
      })
      return found
    }
    expect(await cached(recipe(0.01))).toEqual({ teacher: false, more: false, distill: false })
    const planned = async (asked: RecipeInput) =>
      (await planRun(asked, { cacheFolder, threads: 1 })).steps.map(({ cached }) => cached)
    expect(await planned(recipe(0.01))).toEqual([true, true, true])
    expect(await planned(recipe(0.02))).toEqual([true, false, false])
    expect(await cached(recipe(0.02))).toEqual({ teacher: true, more: false, distill: false })
  })

  it('is refused where a variant is not made before', () => {
    const [more, distill] = recipe(0.01).stages!
    expect(() => checkRecipe({ ...recipe(0.01), stages: [distill!, more!] })).toThrow(
      /^recipe: stages\.0: reads a variant that is not made before: 'more' — /,
    )
  })

  it('is refused outside of a recipe', async () => {
    await expect(
      runStage({
        options: { stage: 'distill', ...training, teachers: [{ variant: 'more' }] },
        model: modelSource.parse(student),
        output: join(temporaryFolder(), 'x.onnx'),
        data: tinyData,
        cacheFolder: temporaryFolder(),
      }),
    ).rejects.toThrow(
      "distill: there are no other variants outside of a recipe: 'more' — name a file",
    )
  })
})

it('finds every model that options name, however deep', () => {
  const shrink = { shrink: 0.5 }
  expect(
    modelsIn({
      stage: 'distill',
      student,
      teachers: [{ variant: 'teacher' }, { model: { file: 'a.onnx' }, weight: 2 }],
      assistants: [shrink],
    }).map(([path]) => path),
  ).toEqual(['student', 'teachers.1.model', 'assistants.0'])
})

it('takes a specialist that answers for its classes and all others together', async () => {
  const folder = temporaryFolder()
  const specialist = buildArchitecture(
    { architecture: 'mlp', hidden: [4] },
    { ...oneInput(tinyShape.shape, 3), seed: 1 },
  )
  writeFileSync(join(folder, 'specialist.onnx'), serializeModel(specialist))
  const report = await run(
    {
      ...tinyRecipe,
      stages: [
        {
          ...{ stage: 'distill', from: 'teacher', student, ...training, combine: 'specialists' },
          teachers: [
            { variant: 'teacher' },
            { model: { file: join(folder, 'specialist.onnx') }, classes: ['1', '2'] },
          ],
        },
      ],
    },
    { cacheFolder: temporaryFolder(), threads: 1, outFolder: join(folder, 'out') },
  )
  expect(report.variants[0]?.accuracy).toBeDefined()
})
