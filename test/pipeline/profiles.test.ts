import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'
import { UserError } from '../../base/errors.ts'
import { checkRecipe, parseRecipe } from '../../pipeline/read-recipe.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'
import { tinyRecipe } from './tiny.ts'

const recipe: RecipeInput = {
  ...tinyRecipe,
  seed: 9,
  profiles: {
    quick: {
      'teacher.train.epochs': 3,
      'data.train.limit': 50,
      'stages.1.id': 'other',
      seed: null,
    },
    named: { name: 'somebody' },
    lost: { 'stages.7.id': 'x' },
    wrong: { 'teacher.train.epochs': 'many' },
    hostile: JSON.parse('{ "__proto__.polluted": 1 }') as Record<string, unknown>,
  },
}

function refusal(profile: string, from: unknown = recipe): string {
  try {
    checkRecipe(from, { profile })
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(UserError)
    return (thrown as UserError).message
  }
  throw new Error('the profile was accepted')
}

describe('a profile', () => {
  it('changes what is there, adds what is not, and takes away what is null', () => {
    const { recipe: quick } = checkRecipe(recipe, { profile: 'quick' })
    expect(quick.teacher.train?.epochs).toBe(3)
    expect(quick.data.train.limit).toBe(50)
    expect(quick.stages.map(({ id }) => id)).toEqual(['quantize', 'other'])
    expect(quick.seed).toBe(0)
  })

  it('gives the run a name of its own, so that results do not mix', () => {
    expect(checkRecipe(recipe, { profile: 'quick' }).recipe.name).toBe('tiny-quick')
    expect(checkRecipe(recipe, { profile: 'named' }).recipe.name).toBe('somebody')
  })

  it('comes before --set', () => {
    const overrides = ['teacher.train.epochs=5', 'name=mine']
    const { recipe: quick } = checkRecipe(recipe, { profile: 'quick', overrides })
    expect(quick.teacher.train?.epochs).toBe(5)
    expect(quick.data.train.limit).toBe(50)
    expect(quick.name).toBe('mine')
  })

  it('is written into the recipe that artifacts carry', () => {
    const { recipe: quick, written } = checkRecipe(recipe, { profile: 'quick' })
    expect(written.profiles).toBeUndefined()
    expect(checkRecipe(written).recipe).toEqual(quick)
  })

  it('is no part of the recipe where none is chosen', () => {
    const { profiles: _, ...without } = recipe
    expect(checkRecipe(recipe).recipe).toEqual(checkRecipe(without).recipe)
  })

  it.each([
    ['quik', "recipe: no such profile: 'quik' — did you mean 'quick'? known: quick, named"],
    ['toString', "recipe: no such profile: 'toString' — known: quick"],
    ['lost', "recipe: profiles.lost.stages.7.id: no such place in a list of 2: '7'"],
    ['wrong', "recipe: teacher.train.epochs: expected a number, got text: 'many'"],
    ['hostile', 'recipe: __proto__: unknown key'],
  ])('%s is refused in one line', (profile, message) => {
    expect(refusal(profile)).toContain(message)
    expect(refusal(profile)).not.toContain('\n')
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  })

  it('is told to be missing where the recipe has none, or is none', () => {
    expect(refusal('quick', tinyRecipe)).toBe("recipe: no such profile: 'quick' — none is known")
    expect(refusal('quick', null)).toBe("recipe: no such profile: 'quick' — none is known")
    const plain = refusal('quick', { ...recipe, profiles: { quick: 7 } })
    expect(plain).toContain('recipe: profiles.quick: expected a mapping: 7')
  })
})

const folder = 'recipes'
const written = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) => {
    const path = join(folder, name)
    const { profiles = {} } = parse(readFileSync(path, 'utf8')) as RecipeInput
    return Object.keys(profiles).map((profile) => [path, profile] as const)
  })

if (written.length > 0)
  it.each(written)('%s has a profile %s that is valid', (path, profile) => {
    const { recipe: chosen } = parseRecipe(readFileSync(path, 'utf8'), path, { profile })
    expect(chosen.name).toMatch(new RegExp(`-${profile}$`))
  })
