// Disks that are full at other moments than in the quick tests.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { findEntry } from '../../../pipeline/cache.ts'
import { run } from '../../../pipeline/run.ts'
import { expectWholeFilesOnFullDisk, mayMount, mount } from '../../pipeline/disks.ts'
import { temporaryFolder, tinyRecipe } from '../../pipeline/tiny.ts'

const describeDisks = mayMount ? describe : describe.skip

describeDisks(mayMount ? 'a disk' : 'a disk (skipped: mounting needs root)', () => {
  it('that is full while the report is written has whole files alone, and the next run goes on', () =>
    expectWholeFilesOnFullDisk('100k'))

  it('that is full under the cache holds whole entries alone', async () => {
    const disk = mount('size=60k') as string
    const running = run(tinyRecipe, {
      ...{ cacheFolder: disk, outFolder: join(temporaryFolder(), 'out'), threads: 1 },
    })
    await expect(running).rejects.toThrow(/the disk is full/)
    for (const name of readdirSync(join(disk, 'stages')))
      expect(await findEntry(disk, name)).toBeDefined()
  })
})
