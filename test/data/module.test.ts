// Data sets that a module of the user's own makes.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { openModule } from '../../data/module.ts'
import type { Part, Row } from '../../data/table.ts'
import { temporaryFolder } from '../support/folder.ts'
import { writeFiles } from './support.ts'

let count = 0

/** Writes a module and gives its path; each has a name of its own, for modules are loaded once. */
function moduleOf(code: string): string {
  const name = `data-${count++}.mjs`
  return join(writeFiles(temporaryFolder(), { [name]: code }), name)
}

async function rowsOf({ rows }: Part): Promise<Row[]> {
  const found: Row[] = []
  for await (const row of rows()) found.push(row)
  return found
}

async function complaint(run: Promise<unknown>): Promise<string> {
  const thrown = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(thrown).toBeInstanceOf(UserError)
  const { message } = thrown as UserError
  expect(message).toMatch(/^\S+\.mjs: .+ — .+[^.]$/)
  return message.slice(message.indexOf('.mjs: ') + 6)
}

/** Two samples, as a list of code. */
const list = `[{ x: 1, label: 'b' }, { x: 2, label: 'a' }]`

describe('a module', () => {
  it.each([
    ['a list', `export const train = ${list}`],
    ['a function', `export const train = () => ${list}`],
    ['a generator function', `export function* train() { yield* ${list} }`],
    ['an async generator function', `export async function* train() { yield* ${list} }`],
    [
      'an async function’s iterable',
      `export const train = () => (async function* () { yield* ${list} })()`,
    ],
    ['a set', `export const train = new Set(${list})`],
    [
      'an async iterable',
      `export const train = { async *[Symbol.asyncIterator]() { yield* ${list} } }`,
    ],
  ])('exports %s, which is gone through as often as needed', async (_, code) => {
    const table = await openModule(moduleOf(code))
    expect(table.columns).toEqual([
      { name: 'x', type: 'number' },
      { name: 'label', type: 'text' },
    ])
    const expected = [
      [1, 'b'],
      [2, 'a'],
    ]
    expect(await rowsOf(table.train)).toEqual(expected)
    expect(await rowsOf(table.train)).toEqual(expected)
    expect([table.label, table.classes, table.test, table.inMemory]).toEqual([
      'label',
      ...[undefined, undefined, undefined],
    ])
  })

  it('may have other parts, classes, and another label', async () => {
    const table = await openModule(
      moduleOf(`export const train = ${list}
        export const validation = [{ label: 'a', x: 3 }]
        export function* test() { yield { x: 4 } }
        export const classes = ['b', 'a']
        export const label = 'kind'`),
    )
    expect(await rowsOf(table.validation!)).toEqual([[3, 'a']])
    expect(await rowsOf(table.test!)).toEqual([[4, null]])
    expect([table.classes, table.label]).toEqual([['b', 'a'], 'kind'])
    expect(table.test!.where).toMatch(/\.mjs: test$/)
  })

  it('has cells of every kind', async () => {
    const table = await openModule(
      moduleOf(`export const train = [{
        n: 0.5, t: 'x', l: [1, 'a', null], b: Uint8Array.of(1), f: { path: '/a.png' },
        i: { shape: [2], values: Float32Array.of(1, 2) }, later: null }, { later: 'here' }]`),
    )
    expect(table.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      ...['n number', 't text', 'l list', 'b bytes', 'f file', 'i tensor', 'later text'],
    ])
    const [first, second] = await rowsOf(table.train)
    expect(first!.slice(0, 3)).toEqual([0.5, 'x', [1, 'a', null]])
    expect(second).toEqual([null, null, null, null, null, null, 'here'])
  })

  it('misses what is no number', async () => {
    const table = await openModule(
      moduleOf('export const train = [{ x: 1 }, { x: NaN }, { x: Infinity }, { x: undefined }]'),
    )
    expect((await rowsOf(table.train)).flat()).toEqual([1, null, null, null])
  })

  it('can have columns that objects have by themselves', async () => {
    const table = await openModule(
      moduleOf(
        `export const train = [Object.fromEntries([['__proto__', 1], ['constructor', 'a']])]`,
      ),
    )
    expect(table.columns.map(({ name }) => name)).toEqual(['__proto__', 'constructor'])
    expect(await rowsOf(table.train)).toEqual([[1, 'a']])
  })
})

describe('a module that cannot be used', () => {
  it.each([
    ['has a mistake', 'export const train = [', 'the module cannot be loaded: '],
    [
      'fails at once',
      'throw new Error("no disk\\nat all")',
      'the module cannot be loaded: no disk — ',
    ],
    ['exports nothing', 'export default 1', "exports no 'train'"],
    [
      'exports a number',
      'export const train = 3',
      "'train' is neither a list, an iterable nor a function: number",
    ],
    ['exports a generator', 'export const train = (function* () {})()', "'train' is neither"],
    ['exports an object', 'export const train = {}', "'train' is neither"],
    ['gives nothing', 'export const train = []', "'train' gives no samples"],
    [
      'gives no samples but numbers',
      'export const train = [1]',
      "'train' gives what is no sample: number",
    ],
    ['gives lists', 'export const train = [[1]]', "'train' gives what is no sample: object"],
    [
      'gives functions',
      'export const train = [{ x: () => 1 }]',
      "column 'x' holds what is no cell: function",
    ],
    ['fails later', 'export function* train() { throw new Error("gone") }', "'train' failed: gone"],
    ['gives nothing to go through', 'export const train = () => 3', "'train' failed: "],
    [
      'has classes that are none',
      `export const train = ${list}; export const classes = 'ab'`,
      "'classes' is not a list",
    ],
    [
      'has no classes',
      `export const train = ${list}; export const classes = []`,
      "'classes' is not a list",
    ],
  ])('%s', async (_, code, what) => {
    expect(await complaint(openModule(moduleOf(code)))).toContain(what)
  })

  it('is not there', async () => {
    const absent = join(temporaryFolder(), 'absent.mjs')
    expect(await complaint(openModule(absent))).toContain('the module cannot be loaded')
  })

  it.each([
    ['changes the kind of a column', `{ x: 'one' }`, "column 'x' was number and is now text"],
    ['brings a new column', '{ x: 1, y: 2 }', "a column that the first samples do not have: 'y'"],
  ])('%s later', async (_, last, what) => {
    const code = `export const train = [...Array.from({ length: 100 }, () => ({ x: 1 })), ${last}]`
    const { train } = await openModule(moduleOf(code))
    expect(await complaint(rowsOf(train))).toContain(`train: ${what}`)
  })
})
