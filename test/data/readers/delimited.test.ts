import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { csv, tsv } from '../../../data/readers/delimited.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { opened, readAll, rowsOf } from './opened.ts'

const folder = temporaryFolder()
let files = 0

function file(content: string | Uint8Array, ending = '.csv'): string {
  const path = join(folder, `${++files}${ending}`)
  writeFileSync(path, content)
  return path
}

describe('reading delimited text', () => {
  it('tells numbers from texts and knows what is missing', async () => {
    const table = await opened(csv, file('a,b,c\n1,x,NA\n-2.5e1, y ,7\n,?,0\n'), {})
    expect(table.columns).toEqual([
      { name: 'a', type: 'number' },
      { name: 'b', type: 'text' },
      { name: 'c', type: 'number' },
    ])
    const rows = [
      [1, 'x', null],
      [-25, 'y', 7],
      [null, null, 0],
    ]
    expect(await rowsOf(table.train)).toEqual(rows)
    // The same rows again: a part is read several times.
    expect(await rowsOf(table.train)).toEqual(rows)
  })

  it('reads quotes, delimiters and line ends inside them, and names the lines of rows', async () => {
    const path = file('t,n\r\n"a, ""b""\r\nc",1\r\n\r\nd,2\r\n')
    const table = await opened(csv, path, {})
    expect(await rowsOf(table.train)).toEqual([
      ['a, "b"\r\nc', 1],
      ['d', 2],
    ])
    expect(table.train.whereOf?.(0)).toBe(`${path}: line 3`)
    expect(table.train.whereOf?.(1)).toBe(`${path}: line 5`)
  })

  it('takes quotes of tab-separated text for ordinary characters', async () => {
    expect(await readAll(tsv, file('"a\t1\nb "c"\t2\n', '.tsv'), { header: ['t', 'n'] })).toEqual([
      ['"a', 1],
      ['b "c"', 2],
    ])
  })

  it('keeps whole numbers that a double cannot hold as text, and other than decimal ones', async () => {
    const table = await opened(csv, file('id,hex\n12345678901234567890,0x10\n1,0x11\n'), {})
    expect(table.columns.map(({ type }) => type)).toEqual(['text', 'text'])
  })

  it('numbers the columns of a file without header, and takes names from the recipe', async () => {
    const path = file('1,a\n2,b\n')
    const table = await opened(csv, path, { header: false })
    expect(table.columns.map(({ name }) => name)).toEqual(['column1', 'column2'])
    expect(await rowsOf(table.train)).toHaveLength(2)
    const types = { n: 'text' } as const
    expect(await readAll(csv, path, { header: ['n', 't'], types })).toEqual([
      ['1', 'a'],
      ['2', 'b'],
    ])
  })

  it('skips lines and comments, and cuts suffixes', async () => {
    const path = file('junk line, with "quotes\n|another\n1, yes.\n# no comment,no\n', '.csv')
    const options = { header: ['n', 'label'], skipLines: 1, comment: '|', types: { n: 'text' } }
    expect(await readAll(csv, path, { ...options, stripSuffix: { label: '.' } } as object)).toEqual(
      [
        ['1', 'yes'],
        ['# no comment', 'no'],
      ],
    )
  })

  it('finds the parts of a folder and reads their columns by name', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'train.csv.gz'), gzipSync('a,b\n1,x\n'))
    writeFileSync(join(folder, 'test-00000-of-00002.csv'), 'b,a,c\ny,2,9\n')
    writeFileSync(join(folder, 'test-00001-of-00002.csv'), 'b,a\nz,3\n')
    writeFileSync(join(folder, 'dev.csv'), 'a,b\n4,w\n')
    const log: string[] = []
    const table = await opened(csv, folder, {}, { log })
    expect(await rowsOf(table.train)).toEqual([[1, 'x']])
    expect(await rowsOf(table.validation)).toEqual([[4, 'w']])
    expect(await rowsOf(table.test)).toEqual([
      [2, 'y'],
      [3, 'z'],
    ])
    expect(table.test?.whereOf?.(1)).toBe(`${join(folder, 'test-00001-of-00002.csv')}: line 2`)
    expect(log).toEqual([expect.stringContaining('left out: c')])
    const own = file('a,b\n5,v\n')
    const other = await opened(csv, folder, {}, { testPath: own })
    expect(await rowsOf(other.test)).toEqual([[5, 'v']])
  })

  it('leaves a byte order mark out, and does without a last line end', async () => {
    const table = await opened(csv, file('\uFEFFa\n1\n2'), {})
    expect(table.columns[0]?.name).toBe('a')
    expect(await rowsOf(table.train)).toEqual([[1], [2]])
  })

  it('gives back what was written by RFC 4180, whatever the cells hold', async () => {
    const dice = random(3, 'cells')
    const letters = ['a', '1', '"', ',', '\n', '\r\n', ' ', 'é', '𝄞', '\t', '.']
    const cell = () =>
      `x${Array.from({ length: dice.integer(6) }, () => letters[dice.integer(letters.length)]).join('')}`
    const rows = Array.from({ length: 3000 }, () => [cell(), cell(), cell()])
    const quoted = (text: string) =>
      /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
    const lines = [['a', 'b', 'c'], ...rows].map((row) => row.map(quoted).join(','))
    const path = file(lines.join('\n'))
    const table = await opened(csv, path, { trim: false, missing: [] })
    expect(await rowsOf(table.train)).toEqual(rows)
    // The last row ends where the file does.
    const end = lines.join('\n').split('\n').length
    expect(table.train.whereOf?.(rows.length - 1)).toBe(`${path}: line ${end}`)
  })

  it('reads a file of one row', async () => {
    expect(await readAll(csv, file('a,b\n1,2'), {})).toEqual([[1, 2]])
  })

  const late = `a\n${'1\n'.repeat(2000)}oops\n`
  it.each<[string, string | Uint8Array, object, RegExp]>([
    ['an empty file', '', {}, /: holds no rows — /],
    ['only blank lines', '\n\n', {}, /: holds no rows — /],
    ['a header alone', 'a,b\n', {}, /: holds no rows — /],
    ['a short row', 'a,b\n1,2\n3\n', {}, /line 3: 1 cells where there are 2 columns — /],
    ['a long row', 'a,b\n1,2,3\n', {}, /line 2: 3 cells where there are 2 columns — /],
    ['equal names', 'a,a\n1,2\n', {}, /two columns have the name 'a' — /],
    ['no name', 'a,\n1,2\n', {}, /column 2 has no name — /],
    ['a word in a column of numbers', late, {}, /line 2002: column 'a': not a number: 'oops' — /],
    ['a number too large', 'a\n1e999\n', { types: { a: 'number' } }, /not a number: '1e999'/],
    ['Latin-1', Buffer.from('a\nx\ncaf\xe9\n', 'latin1'), {}, /line 3: not UTF-8 text — /],
    ['UTF-16', Buffer.from('\uFEFFa\n1\n', 'utf16le'), {}, /line 1: not UTF-8 text — /],
    ['an open quote', 'a,b\n1,"2\n3,4\n', {}, /line \d: a quote is opened and never closed — /],
    ['a quote inside', 'a,b\n1,x"y"\n', {}, /line 2: a quote is opened in the middle of a cell — /],
    ['a quote and more', 'a,b\n1,"x"y\n', {}, /line 2: a quote is closed in the middle of a cell/],
    [
      'unknown types',
      'abc\n1\n',
      { types: { abd: 'text' } },
      /no column 'abd' — did you mean 'abc'/,
    ],
    ['an unknown suffix', 'a\n1\n', { stripSuffix: { b: '.' } }, /no column 'b' — /],
    ['wrong names', 'a,b\n1,2\n', { header: ['x'] }, /line 1: 2 cells where there are 1 columns/],
  ])('refuses %s in one line', async (_name, content, options, message) => {
    const path = file(content)
    const error = readAll(csv, path, options)
    await expect(error).rejects.toThrow(message)
    await expect(error).rejects.toMatchObject({ name: 'UserError' })
    await error.catch(({ message }) => {
      expect(message.startsWith(path)).toBe(true)
      expect(message).not.toContain('\n')
    })
  })

  it('refuses a test part that lacks a column, and folders without a training part', async () => {
    const train = file('a,b\n1,2\n')
    const error = opened(csv, train, {}, { testPath: file('a\n1\n') })
    await expect(error).rejects.toThrow(/no column 'b', which the training part has — /)
    await expect(opened(csv, temporaryFolder(), {})).rejects.toThrow(/no training part/)
    await expect(opened(csv, join(folder, 'absent.csv'), {})).rejects.toThrow(/no such file/)
  })

  it('refuses lines without end, also those that a gzip makes of little', async () => {
    const path = file(gzipSync(Buffer.alloc(40_000_000, 'a')), '.csv.gz')
    await expect(readAll(csv, path, {})).rejects.toThrow(/line 1: longer than \d+ bytes — /)
    const cut = file(gzipSync('a,b\n1,2\n').subarray(0, 20), '.csv.gz')
    await expect(readAll(csv, cut, {})).rejects.toThrow(/not a gzip file, or a damaged one/)
  })
})
