// The binary format of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of one or two label bytes and 3 x 32 x 32
// planar bytes; plain or gzip.
import { join } from 'node:path'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Part } from '../table.ts'
import { checkLabels, numberedClasses, readClasses } from './classes.ts'
import { checkSize, claimedSizeBytes, listFolder, readWhole } from './files.ts'
import { imageColumns, imageRows } from './images-in-memory.ts'
import { defineReader, type ImageShape, type Place } from './reader.ts'

const shape: ImageShape = [3, 32, 32]
const sampleBytes = 3 * 32 * 32

/** A kind of CIFAR: what its files are called and what a record begins with. */
interface Kind {
  /** Bytes before the image, of which the last is the label. */
  readonly labelBytes: number
  readonly train: RegExp
  readonly test: RegExp
  /** What the files are called without their ending, for messages. */
  readonly names: readonly [train: string, test: string]
  /** All training files of the official set. */
  readonly official: readonly string[]
  readonly classFiles: readonly string[]
  readonly classes?: readonly string[]
}

const cifar10: Kind = {
  labelBytes: 1,
  train: /^data_batch_(\d{1,9})\.bin(?:\.gz)?$/,
  test: /^test_batch()\.bin(?:\.gz)?$/,
  names: ['data_batch_1', 'test_batch'],
  official: ['1', '2', '3', '4', '5'],
  classFiles: ['classes.txt', 'batches.meta.txt'],
  classes: [
    ...['airplane', 'automobile', 'bird', 'cat', 'deer'],
    ...['dog', 'frog', 'horse', 'ship', 'truck'],
  ],
}

/** A byte for the coarse class of twenty comes first and is left alone. */
const cifar100: Kind = {
  labelBytes: 2,
  train: /^train()\.bin(?:\.gz)?$/,
  test: /^test()\.bin(?:\.gz)?$/,
  names: ['train', 'test'],
  official: [''],
  classFiles: ['classes.txt', 'fine_label_names.txt'],
}

/**
 * Images and labels in `data_batch_1.bin[.gz]` … and `test_batch.bin[.gz]` (some of the training batches are enough),
 * or in CIFAR-100's `train.bin[.gz]` and `test.bin[.gz]`.
 */
export const cifar = defineReader({
  summary: 'Images and labels in the binary files of CIFAR-10 or CIFAR-100',
  options: z.strictObject({}),
  async open(place, _options, { log }) {
    const { path } = place
    const names = await listFolder(path)
    const kind = names.some((name) => cifar100.train.test(name) || cifar100.test.test(name))
      ? cifar100
      : cifar10
    const train = await findFiles(path, names, kind, 'train')
    const test = await findFiles(path, names, kind, 'test')
    const numbers = train.map(({ number }) => number)
    if (kind.official.some((number) => !numbers.includes(number)))
      log(
        `${path}: only training batches ${numbers.join(', ')} of 1 to 5 are there: ${sizeOf(train)} images`,
      )
    const classes = await classesOf(place, kind)
    return {
      columns: imageColumns,
      train: await partOf(train, kind, classes.length),
      test: await partOf(test, kind, classes.length),
      label: 'label',
      classes,
      inMemory: true,
    }
  },
})

async function classesOf({ path, classes }: Place, kind: Kind): Promise<readonly string[]> {
  const named = (await readClasses(path, kind.classFiles)) ?? classes ?? kind.classes
  return named ?? numberedClasses(100)
}

interface RecordFile {
  readonly number: string
  readonly path: string
  readonly records: number
}

const sizeOf = (files: readonly RecordFile[]) => files.reduce((sum, file) => sum + file.records, 0)

async function findFiles(
  folder: string,
  names: readonly string[],
  kind: Kind,
  part: 'train' | 'test',
): Promise<RecordFile[]> {
  const byNumber = new Map<string, string>()
  // Sorted names put `.bin` before `.bin.gz`: a plain file goes before its gzip.
  for (const name of names) {
    const number = kind[part].exec(name)?.[1]
    if (number !== undefined && !byNumber.has(number)) byNumber.set(number, name)
  }
  if (byNumber.size === 0) {
    const found = names.length === 0 ? 'the folder is empty' : `${names.length} other files`
    const example = kind.names[part === 'train' ? 0 : 1]
    throw new UserError(
      `${folder}: no file '${example}.bin' or '${example}.bin.gz': ${found} — put the CIFAR binary files there`,
    )
  }
  const recordBytes = kind.labelBytes + sampleBytes
  const files: RecordFile[] = []
  for (const [number, name] of [...byNumber].sort(([a], [b]) => Number(a) - Number(b))) {
    const path = join(folder, name)
    const bytes = await claimedSizeBytes(path)
    if (bytes === 0 || bytes % recordBytes !== 0)
      throw new UserError(
        `${path}: not whole CIFAR records of ${recordBytes} bytes: ${bytes} bytes — fetch the file again`,
      )
    await checkSize(path, bytes)
    files.push({ number, path, records: bytes / recordBytes })
  }
  return files
}

/** The images and labels of files, one file after the other, which are read once. */
async function partOf(files: readonly RecordFile[], kind: Kind, classes: number): Promise<Part> {
  const recordBytes = kind.labelBytes + sampleBytes
  const images: Uint8Array[] = []
  const labels = new Int32Array(sizeOf(files))
  for (const { path, records } of files) {
    const content = await readWhole(path, records * recordBytes)
    const first = images.length
    for (let image = kind.labelBytes; image < content.length; image += recordBytes) {
      labels[images.length] = content[image - 1]!
      images.push(content.subarray(image, image + sampleBytes))
    }
    checkLabels(path, labels.subarray(first, images.length), classes)
  }
  return imageRows(files[0]!.path, shape, labels, async () => (row) => images[row]!)
}
