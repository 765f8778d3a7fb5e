// What is known to be wrong with models and data before anything is trained.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { openData } from '../../data/open.ts'
import { loadRecipe } from '../../pipeline/prepare.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'
import { dataSetting } from '../../pipeline/setting.ts'
import { checkModels } from '../../pipeline/validate.ts'
import { tasks } from '../../tasks/index.ts'
import { writeFiles } from '../data/support.ts'
import { temporaryFolder, tinyRecipe } from './tiny.ts'

async function check(rest: Partial<RecipeInput>) {
  const loaded = loadRecipe({ ...tinyRecipe, stages: [], ...rest })
  const { recipe } = loaded
  const data = await openData(recipe.data, {
    ...{ seed: 1, cacheFolder: temporaryFolder(), version: 'test', log: () => undefined },
    ...dataSetting(recipe, undefined, undefined),
  })
  return checkModels(loaded, data.splits.train, tasks[recipe.task])
}

describe('a recipe and its data', () => {
  it('go together', async () => {
    const model = await check({ preprocess: { mean: 0.5 }, inputs: { x: { column: 'image' } } })
    expect(model.graph.feeds.map(({ name }) => name)).toEqual(['x'])
  })

  it('must have a model for every input that is mapped', async () => {
    const run = check({ inputs: { x: { column: 'image' }, inptu: { constant: 1 } } })
    await expect(run).rejects.toThrow(UserError)
    await expect(run).rejects.toThrow('inputs.inptu: no model has an input of that name — ')
  })

  it('must have images where they are to be preprocessed', async () => {
    const lines = [
      'a,b,label',
      ...Array.from({ length: 30 }, (_, n) => `${n},${n % 7},${n % 2}`),
      '',
    ]
    const folder = writeFiles(temporaryFolder(), { 'data.csv': lines.join('\n') })
    const data = { format: 'csv' as const, path: `${folder}/data.csv` }
    await expect(check({ data })).resolves.toBeDefined()
    await expect(check({ data, preprocess: { scale: 2 } })).rejects.toThrow(
      'preprocess: is for images, of which the data has none — leave it out',
    )
  })
})
