import { expect, it } from '@jest/globals'
import { parse } from 'yaml'
import { parseSuite, suiteSchema } from '../../../pipeline/nightly/suite.ts'
import { suiteOf } from './nights.ts'

it('makes defaults explicit and paths absolute', () => {
  const suite = suiteOf()
  expect(suite.recipes).toMatchObject([{ id: 'digits', set: [], variants: undefined }])
  expect(suite.recipes[0]!.recipe).toBe(`${process.cwd()}/recipes/digits.yaml`)
  expect(suite.folder).toBe(`${process.cwd()}/recipes/nightly`)
  expect(suite.recipes[0]!.measures).toContain('latency')
  expect(suite.thresholds.falseAlarms).toBe(0.01)
})

it.each([
  ['name: s', /^s\.yaml: recipes: missing/],
  ['{ name: s, recipes: [] }', /^s\.yaml: recipes: /],
  [
    '{ name: s, recipes: [{ recipe: no.yaml }] }',
    /^s\.yaml: recipes\.0\.recipe: no such file: 'no\.yaml' — /,
  ],
  ['{ name: ../s, recipes: [{ recipe: a }] }', /^s\.yaml: name: /],
  [
    '{ name: s, recipes: [{ recipe: package.json, measures: [latncy] }] }',
    /^s\.yaml: recipes\.0\.measures\.0: .*latency/,
  ],
  [
    '{ name: s, recipes: [{ recipe: package.json }], treshold: {} }',
    /^s\.yaml: treshold: unknown key — .*thresholds/,
  ],
  [
    '{ name: s, recipes: [{ recipe: package.json }, { recipe: package.json }] }',
    /^s\.yaml: recipes\.1\.id: two recipes have this id: 'package' — /,
  ],
  [
    '{ name: s, recipes: [{ recipe: package.json }], baseline: { nights: 5, least: 6 } }',
    /^s\.yaml: baseline\.least: /,
  ],
  [
    '{ name: s, recipes: [{ recipe: package.json }], thresholds: { falseAlarms: 0 } }',
    /^s\.yaml: thresholds\.falseAlarms: /,
  ],
  ['{ name: s', /^s\.yaml: neither YAML nor JSON: .*line 1/],
  ['&a [*a, *a]', /^s\.yaml: /],
])('says in one line what is wrong: %s', (text, message) => {
  const problem = (() => {
    try {
      parseSuite(text, 's.yaml')
      return undefined
    } catch (thrown) {
      return thrown as Error
    }
  })()
  expect(problem).toMatchObject({ name: 'UserError', message: expect.stringMatching(message) })
  expect(problem!.message).not.toContain('\n')
})

it('has a schema with a description of every option', () => {
  const schema = suiteSchema() as { properties: Record<string, { description?: string }> }
  for (const [name, { description }] of Object.entries(schema.properties))
    expect([name, description]).toEqual([name, expect.any(String)])
  expect(parse(JSON.stringify(schema))).toEqual(schema)
})
