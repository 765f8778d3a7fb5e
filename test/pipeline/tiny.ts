// A recipe that runs in a second, and folders for what it leaves behind.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'
import type { RecipeInput } from '../../pipeline/recipe.ts'

/** A teacher of 13,000 weights, trained for one epoch on 500 digits, and two branches from it. */
export const tinyRecipe: RecipeInput = {
  name: 'tiny',
  seed: 3,
  data: { source: 'digits', train: { limit: 500 }, test: { limit: 100 } },
  teacher: {
    model: { architecture: 'mlp', hidden: [16] },
    train: { epochs: 1, batch: 32, optimizer: { name: 'adamw', rate: 0.01 } },
  },
  stages: [
    { stage: 'quantize', scheme: 'dynamic' },
    { stage: 'quantize', id: 'half', from: 'teacher', scheme: 'float16' },
  ],
  benchmark: {
    providers: ['cpu'],
    latency: { batches: [1], threads: [1], rounds: 1, runs: 3, seconds: 0.02 },
  },
}

const folders: string[] = []

/** A new folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'condense-test-'))
  folders.push(folder)
  return folder
}

const cleaners: (() => void)[] = []

/** Does something after the tests of the file, before their folders are removed. */
export const atEnd = (clean: () => void): void => {
  cleaners.push(clean)
}

afterAll(() => {
  for (const clean of cleaners) clean()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
