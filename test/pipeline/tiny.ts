// A data set and a recipe that run in a moment, and folders for what they leave behind.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'

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

const side = 8

/** Shape and classes of {@link tinyRecipe}'s data. */
export const tinyShape = { shape: [1, side, side], classes: 4 }

/** Writes a data set of images with one bright quadrant, which is the label, under noise. */
function writeData(folder: string): string {
  const writeIdx = (name: string, dims: number[], values: Uint8Array) => {
    const header = Buffer.alloc(4 + 4 * dims.length)
    header.writeUInt32BE(0x0800 + dims.length)
    for (const [index, dim] of dims.entries()) header.writeUInt32BE(dim, 4 + 4 * index)
    writeFileSync(join(folder, name), Buffer.concat([header, values]))
  }
  for (const [part, size] of [
    ['train', 500],
    ['t10k', 100],
  ] as const) {
    const { integer } = random(1, part)
    const labels = Uint8Array.from({ length: size }, () => integer(tinyShape.classes))
    const pixels = Uint8Array.from({ length: size * side * side }, (_, index) => {
      const [row, column] = [Math.floor(index / side) % side, index % side]
      const quadrant = (row < side / 2 ? 0 : 2) + (column < side / 2 ? 0 : 1)
      return integer(150) + (quadrant === labels[Math.floor(index / side ** 2)] ? 100 : 0)
    })
    writeIdx(`${part}-images-idx3-ubyte`, [size, side, side], pixels)
    writeIdx(`${part}-labels-idx1-ubyte`, [size], labels)
  }
  return folder
}

/** The data of {@link tinyRecipe}. */
export const tinyData = { format: 'idx' as const, path: writeData(temporaryFolder()) }

/** A small teacher, trained for one epoch, and two branches from it. */
export const tinyRecipe: RecipeInput = {
  name: 'tiny',
  seed: 3,
  data: tinyData,
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
    // Its measures take longer than all else together; tasks.test.ts has them.
    knowledge: false,
  },
}
