// The IDX format of MNIST (LeCun, Cortes, Burges 1998): big-endian header, then bytes; plain or
// gzip.
import { join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Part } from '../table.ts'
import { checkLabels, numberedClasses, readClasses } from './classes.ts'
import { checkSize, listFolder, readHead, readWhole } from './files.ts'
import { imageColumns, imageRows, imagesIn } from './images-in-memory.ts'
import { defineReader, type ImageShape } from './reader.ts'

/** Images and labels in four files: `train-images-idx3-ubyte[.gz]`, `train-labels-…`, `t10k-…`. */
export const idx = defineReader({
  summary: 'Images and labels in the four IDX files of MNIST',
  options: z.strictObject({}),
  async open({ path, classes: known }) {
    const names = await listFolder(path)
    const train = await examinePart(path, names, ['train'])
    const test = await examinePart(path, names, ['t10k', 'test'])
    if (String(train.shape) !== String(test.shape))
      throw new UserError(
        `${test.images}: images are [${test.shape}] but those of ${train.images} are [${train.shape}] — use files of one data set`,
      )
    const classes =
      (await readClasses(path, ['classes.txt'])) ??
      known ??
      numberedClasses(train.labels.reduce((a, b) => Math.max(a, b), 0) + 1)
    for (const { labelFile, labels } of [train, test])
      checkLabels(labelFile, labels, classes.length)
    return {
      columns: imageColumns,
      train: partOf(train),
      test: partOf(test),
      label: 'label',
      classes,
      inMemory: true,
    }
  },
})

/** Two files that belong together. */
interface Files {
  readonly images: string
  readonly labelFile: string
  readonly labels: Int32Array
  readonly size: number
  readonly shape: ImageShape
}

async function examinePart(
  folder: string,
  names: readonly string[],
  parts: readonly string[],
): Promise<Files> {
  const images = find(folder, names, parts, 'images', 3)
  const labelFile = find(folder, names, parts, 'labels', 1)
  const [size, height, width] = await readHeader(images, 3)
  const [labelCount] = await readHeader(labelFile, 1)
  if (size !== labelCount)
    throw new UserError(
      `${images}: ${size} images but ${labelFile} has ${labelCount} labels — use files of one data set`,
    )
  await checkSize(images, headerBytes(3) + size! * height! * width!)
  const labels = await readWhole(labelFile, headerBytes(1) + size!)
  return {
    images,
    labelFile,
    labels: Int32Array.from(labels.subarray(headerBytes(1))),
    size: size!,
    shape: [1, height!, width!],
  }
}

function partOf({ images, labels, size, shape }: Files): Part {
  const [, height, width] = shape
  return imageRows(images, shape, labels, async () => {
    const content = await readWhole(images, headerBytes(3) + size * height * width)
    return imagesIn(content.subarray(headerBytes(3)), shape)
  })
}

// Some copies of MNIST write `train-images.idx3-ubyte`; a plain file goes before its gzip.
function find(
  folder: string,
  names: readonly string[],
  parts: readonly string[],
  content: 'images' | 'labels',
  rank: number,
): string {
  const candidates = parts.flatMap((part) =>
    ['', '.gz'].flatMap((ending) =>
      ['-', '.'].map((separator) => `${part}-${content}${separator}idx${rank}-ubyte${ending}`),
    ),
  )
  const name = candidates.find((candidate) => names.includes(candidate))
  if (name !== undefined) return join(folder, name)
  const found = names.length === 0 ? 'the folder is empty' : `${names.length} other files`
  throw new UserError(
    `${folder}: no file '${candidates[0]}' or '${candidates[0]}.gz': ${found} — put the four IDX files there`,
  )
}

const headerBytes = (rank: number) => 4 + 4 * rank

async function readHeader(path: string, rank: number): Promise<number[]> {
  const head = await readHead(path, headerBytes(rank))
  if (head.length < headerBytes(rank))
    throw new UserError(
      `${path}: truncated: a header of ${head.length} bytes where ${headerBytes(rank)} are needed — fetch the file again`,
    )
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const magic = view.getUint32(0)
  // Two zero bytes, 8 for unsigned bytes, then the rank.
  if (magic !== 0x800 + rank)
    throw new UserError(
      `${path}: not an IDX file of unsigned bytes and rank ${rank}: magic number 0x${magic.toString(16).padStart(8, '0')} — expected 0x0000080${rank}`,
    )
  const dimensions = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis))
  if (dimensions.includes(0))
    throw new UserError(`${path}: holds nothing: shape [${dimensions}] — fetch the file again`)
  return dimensions
}
