// What paths in recipes are relative to.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from '@jest/globals'
import { checkRecipe } from '../../pipeline/read-recipe.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'
import { writeFiles } from '../data/support.ts'
import { temporaryFolder } from './tiny.ts'

const { CONDENSE_DATA } = process.env
afterEach(() => {
  if (CONDENSE_DATA === undefined) delete process.env.CONDENSE_DATA
  else process.env.CONDENSE_DATA = CONDENSE_DATA
})

/** A folder of recipes and `$CONDENSE_DATA`, each with its files. */
function places(own: readonly string[], shared: readonly string[]) {
  const filesOf = (names: readonly string[]) =>
    writeFiles(temporaryFolder(), Object.fromEntries(names.map((name) => [name, 'x'])))
  const folders = { own: filesOf(own), shared: filesOf(shared) }
  process.env.CONDENSE_DATA = folders.shared
  return folders
}

const recipeOf = (data: RecipeInput['data'], file = 'teacher.onnx', folder = '.') =>
  checkRecipe({ name: 'r', data, teacher: { model: { file } } }, { folder }).recipe

describe('paths of data', () => {
  it.each([
    ['beside the recipe', ['a.csv'], [], 'own'],
    ['in $CONDENSE_DATA', [], ['a.csv'], 'shared'],
    ['in both: beside the recipe', ['a.csv'], ['a.csv'], 'own'],
    ['nowhere: beside the recipe, as the message will say', [], [], 'own'],
  ] as const)('are %s', (_, own, shared, where) => {
    const folders = places(own, shared)
    const { data } = recipeOf(
      { format: 'csv', path: 'a.csv', test: { path: 'a.csv' } },
      't.onnx',
      folders.own,
    )
    expect(data.path).toBe(join(folders[where], 'a.csv'))
    expect(data.test.path).toBe(join(folders[where], 'a.csv'))
  })

  it('are each looked for by itself, in folders too', () => {
    const folders = places(['sets/test.csv'], ['sets/train.csv'])
    const { data } = recipeOf(
      { format: 'csv', path: 'sets/train.csv', test: { path: 'sets/test.csv' } },
      't.onnx',
      folders.own,
    )
    expect(data.path).toBe(join(folders.shared, 'sets/train.csv'))
    expect(data.test.path).toBe(join(folders.own, 'sets/test.csv'))
  })

  it('that are absolute stay', () => {
    const { own } = places([], [])
    expect(recipeOf({ format: 'csv', path: '/data/a.csv' }, 't.onnx', own).data.path).toBe(
      '/data/a.csv',
    )
  })

  it('are beside the recipe where there is no $CONDENSE_DATA', () => {
    const { own } = places([], ['a.csv'])
    delete process.env.CONDENSE_DATA
    expect(recipeOf({ format: 'csv', path: 'a.csv' }, 't.onnx', own).data.path).toBe(
      join(own, 'a.csv'),
    )
  })

  it('hold for modules and for files of features', () => {
    const folders = places(['my-data.mjs'], ['tokenizer.json'])
    const { data } = recipeOf(
      {
        source: './my-data.mjs',
        features: { text: { kind: 'text', column: 'text', tokenizer: { file: 'tokenizer.json' } } },
      },
      't.onnx',
      folders.own,
    )
    expect(data.source).toBe(join(folders.own, 'my-data.mjs'))
    expect(data.features!.text).toMatchObject({
      tokenizer: { file: join(folders.shared, 'tokenizer.json') },
    })
  })

  it('hold for samples without labels', () => {
    const folders = places(['more.mjs'], ['more.csv'])
    const added = (unlabelled: NonNullable<RecipeInput['data']['unlabelled']>) =>
      recipeOf({ source: 'mnist', unlabelled }, 't.onnx', folders.own).data.unlabelled
    expect(added({ format: 'csv', path: 'more.csv' })?.path).toBe(join(folders.shared, 'more.csv'))
    expect(added({ source: './more.mjs' })?.source).toBe(join(folders.own, 'more.mjs'))
    expect(added({ source: 'cifar10' })?.source).toBe('cifar10')
  })

  it('are no names of columns', () => {
    const { own } = places(['path'], [])
    const { data } = recipeOf(
      {
        ...{ format: 'csv', path: 'a.csv', target: 'path' },
        features: { path: { kind: 'image', column: 'path' } },
      },
      't.onnx',
      own,
    )
    expect([data.target, data.features!.path]).toMatchObject(['path', { column: 'path' }])
  })

  it('of well-known sets are names', () => {
    const { own } = places([], [])
    mkdirSync(join(own, 'mnist'))
    expect(recipeOf({ source: 'mnist' }, 't.onnx', own).data.source).toBe('mnist')
  })
})

describe('paths of models', () => {
  const fileOf = (file: string, folder: string) => {
    const { model } = recipeOf({ source: 'digits' }, file, folder).teacher
    return 'file' in model && model.file
  }

  it('are relative to the recipe alone', () => {
    const { own } = places([], ['t.onnx'])
    expect(fileOf('t.onnx', own)).toBe(join(own, 't.onnx'))
    expect(fileOf('../t.onnx', own)).toBe(join(own, '..', 't.onnx'))
    expect(fileOf('/m/t.onnx', own)).toBe('/m/t.onnx')
  })

  it.each(['hf:owner/name', 'hf:owner/name@main', 'https://example.org/m.onnx'])(
    'stay as they are where they are addresses: %s',
    (address) => {
      expect(fileOf(address, places([], []).own)).toBe(address)
    },
  )
})
