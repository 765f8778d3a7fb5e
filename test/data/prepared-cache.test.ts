// Prepared records in the cache: whole or not there, and found by what they were made from.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { ownName } from '../../base/owner.ts'
import { prepareTable } from '../../data/prepare.ts'
import type { Prepared } from '../../data/prepared.ts'
import { findPrepared, keepPrepared, preparedKey, stateOf } from '../../data/prepared-cache.ts'
import { fileWriter } from '../../data/store.ts'
import type { Row } from '../../data/table.ts'
import { temporaryFolder } from '../support/folder.ts'
import { columnOf, featuresOf, labelsIn, partOf, plainOptions, tableOf } from './tables.ts'

const rows = Array.from({ length: 30 }, (_, index): Row => [index, `c${index % 3}`])
const table = tableOf({ x: 'number', label: 'text' }, rows, {
  test: partOf('test.csv', rows.slice(0, 5)),
})
const options = { ...plainOptions, features: featuresOf({ x: { kind: 'table', columns: ['x'] } }) }

/** One of each kind. */
const files = ['prepared.json', 'train.records', 'test.labels', 'validation.indices']

let folder = ''
beforeEach(() => {
  folder = join(temporaryFolder(), 'prepared', 'key')
})

const keep = (with_ = table) =>
  keepPrepared(folder, (pathOf) =>
    prepareTable(with_, options, {
      write: (part, layout) => fileWriter(layout, pathOf(part)),
      log: () => undefined,
    }),
  )

const contentOf = (found: Prepared) =>
  (['train', 'validation', 'calibration', 'test'] as const).map((split) => [
    columnOf(found, split, 'x'),
    labelsIn(found, split),
  ])

describe('what is kept', () => {
  it('is found as it was', async () => {
    const kept = await keep()
    const found = await findPrepared(folder)
    expect(found).toEqual(kept)
    expect(contentOf(found!)).toEqual(contentOf(kept))
    expect(found!.parts.train!.store.place).toEqual({ path: join(folder, 'train.records') })
    expect(readdirSync(join(folder, '..'))).toEqual(['key'])
  })

  it('is not there before', async () => {
    expect(await findPrepared(folder)).toBeUndefined()
  })

  it.each(files)('is as if it were not there where %s is damaged', async (name) => {
    const before = contentOf(await keep())
    const path = join(folder, name)
    const bytes = readFileSync(path)
    const damages: (() => void)[] = [
      () =>
        writeFileSync(
          path,
          bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte)),
        ),
      () => truncateSync(path, bytes.length - 2),
      () => writeFileSync(path, ''),
      () => rmSync(path),
    ]
    for (const damage of damages) {
      writeFileSync(path, bytes)
      expect(await findPrepared(folder)).toBeDefined()
      damage()
      expect(await findPrepared(folder)).toBeUndefined()
    }
    expect(contentOf(await keep())).toEqual(before)
    expect(contentOf((await findPrepared(folder))!)).toEqual(before)
  })

  it('goes by the newest content', async () => {
    await keep()
    const other = tableOf({ x: 'number', label: 'text' }, rows.slice(0, 20))
    const kept = await keep(other)
    expect(await findPrepared(folder)).toEqual(kept)
    expect(readdirSync(join(folder, '..'))).toEqual(['key'])
  })

  it('stays where the same is kept again, for somebody may be reading it', async () => {
    await keep()
    const moved = join(folder, 'train.records.seen')
    writeFileSync(moved, '')
    await keep()
    expect(existsSync(moved)).toBe(true)
  })

  it('is whole when two keep it at once', async () => {
    const [one, two] = await Promise.all([keep(), keep()])
    expect(contentOf(one)).toEqual(contentOf(two))
    expect(await findPrepared(folder)).toEqual(one)
    expect(readdirSync(join(folder, '..'))).toEqual(['key'])
  })
})

describe('what fails', () => {
  it('leaves nothing', async () => {
    const bad = tableOf({ x: 'number', label: 'text' }, [...rows, [1, null]])
    await expect(keep(bad)).rejects.toThrow(UserError)
    const late = tableOf({ x: 'number', label: 'text' }, rows, { test: partOf('test.csv', []) })
    await expect(keep(late)).rejects.toThrow('test.csv: holds no samples')
    expect(readdirSync(join(folder, '..'))).toEqual([])
  })

  it('with its process is cleaned away by the next one, what lives is left alone', async () => {
    const gone = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim()
    const own = ownName(`${folder}.new`)
    const left = own.replace(`-${process.pid}-`, `-${gone}-`)
    for (const path of [own, left]) {
      mkdirSync(path, { recursive: true })
      writeFileSync(join(path, 'train.records'), 'half')
    }
    await keep()
    expect([existsSync(own), existsSync(left)]).toEqual([true, false])
  })
})

describe('the state of files', () => {
  const write = (path: string, content: string, seconds = 1000) => {
    writeFileSync(path, content)
    utimesSync(path, seconds, seconds)
  }

  it('is their names, sizes and times, not their content', async () => {
    const home = temporaryFolder()
    const file = join(home, 'a.csv')
    write(file, 'abc')
    const state = await stateOf(file)
    write(file, 'xyz')
    expect(await stateOf(file)).toBe(state)
    write(file, 'xyz', 1001)
    expect(await stateOf(file)).not.toBe(state)
    write(file, 'wxyz')
    expect(await stateOf(file)).not.toBe(state)
    write(file, 'abc')
    expect(await stateOf(file)).toBe(state)
  })

  it('of a folder is that of all that is in it', async () => {
    const home = temporaryFolder()
    mkdirSync(join(home, 'a', 'b'), { recursive: true })
    const file = join(home, 'a', 'b', 'x')
    write(file, '1')
    const state = await stateOf(home)
    write(file, '1', 1001)
    const later = await stateOf(home)
    write(file, '1')
    expect(await stateOf(home)).toBe(state)
    renameSync(file, join(home, 'a', 'x'))
    const elsewhere = await stateOf(home)
    expect(new Set([state, later, elsewhere]).size).toBe(3)
  })
})

it('keys differ in whatever they are made of, and by no order', () => {
  expect(preparedKey({ a: 1, b: 2 })).toBe(preparedKey({ b: 2, a: 1 }))
  expect(preparedKey({ a: 1 })).not.toBe(preparedKey({ a: 2 }))
  expect(preparedKey(1)).toMatch(/^[0-9a-f]{32}$/)
})
