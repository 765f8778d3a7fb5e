import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { jsonl } from '../../../data/readers/json-lines.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { opened, readAll, rowsOf } from './opened.ts'

const folder = temporaryFolder()
let files = 0

function file(content: string | Uint8Array, ending = '.jsonl'): string {
  const path = join(folder, `${++files}${ending}`)
  writeFileSync(path, content)
  return path
}

describe('reading JSON lines', () => {
  it('makes cells of numbers, texts, truths and flat lists', async () => {
    const lines = [
      '{"n": 1.5, "t": "é", "b": true, "l": [1, null, 2], "w": ["a"]}',
      '',
      '{"t": null, "b": false, "l": [], "w": []}\r',
    ]
    const table = await opened(jsonl, file(gzipSync(lines.join('\n')), '.jsonl.gz'), {})
    expect(table.columns).toEqual([
      { name: 'n', type: 'number' },
      { name: 't', type: 'text' },
      { name: 'b', type: 'number' },
      { name: 'l', type: 'list' },
      { name: 'w', type: 'list' },
    ])
    expect(await rowsOf(table.train)).toEqual([
      [1.5, 'é', 1, [1, null, 2], ['a']],
      [null, null, 0, [], []],
    ])
    expect(table.train.whereOf?.(1)).toMatch(/: line 3$/)
  })

  it('leaves out keys that come late, and those that are not named', async () => {
    const late = file(`${'{"a":1}\n'.repeat(1001)}{"a":2,"b":3}\n`)
    expect((await readAll(jsonl, late, {})).at(-1)).toEqual([2])
    const nested = file('{"a":1,"meta":{"x":1},"__proto__":{"y":2}}\n')
    expect(await readAll(jsonl, nested, { columns: ['a'] })).toEqual([[1]])
  })

  it.each<[string, string | Uint8Array, object, RegExp]>([
    ['an empty file', '', {}, /: holds no rows — /],
    ['no JSON', '{"a":1}\n{"a":\n', {}, /line 2: not JSON: .* — write one object a line/],
    ['a list', '[1]\n', {}, /line 1: not an object: '\[1\]' — /],
    ['an object in a column', '{"a":{"b":1}}\n', {}, /line 1: 'a' is an object — /],
    ['a list of lists', '{"a":[[1]]}\n', {}, /line 1: 'a' holds a list of lists — /],
    ['another type', '{"a":1}\n{"a":"x"}\n', {}, /line 2: 'a' is no number as in the rows before/],
    ['a number too large', '{"a":1e999}\n', {}, /line 1: 'a' is a number beyond/],
    ['empty objects', '{}\n', {}, /its objects are empty/],
    ['a column that is nowhere', '{"abc":1}\n', { columns: ['abd'] }, /no row has a 'abd' — did/],
    ['Latin-1', Buffer.from('{"a":1}\n{"a":"\xe9"}\n', 'latin1'), {}, /line 2: not UTF-8 text/],
  ])('refuses %s', async (_name, content, options, message) => {
    const error = readAll(jsonl, file(content), options)
    await expect(error).rejects.toThrow(message)
    await expect(error).rejects.toMatchObject({ name: 'UserError' })
  })
})
