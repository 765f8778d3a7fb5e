// Samples that lie in a file are prepared and read in batches in memory that does not grow with their number.
import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from '@jest/globals'
import { temporaryFolder } from '../support/folder.ts'

it('50,000 samples of 4 KB take hardly more memory than 500', () => {
  const folder = temporaryFolder()
  const script = resolve('test/slow/prepare-rows.js')
  // A small young generation: how much garbage the engine lets lie there is not the question.
  const options = ['--max-semi-space-size=2', script, '50000', '4096', folder]
  const printed = execFileSync(process.execPath, options)
  const found = JSON.parse(String(printed)) as { samples: number; grownBytes: number }
  expect(statSync(join(folder, 'all.train')).size).toBe(50_000 * 4096)
  expect(found.samples).toBe(40_500)
  expect(found.grownBytes).toBeLessThan(60e6)
})
