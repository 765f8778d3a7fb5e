// File systems that are full or may only be read, where they may be mounted.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { run } from '../../pipeline/run.ts'
import { atEnd, temporaryFolder, tinyRecipe } from './tiny.ts'

/** Mounts a file system in memory until the tests of the file are over; undefined where that is not allowed. */
export function mount(options: string): string | undefined {
  const path = join(temporaryFolder(), 'disk')
  mkdirSync(path)
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path])
  if (status !== 0) return undefined
  atEnd(() => spawnSync('umount', [path]))
  return path
}

/** Whether {@link mount} can do what it should. */
export const mayMount = mount('size=64k') !== undefined

/** Expects a run onto a disk of this size to leave whole files alone, and the next one, with room, to go on. */
export async function expectWholeFilesOnFullDisk(
  size: string,
  cacheFolder = temporaryFolder(),
): Promise<void> {
  const disk = mount(`size=${size}`) as string
  const options = { cacheFolder, outFolder: join(disk, 'out'), threads: 1 }
  await expect(run(tinyRecipe, options)).rejects.toThrow(
    /: the disk is full — free some space and run again, finished stages are kept$/,
  )
  const left = readdirSync(disk, { recursive: true, encoding: 'utf8' })
  expect(left.filter((name) => /\.tmp$|report/.test(name))).toEqual([])
  spawnSync('mount', ['-o', 'remount,size=10m', disk])
  expect((await run(tinyRecipe, options)).variants).toHaveLength(2)
}
