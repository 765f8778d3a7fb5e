import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { idx } from '../../../data/readers/idx.ts'
import { idxFile, smallIdx, temporaryFolders, writeFiles } from '../support.ts'
import { imagesIn, opened, readAll } from './opened.ts'

const folder = temporaryFolders()
const compressed = Object.fromEntries(
  Object.entries(smallIdx).map(([name, file]) => [`${name}.gz`, file]),
)
const dotted = {
  'train-images.idx3-ubyte': smallIdx['train-images-idx3-ubyte'],
  'train-labels.idx1-ubyte': smallIdx['train-labels-idx1-ubyte'],
  'test-images.idx3-ubyte.gz': smallIdx['t10k-images-idx3-ubyte'],
  'test-labels-idx1-ubyte.gz': smallIdx['t10k-labels-idx1-ubyte'],
}

it.each([
  ['plain', smallIdx],
  ['compressed', compressed],
  ['otherwise named', dotted],
])('reads %s files', async (_, files) => {
  const table = await opened(idx, writeFiles(folder(), files), {})
  expect(table).toMatchObject({
    columns: [
      { name: 'image', type: 'tensor' },
      { name: 'label', type: 'number' },
    ],
    label: 'label',
    classes: ['0', '1', '2'],
    train: { size: 6 },
    test: { size: 2 },
  })
  expect(table.validation).toBeUndefined()
  const [train, test] = [await imagesIn(table.train), await imagesIn(table.test)]
  expect([...train.shapes, ...test.shapes]).toEqual(['1,2,3', '1,2,3'])
  expect([...train.samples]).toEqual(Array.from({ length: 36 }, (_, at) => at))
  expect([...train.labels]).toEqual([0, 1, 2, 0, 1, 2])
  expect([...test.samples.subarray(0, 3)]).toEqual([255, 254, 253])
  expect([...test.labels]).toEqual([2, 0])
})

it('takes class names from classes.txt before the known ones', async () => {
  const path = writeFiles(folder(), smallIdx)
  const known = { classes: ['a', 'b', 'c', 'd'] }
  expect((await opened(idx, path, {}, known)).classes).toEqual(['a', 'b', 'c', 'd'])
  writeFiles(path, { 'classes.txt': 'cat\r\ndog\n bird \n\n' })
  expect((await opened(idx, path, {}, known)).classes).toEqual(['cat', 'dog', 'bird'])
})

const images = 'train-images-idx3-ubyte'
const labels = 'train-labels-idx1-ubyte'
const without = (name: string) => ({ ...smallIdx, [name]: undefined })

it.each<[string, Record<string, Uint8Array | string | undefined>, RegExp]>([
  ['an empty folder', {}, /no file 'train-images-idx3-ubyte'.*the folder is empty/],
  ['missing labels', without(labels), /no file 'train-labels-idx1-ubyte'/],
  ['missing test images', without('t10k-images-idx3-ubyte'), /no file 't10k-images/],
  ['an empty file', { ...smallIdx, [images]: '' }, /train-images.*: truncated/],
  [
    'another magic number',
    { ...smallIdx, [images]: idxFile([6, 2, 3], new Uint8Array(36), 0xd03) },
    /train-images.*magic number 0x00000d03 — expected 0x00000803/,
  ],
  ['labels in place of images', { ...smallIdx, [images]: smallIdx[labels] }, /truncated|magic/],
  [
    'fewer bytes than announced',
    { ...smallIdx, [images]: idxFile([6, 2, 3], new Uint8Array(35)) },
    /train-images.*: truncated: 51 bytes where 52 were announced/,
  ],
  [
    'more bytes than announced',
    { ...smallIdx, [images]: idxFile([6, 2, 3], new Uint8Array(37)) },
    /train-images.*: longer than announced: 52 bytes/,
  ],
  [
    'no image at all',
    { ...smallIdx, [images]: idxFile([0, 2, 3], []) },
    /train-images.*: holds nothing: shape \[0,2,3\]/,
  ],
  [
    'dimensions beyond all memory',
    {
      ...smallIdx,
      [labels]: idxFile([0xffffffff], [1]),
      [images]: idxFile([0xffffffff, 0xffffffff, 0xffffffff], [1]),
    },
    /train-images.*: truncated/,
  ],
  [
    'compressed dimensions beyond all memory',
    {
      ...without(images),
      [labels]: idxFile([0xffffffff], [1]),
      [`${images}.gz`]: idxFile([0xffffffff, 0xffff, 0xffff], [1]),
    },
    /train-images.*\.gz: truncated/,
  ],
  [
    'counts that differ',
    { ...smallIdx, [labels]: idxFile([5], [0, 1, 2, 0, 1]) },
    /6 images but .*train-labels-idx1-ubyte has 5 labels/,
  ],
  [
    'images of two sizes',
    { ...smallIdx, 't10k-images-idx3-ubyte': idxFile([2, 3, 3], new Uint8Array(18)) },
    /t10k-images.*: images are \[1,3,3\] but those of .* are \[1,2,3\]/,
  ],
  [
    'a test label that training does not have',
    { ...smallIdx, 't10k-labels-idx1-ubyte': idxFile([2], [2, 3]) },
    /t10k-labels.*: label of sample 1 is none of the 3 classes: 3/,
  ],
  [
    'a label that no class name has',
    { ...smallIdx, 'classes.txt': 'a\nb' },
    /train-labels.*: label of sample 2 is none of the 2 classes: 2/,
  ],
  ['an empty list of classes', { ...smallIdx, 'classes.txt': '\n' }, /classes.txt: names no class/],
  ['a class named twice', { ...smallIdx, 'classes.txt': 'a\nb\na' }, /named twice: 'a'/],
  [
    'a huge list of classes',
    { ...smallIdx, 'classes.txt': 'a'.repeat(70000) },
    /classes.txt: too long/,
  ],
])('refuses %s before reading images', async (_, files, message) => {
  const failed = opened(idx, writeFiles(folder(), files), {})
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(message)
  await expect(failed).rejects.not.toThrow(/\n/)
})

const gz = gzipSync(smallIdx[images])

it.each([
  ['garbage named .gz', Buffer.from('this is no gzip file, only text'), /not a gzip file/],
  ['gzip of another header', gzipSync('tiny'), /truncated: a header of 4 bytes/],
  ['gzip cut off', gz.subarray(0, gz.length - 12), /not a gzip file, or a damaged one/],
  ['gzip with a flipped bit', gz.with(gz.length - 6, gz.at(-6)! ^ 1), /damaged/],
  [
    'a gzip bomb',
    gzipSync(Buffer.concat([smallIdx[images], Buffer.alloc(5e7)])),
    /longer than announced: 52 bytes/,
  ],
  [
    'gzip of too few images',
    gzipSync(smallIdx[images].subarray(0, 40)),
    /truncated: 40 bytes where 52/,
  ],
])('refuses %s when it is read', async (_, content, message) => {
  const path = writeFiles(folder(), without(images))
  writeFileSync(join(path, `${images}.gz`), content)
  const failed = readAll(idx, path, {})
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(message)
})

it.each([
  ['a loop of links', images, /symbolic links form a loop/],
  ['a link to nothing', 'absent', /no such file or folder/],
  ['a device', '/dev/zero', /not a regular file/],
  ['a folder', '/tmp', /not a regular file/],
])('refuses %s in place of a file', async (_, target, message) => {
  const path = writeFiles(folder(), without(images))
  symlinkSync(target, join(path, images))
  const failed = opened(idx, path, {})
  await expect(failed).rejects.toThrow(UserError)
  await expect(failed).rejects.toThrow(message)
})
