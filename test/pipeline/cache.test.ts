import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import {
  clearCache,
  defaultCacheFolder,
  findEntry,
  listEntries,
  lockPath,
  prepareCache,
  putEntry,
  workFolder,
} from '../../pipeline/cache.ts'
import { isLocked, tryLock, withLock } from '../../pipeline/lock.ts'
import { codeVersion, packageVersion } from '../../pipeline/version.ts'
import { temporaryFolder } from './tiny.ts'

const model = buildArchitecture(
  { architecture: 'mlp', hidden: [] },
  { ...oneInput([3], 2), seed: 1 },
)
const about = { stage: 'train', seconds: 2, work: 10, epochSeconds: [1, 1] }

async function cacheWith(key: string) {
  const cache = temporaryFolder()
  prepareCache(cache)
  const entry = await putEntry(cache, key, { model, facts: { summary: 'done' } }, about)
  return { cache, entry, folder: join(cache, 'stages', key) }
}

describe('the cache', () => {
  it('gives back what was put, with its facts', async () => {
    const { cache, entry } = await cacheWith('k1')
    const found = await findEntry(cache, 'k1')
    expect(found).toEqual(entry)
    expect(found?.facts.summary).toBe('done')
    expect(await findEntry(cache, 'k2')).toBeUndefined()
    expect(listEntries(cache)).toMatchObject([{ key: 'k1', stage: 'train', seconds: 2 }])
  })

  it('gives the same model the same hash, whatever its facts', async () => {
    const first = await cacheWith('k1')
    const second = await putEntry(first.cache, 'k2', { model, facts: {} }, about)
    expect(second.hash).toBe(first.entry.hash)
  })

  it.each([
    ['a cut model', (folder: string) => truncateSync(join(folder, 'model.onnx'), 10)],
    ['a changed fact', (folder: string) => writeFileSync(join(folder, 'facts.json'), '{}')],
    ['no manifest', (folder: string) => writeFileSync(join(folder, 'manifest.json'), '')],
  ])('notices %s and forgets the entry', async (_, damage) => {
    const { cache, folder } = await cacheWith('k1')
    damage(folder)
    const told: string[] = []
    expect(await findEntry(cache, 'k1', (line) => told.push(line))).toBeUndefined()
    expect(told).toEqual(['the cache entry k1 is damaged and is made again'])
    expect(existsSync(folder)).toBe(false)
  })

  it('holds one whole entry where two put the same at once', async () => {
    const { cache } = await cacheWith('k1')
    const put = () => putEntry(cache, 'k1', { model, facts: {} }, about)
    await Promise.allSettled([put(), put(), put()])
    expect(await findEntry(cache, 'k1')).toBeDefined()
    expect(readdirSync(join(cache, 'stages'))).toEqual(['k1'])
  })

  it('is cleared but for what is in use', async () => {
    const { cache } = await cacheWith('k1')
    await putEntry(cache, 'k2', { model, facts: {} }, about)
    writeFileSync(workFolder(cache, 'k3'), 'left over')
    const lock = tryLock(lockPath(cache, 'k2'))
    expect(clearCache(cache)).toMatchObject({ kept: 1 })
    expect(listEntries(cache).map(({ key }) => key)).toEqual(['k2'])
    if ('release' in lock) lock.release()
    expect(clearCache(cache)).toMatchObject({ kept: 0 })
    expect(listEntries(cache)).toEqual([])
  })

  it('lies where the user says, or where the system keeps caches', () => {
    expect(defaultCacheFolder({ CONDENSE_CACHE: '/c' })).toBe('/c')
    if (process.platform === 'linux') {
      expect(defaultCacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/condense')
      expect(defaultCacheFolder({})).toBe(join(homedir(), '.cache', 'condense'))
    }
  })
})

describe('a lock', () => {
  it('is held by one at a time', async () => {
    const path = join(temporaryFolder(), 'lock')
    const order: string[] = []
    const waited: number[] = []
    const use = (name: string) =>
      withLock(path, { onWait: (holder) => waited.push(holder) }, async () => {
        order.push(`${name} in`)
        await new Promise((resolve) => setTimeout(resolve, 50))
        order.push(`${name} out`)
      })
    await Promise.all([use('a'), use('b')])
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out'])
    expect(waited).toEqual([process.pid])
    expect(existsSync(path)).toBe(false)
  })

  it('is released after an error', async () => {
    const path = join(temporaryFolder(), 'lock')
    const failing = withLock(path, { onWait: () => undefined }, async () => {
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(isLocked(path)).toBe(false)
  })

  it('of a process that died holds nothing', () => {
    const path = join(temporaryFolder(), 'lock')
    const child = spawnSync(process.execPath, ['-e', 'console.log(process.pid)'])
    const own = tryLock(path)
    const holder = JSON.parse(readFileSync(path, 'utf8')) as object
    writeFileSync(path, JSON.stringify({ ...holder, process: Number(child.stdout), token: 'x' }))
    expect(isLocked(path)).toBe(false)
    const taken = tryLock(path)
    expect('release' in taken).toBe(true)
    // The first holder lost it and must not take it away from the second.
    if ('release' in own) own.release()
    expect(isLocked(path)).toBe(true)
    if ('release' in taken) taken.release()
  })

  it('is given up waiting for when the run is interrupted', async () => {
    const path = join(temporaryFolder(), 'lock')
    const lock = tryLock(path)
    const signal = AbortSignal.timeout(100)
    const waiting = withLock(path, { signal, onWait: () => undefined }, async () => undefined)
    await expect(waiting).rejects.toThrow('interrupted')
    if ('release' in lock) lock.release()
  })
})

it('knows the version of the package and of the code', () => {
  expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+/)
  expect(codeVersion()).toMatch(/^[0-9a-f]{64}$/)
  expect(codeVersion()).toBe(codeVersion())
})
