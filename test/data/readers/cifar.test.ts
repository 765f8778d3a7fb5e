import { writeFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { cifar } from '../../../data/readers/cifar.ts'
import { cifar100Records, cifarRecords, temporaryFolders, writeFiles } from '../support.ts'
import { imagesIn, opened, readAll } from './opened.ts'

const folder = temporaryFolders()
const small = {
  'data_batch_2.bin.gz': cifarRecords([4, 5]),
  'data_batch_1.bin': cifarRecords([1, 2, 3]),
  'test_batch.bin.gz': cifarRecords([9]),
}
/** What fails does so with a `UserError` of one line. */
async function expectRefusal(path: string, message: RegExp): Promise<void> {
  const failed = readAll(cifar, path, {})
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(message)
  await expect(failed).rejects.not.toThrow(/\n/)
}

it('reads plain and compressed batches in the order of their numbers and says which are missing', async () => {
  const path = writeFiles(folder(), small)
  const log: string[] = []
  const table = await opened(cifar, path, {}, { log })
  const [train, test] = [await imagesIn(table.train), await imagesIn(table.test)]
  expect([...train.shapes, ...test.shapes]).toEqual(['3,32,32', '3,32,32'])
  expect(table.label).toBe('label')
  expect(table.classes).toHaveLength(10)
  expect(table.classes![9]).toBe('truck')
  expect(train.labels).toEqual([1, 2, 3, 4, 5])
  expect(test.labels).toEqual([9])
  expect(train.samples).toHaveLength(5 * 3072)
  expect([0, 1023, 1024, 3071].map((at) => train.samples[3 * 3072 + at])).toEqual([4, 4, 14, 24])
  expect(log).toEqual([`${path}: only training batches 1, 2 of 1 to 5 are there: 5 images`])
})

it('says nothing when all five batches are there, and knows sizes without reading images', async () => {
  const batches = [1, 2, 3, 4, 5].map((n) => [`data_batch_${n}.bin`, cifarRecords([n])] as const)
  const path = writeFiles(folder(), { ...small, ...Object.fromEntries(batches) })
  const log: string[] = []
  const table = await opened(cifar, path, {}, { log })
  expect([table.train.size, table.test?.size]).toEqual([5, 1])
  expect((await imagesIn(table.train)).labels).toEqual([1, 2, 3, 4, 5])
  expect(log).toEqual([])
})

it('gives the same rows each time', async () => {
  const { train } = await opened(cifar, writeFiles(folder(), small), {})
  expect(await imagesIn(train)).toEqual(await imagesIn(train))
})

it('takes class names from classes.txt or batches.meta.txt', async () => {
  const names = Array.from({ length: 10 }, (_, index) => `class ${index}`)
  const path = writeFiles(folder(), { ...small, 'batches.meta.txt': `${names.join('\n')}\n\n` })
  expect((await opened(cifar, path, {})).classes).toEqual(names)
})

it.each<[string, Record<string, Uint8Array | string | undefined>, RegExp]>([
  ['an empty folder', {}, /no file 'data_batch_1.bin'.*the folder is empty/],
  [
    'a missing test batch',
    { ...small, 'test_batch.bin.gz': undefined },
    /no file 'test_batch.bin'/,
  ],
  [
    'an empty batch',
    { ...small, 'data_batch_1.bin': '' },
    /data_batch_1.bin: not whole .* 0 bytes/,
  ],
  [
    'a truncated batch',
    { ...small, 'data_batch_1.bin': cifarRecords([1, 2]).subarray(0, 5000) },
    /data_batch_1.bin: not whole CIFAR records of 3073 bytes: 5000 bytes/,
  ],
  [
    'a truncated compressed batch',
    { ...small, 'test_batch.bin.gz': cifarRecords([1]).subarray(1) },
    /test_batch.bin.gz: not whole .* 3072 bytes/,
  ],
  [
    'a label that is no class',
    { ...small, 'data_batch_2.bin.gz': cifarRecords([4, 10]) },
    /data_batch_2.bin.gz: label of sample 1 is none of the 10 classes: 10/,
  ],
])('refuses %s', async (_, files, message) => {
  await expectRefusal(writeFiles(folder(), files), message)
})

it.each([
  ['garbage', Buffer.from('nothing like gzip at all!!')],
  ['a few bytes', Buffer.from('gz')],
])('refuses %s named .gz', async (_, content) => {
  const path = writeFiles(folder(), { ...small, 'test_batch.bin.gz': undefined })
  writeFileSync(`${path}/test_batch.bin.gz`, content)
  await expectRefusal(path, /test_batch.bin.gz: /)
})

describe('CIFAR-100', () => {
  const hundred = {
    'train.bin': cifar100Records([
      [19, 99],
      [0, 3],
    ]),
    'test.bin.gz': cifar100Records([[7, 50]]),
  }
  const names = Array.from({ length: 100 }, (_, index) => `fine ${index}`).join('\n')

  it('takes the fine label, the second byte, and the pixels after it', async () => {
    const log: string[] = []
    const path = writeFiles(folder(), hundred)
    const table = await opened(cifar, path, {}, { log })
    const [train, test] = [await imagesIn(table.train), await imagesIn(table.test)]
    expect([...train.shapes, ...test.shapes]).toEqual(['3,32,32', '3,32,32'])
    expect([train.labels, test.labels]).toEqual([[99, 3], [50]])
    expect(train.samples).toHaveLength(2 * 3072)
    expect([0, 1023, 1024, 3071].map((at) => train.samples[3072 + at])).toEqual([3, 3, 13, 23])
    expect(table.classes).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`))
    expect(log).toEqual([])
  })

  it.each(['fine_label_names.txt', 'classes.txt'])('takes class names from %s', async (file) => {
    const coarse = { 'coarse_label_names.txt': 'fish\nflowers' }
    const path = writeFiles(folder(), { ...hundred, ...coarse, [file]: `${names}\n` })
    const { classes } = await opened(cifar, path, {})
    expect(classes).toHaveLength(100)
    expect(classes![99]).toBe('fine 99')
  })

  it.each<[string, Record<string, Uint8Array | string | undefined>, RegExp]>([
    ['missing training files', { ...hundred, 'train.bin': undefined }, /no file 'train.bin'/],
    ['a missing test file', { ...hundred, 'test.bin.gz': undefined }, /no file 'test.bin'/],
    [
      'records of CIFAR-10',
      { ...hundred, 'train.bin': cifarRecords([1, 2]) },
      /train.bin: not whole CIFAR records of 3074 bytes: 6146 bytes/,
    ],
    [
      'a fine label that is no class',
      { ...hundred, 'test.bin.gz': cifar100Records([[1, 100]]) },
      /test.bin.gz: label of sample 0 is none of the 100 classes: 100/,
    ],
    [
      'a label beyond the names',
      { ...hundred, 'fine_label_names.txt': 'one\ntwo\nthree\nfour' },
      /train.bin: label of sample 0 is none of the 4 classes: 99/,
    ],
  ])('refuses %s', async (_, files, message) => {
    await expectRefusal(writeFiles(folder(), files), message)
  })
})
