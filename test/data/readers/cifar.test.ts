import { writeFileSync } from 'node:fs'
import { expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { cifar } from '../../../data/readers/cifar.ts'
import { cifarRecords, temporaryFolders, writeFiles } from '../support.ts'

const folder = temporaryFolders()
const small = {
  'data_batch_2.bin.gz': cifarRecords([4, 5]),
  'data_batch_1.bin': cifarRecords([1, 2, 3]),
  'test_batch.bin.gz': cifarRecords([9]),
}

it('reads plain and compressed batches in the order of their numbers and says which are missing', async () => {
  const place = { folder: writeFiles(folder(), small) }
  const said: string[] = []
  const { shape, classes, train, test } = await cifar.read(place, (line) => said.push(line))
  expect(shape).toEqual([3, 32, 32])
  expect(classes).toHaveLength(10)
  expect(classes[9]).toBe('truck')
  expect([...train.labels]).toEqual([1, 2, 3, 4, 5])
  expect([...test.labels]).toEqual([9])
  expect(train.samples).toHaveLength(5 * 3072)
  expect([0, 1023, 1024, 3071].map((at) => train.samples[3 * 3072 + at])).toEqual([4, 4, 14, 24])
  expect(said).toEqual([
    `${place.folder}: only training batches 1, 2 of 1 to 5 are there: 5 images`,
  ])
})

it('says nothing when all five batches are there, and knows sizes without reading', async () => {
  const batches = [1, 2, 3, 4, 5].map((n) => [`data_batch_${n}.bin`, cifarRecords([n])] as const)
  const place = { folder: writeFiles(folder(), { ...small, ...Object.fromEntries(batches) }) }
  const said: string[] = []
  const { train } = await cifar.read(place, (line) => said.push(line))
  expect([...train.labels]).toEqual([1, 2, 3, 4, 5])
  expect(said).toEqual([])
  expect(await cifar.inspect(place)).toMatchObject({ trainSize: 5, testSize: 1 })
})

it('takes class names from classes.txt or batches.meta.txt', async () => {
  const names = Array.from({ length: 10 }, (_, index) => `class ${index}`)
  const place = {
    folder: writeFiles(folder(), { ...small, 'batches.meta.txt': `${names.join('\n')}\n\n` }),
  }
  expect((await cifar.inspect(place)).classes).toEqual(names)
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
    /data_batch_1.bin: not whole CIFAR-10 records of 3073 bytes: 5000 bytes/,
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
  const failed = cifar.read({ folder: writeFiles(folder(), files) }, () => undefined)
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(message)
})

it.each([
  ['garbage', Buffer.from('nothing like gzip at all!!')],
  ['a few bytes', Buffer.from('gz')],
])('refuses %s named .gz', async (_, content) => {
  const place = { folder: writeFiles(folder(), { ...small, 'test_batch.bin.gz': undefined }) }
  writeFileSync(`${place.folder}/test_batch.bin.gz`, content)
  const failed = cifar.read(place, () => undefined)
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(/test_batch.bin.gz: /)
})
