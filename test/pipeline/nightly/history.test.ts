import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import Database from 'libsql'
import { openExistingHistory, openHistory } from '../../../pipeline/nightly/history.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { nextNight, noisyReadings } from './nights.ts'

const folder = temporaryFolder()
const path = join(folder, 'history.db')
const night = nextNight([], noisyReadings(1, 0))

beforeAll(async () => {
  const history = await openHistory(path)
  for (let count = 0; count < 20; count++) history.add(night)
  history.accept(20, 'wanted', night.at)
  history.close()
})

it('gives back what was added, by suite and in order', async () => {
  const history = await openHistory(path)
  const nights = history.nights('s')
  expect(nights.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  expect(nights[0]).toEqual({ ...night, id: 1 })
  expect(nights[19]!.accepted).toBe('wanted')
  expect(history.nights('another')).toEqual([])
  history.close()
})

it('is made only where it is asked for', async () => {
  expect(await openExistingHistory(join(folder, 'none.db'))).toBeUndefined()
  expect(existsSync(join(folder, 'none.db'))).toBe(false)
})

it.each([
  "UPDATE nights SET content = '{}'",
  'DELETE FROM nights WHERE id = 3',
  "INSERT OR REPLACE INTO nights VALUES (3, 's', 'now', '{}', '')",
  "INSERT INTO nights VALUES (3, 's', 'now', '{}', '') ON CONFLICT DO UPDATE SET content = '{}'",
  "UPDATE acceptances SET reason = 'another'",
  'DELETE FROM acceptances',
  "INSERT OR REPLACE INTO acceptances VALUES (20, 'another', 'now')",
])('is append-only: %s', (statement) => {
  const database = new Database(path)
  expect(() => database.exec(statement)).toThrow('append-only')
  database.close()
})

describe('a file that is no sound history is told of in one line, and stays as it is', () => {
  const whole = () => readFileSync(path)
  const cases: [string, () => Buffer, RegExp][] = [
    ['cut off', () => whole().subarray(0, 6000), /damaged: .* — put a copy of it back/],
    ['empty', () => Buffer.alloc(0), /damaged: the file is empty — /],
    [
      'text',
      () => Buffer.from('no database at all\n'.repeat(500)),
      /damaged: file is not a database — /,
    ],
    ['overwritten pages', () => Buffer.from(whole()).fill(0x55, 4096), /damaged: .* — /],
    [
      'a changed digit inside a night',
      () => {
        // SQLite may have an old copy of a page's content beside the one that counts.
        const text = whole().toString('latin1').replaceAll('34512', '34513')
        return Buffer.from(text, 'latin1')
      },
      /damaged: night \d+ is not what was written — /,
    ],
  ]
  it.each(cases)('%s', async (name, content, message) => {
    const damaged = join(folder, `${name}.db`)
    const bytes = content()
    writeFileSync(damaged, bytes)
    const reading = async () => {
      const history = await openHistory(damaged)
      try {
        history.nights('s')
      } finally {
        history.close()
      }
    }
    await expect(reading()).rejects.toMatchObject({
      name: 'UserError',
      message: expect.stringMatching(message),
    })
    await expect(reading()).rejects.toThrow(damaged)
    expect(readFileSync(damaged).equals(bytes)).toBe(true)
  })

  it('of a later version', async () => {
    const later = join(folder, 'later.db')
    copyFileSync(path, later)
    const database = new Database(later)
    database.exec('PRAGMA user_version = 2')
    database.close()
    await expect(openHistory(later)).rejects.toThrow(
      /later version of Condense: its format is 2, this one reads up to 1 — update Condense$/,
    )
  })

  it('of another program', async () => {
    const other = join(folder, 'other.db')
    const database = new Database(other)
    database.exec('CREATE TABLE things (id INTEGER)')
    database.close()
    await expect(openHistory(other)).rejects.toThrow(/not a history of Condense — /)
  })
})
