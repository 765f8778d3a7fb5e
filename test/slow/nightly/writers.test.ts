// The history with two processes that write at once, and with writers that are killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { expect, it } from '@jest/globals'
import { openHistory } from '../../../pipeline/nightly/history.ts'
import { nextNight, noisyReadings } from '../../pipeline/nightly/nights.ts'
import { temporaryFolder } from '../../support/folder.ts'

const built = pathToFileURL(resolve('dist/pipeline/nightly/history.js')).href
const night = nextNight([], noisyReadings(1, 0, 200))

/** A process that adds so many nights with its name; it says 'begun' after the first. */
const writer = (path: string, name: string, count: number) =>
  spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { openHistory } = await import(${JSON.stringify(built)})
       const history = await openHistory(${JSON.stringify(path)})
       const night = ${JSON.stringify({ ...night, condense: name })}
       for (let count = 0; count < ${count}; count++) {
         history.add({ ...night, node: String(count) })
         if (count === 0) process.stdout.write('begun')
       }
       history.close()`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )

it('keeps all nights of two processes, each in its order', async () => {
  const path = join(temporaryFolder(), 'history.db')
  const count = 300
  const codes = await Promise.all(
    ['one', 'other'].map(async (name) => (await once(writer(path, name, count), 'close'))[0]),
  )
  expect(codes).toEqual([0, 0])
  const history = await openHistory(path)
  const nights = history.nights('s')
  history.close()
  expect(nights.map(({ id }) => id)).toEqual(nights.map((_, index) => index + 1))
  for (const name of ['one', 'other'])
    expect(
      nights.filter(({ condense }) => condense === name).map(({ node }) => Number(node)),
    ).toEqual(Array.from({ length: count }, (_, index) => index))
})

it('has whole nights only after writers were killed', async () => {
  const path = join(temporaryFolder(), 'history.db')
  let known = 0
  for (let kill = 0; kill < 15; kill++) {
    const child = writer(path, 'killed', 1_000_000)
    await once(child.stdout, 'data')
    await sleep(50 * Math.random())
    child.kill('SIGKILL')
    await once(child, 'close')
    const history = await openHistory(path)
    const nights = history.nights('s') // each is checked against its hash
    history.close()
    expect(nights.length).toBeGreaterThan(known)
    expect(nights.at(-1)!.recipes).toEqual(night.recipes)
    known = nights.length
  }
})
