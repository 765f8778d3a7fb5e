import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { wavFolder } from '../../../data/readers/wav-folder.ts'
import type { FileCell, Part } from '../../../data/table.ts'
import { temporaryFolder } from '../../support/folder.ts'

/** A folder with empty files: the reader opens none of them. */
function folderOf(...files: readonly string[]): string {
  const folder = temporaryFolder()
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), '')
  }
  return folder
}

async function open(path: string, given: object = {}, testPath?: string) {
  const lines: string[] = []
  const options = wavFolder.options.parse(given)
  const table = await wavFolder.open({ path, testPath }, options, {
    log: (line) => lines.push(line.replaceAll(path, '.')),
  })
  return { table, lines }
}

async function rowsOf(part: Part | undefined) {
  const rows: string[] = []
  for await (const [file, ...cells] of part?.rows() ?? [])
    rows.push([basename((file as FileCell).path), ...cells].join(' '))
  return rows
}

const pattern = '(?<label>\\d)_(?<speaker>\\w+)_(?<index>\\d+)\\.wav'
const testWhen = { group: 'index', in: ['0', '1'] }

describe('a folder of WAV files', () => {
  it('takes the folders for classes', async () => {
    const folder = folderOf(
      ...['train/yes/b.wav', 'train/yes/a.WAV', 'train/no/deep/c.wave', 'train/no/.d.wav'],
      ...['train/no/notes.txt', 'test/no/e.wav'],
    )
    const { table, lines } = await open(folder)
    expect(table.columns).toEqual([
      { name: 'audio', type: 'file' },
      { name: 'label', type: 'text' },
    ])
    expect([table.label, table.classes]).toEqual(['label', ['no', 'yes']])
    expect(await rowsOf(table.train)).toEqual(['c.wave no', 'a.WAV yes', 'b.wav yes'])
    expect(await rowsOf(table.train)).toHaveLength(table.train.size!)
    expect(await rowsOf(table.test)).toEqual(['e.wav no'])
    expect(lines).toEqual([
      './train: ignored: 1 files that are no recordings (.txt 1)',
      './test: no folder for classes of the training part: yes',
    ])
  })

  it('takes recordings without labels where it is told so', async () => {
    const { table } = await open(folderOf('b.wav', 'x/a.wav'), { labels: 'none' })
    expect([table.label, table.columns.length]).toEqual([undefined, 1])
    expect(await rowsOf(table.train)).toEqual(['b.wav', 'a.wav'])
  })

  it('takes labels and the test part from names', async () => {
    const folder = folderOf(
      ...['recordings/1_ann_0.wav', 'recordings/1_ann_2.wav', 'recordings/0_bo_1.wav'],
      ...['recordings/0_bo_3.wav', 'recordings/0_bo_10.wav', 'README.md'],
    )
    const { table, lines } = await open(folder, { pattern, testWhen })
    expect(table.columns.map(({ name, type }) => `${name}: ${type}`)).toEqual([
      ...['audio: file', 'label: text', 'speaker: text', 'index: text'],
    ])
    expect([table.label, table.classes]).toEqual(['label', ['0', '1']])
    expect(await rowsOf(table.train)).toEqual([
      ...['0_bo_10.wav 0 bo 10', '0_bo_3.wav 0 bo 3', '1_ann_2.wav 1 ann 2'],
    ])
    expect(await rowsOf(table.test)).toEqual(['0_bo_1.wav 0 bo 1', '1_ann_0.wav 1 ann 0'])
    expect([table.train.size, table.test?.size]).toEqual([3, 2])
    expect(lines).toEqual(['.: ignored: 1 files that are no recordings (.md 1)'])
  })

  it('takes labels from names in folders of parts, numbers in their order', async () => {
    const folder = folderOf(...['10', '9', '2'].map((label) => `train/${label}_a_0.wav`))
    mkdirSync(join(folder, 'elsewhere'))
    const test = folderOf('9_a_5.wav')
    const wide = pattern.replace('\\d)', '\\d+)')
    const { table } = await open(folder, { pattern: wide }, test)
    expect(table.classes).toEqual(['2', '9', '10'])
    expect(await rowsOf(table.test)).toEqual(['9_a_5.wav 9 a 5'])
  })

  it('gives null for a group that took no part, and no label without such a group', async () => {
    const folder = folderOf('a.wav', 'a-loud.wav')
    const { table } = await open(folder, { pattern: '(?<word>[a-z])(?:-(?<how>[a-z]+))?\\.wav' })
    expect(table.label).toBeUndefined()
    const cells: unknown[] = []
    for await (const [, ...rest] of table.train.rows()) cells.push(rest)
    expect(cells).toEqual([
      ['a', 'loud'],
      ['a', null],
    ])
  })

  it('refuses or counts names that do not fit', async () => {
    const folder = folderOf('1_a_0.wav', 'other.wav', 'x1_a_0.wav')
    await expect(open(folder, { pattern })).rejects.toThrow(
      `${join(folder, 'other.wav')}: its name does not fit data.wav.pattern: ${pattern} — `,
    )
    const { table, lines } = await open(folder, { pattern, unmatched: 'skip' })
    expect(await rowsOf(table.train)).toEqual(['1_a_0.wav 1 a 0'])
    expect(lines).toEqual(['.: ignored: 2 recordings whose names do not fit the pattern'])
  })

  it('does not stumble over names of groups and labels that objects have', async () => {
    const folder = folderOf('constructor_1.wav', '__proto___2.wav')
    const { table } = await open(folder, { pattern: '(?<label>\\w+)_(?<toString>\\d)\\.wav' })
    expect(table.classes).toEqual(['__proto__', 'constructor'])
    expect(table.columns[2]?.name).toBe('toString')
  })

  it('does not follow links out of the folder', async () => {
    const folder = folderOf('1_a_0.wav')
    symlinkSync(join(folderOf('2_a_0.wav'), '2_a_0.wav'), join(folder, '2_a_0.wav'))
    await expect(open(folder, { pattern })).rejects.toThrow(/a symbolic link leads out of/)
  })

  it.each<[string, readonly string[], object, RegExp]>([
    ['a bad expression', ['a.wav'], { pattern: '(' }, /pattern: not a regular expression: \( — /],
    ['a group named audio', ['a.wav'], { pattern: '(?<audio>.*)' }, /name of the files' column/],
    [
      'no such group',
      ['1_a_0.wav'],
      { pattern, testWhen: { group: 'x', in: ['0'] } },
      /no such gr/,
    ],
    ['a test part of nothing', ['1_a_5.wav'], { pattern, testWhen }, /testWhen: takes no file/],
    ['a test part of everything', ['1_a_0.wav'], { pattern, testWhen }, /takes every file/],
    ['two test parts', ['train/1_a_0.wav', 'test/1_a_2.wav'], { pattern, testWhen }, /already/],
    ['testWhen alone', ['a.wav'], { testWhen }, /data\.wav\.testWhen: .* without a pattern/],
    ['labels and a pattern', ['a.wav'], { pattern, labels: 'none' }, /remove labels or pattern/],
    ['no recordings', ['a.txt'], { pattern }, /holds no recordings whose names fit/],
    ['no recordings in classes', ['x/a.txt'], {}, /holds no recordings: 1 files that are no/],
    ['recordings without classes', ['a.wav'], {}, /recordings without folders of classes: 1/],
    ['an empty folder', [], {}, /holds no recordings: the folder is empty/],
    ['a test part alone', ['test/x/a.wav'], {}, /has no training part/],
    [
      'a label outside',
      ['train/1_a_0.wav', 'test/2_a_0.wav'],
      { pattern },
      /no class of the .* '2'/,
    ],
    [
      'a class outside',
      ['train/x/a.wav', 'test/y/a.wav'],
      {},
      /no class of the training part: 'y'/,
    ],
    ['no label', ['.x', 'b.wav'], { pattern: '(?<label>a)?b\\.wav' }, /gives no label/],
  ])('refuses %s', async (_, files, given, message) => {
    const thrown = await open(folderOf(...files), given).catch((thrown: unknown) => thrown)
    expect(thrown).toBeInstanceOf(UserError)
    expect((thrown as Error).message).toMatch(message)
    expect((thrown as Error).message).not.toContain('\n')
  })
})
