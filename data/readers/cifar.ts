// The binary format of CIFAR-10 (Krizhevsky 2009): records of a label byte and 3 x 32 x 32
// planar bytes; plain or gzip.
import { join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { checkLabels, readClasses } from './classes.ts'
import { allocate, checkSize, claimedSizeBytes, listFolder, readWhole } from './files.ts'
import type { ImageShape, Place, RawPart, Reader } from './reader.ts'

const shape: ImageShape = [3, 32, 32]
const sampleBytes = 3 * 32 * 32
const recordBytes = 1 + sampleBytes
const officialBatches = ['1', '2', '3', '4', '5']

const wellKnownClasses = [
  ...['airplane', 'automobile', 'bird', 'cat', 'deer'],
  ...['dog', 'frog', 'horse', 'ship', 'truck'],
]

/**
 * Images and labels in `data_batch_1.bin[.gz]` … and `test_batch.bin[.gz]`; some of the training
 * batches are enough.
 */
export const cifar: Reader = {
  async inspect(place) {
    const { train, test, classes } = await examine(place)
    return { shape, classes, trainSize: sizeOf(train), testSize: sizeOf(test) }
  },
  async read(place, log) {
    const { train, test, classes } = await examine(place)
    const numbers = train.map(({ number }) => number)
    if (officialBatches.some((number) => !numbers.includes(number)))
      log(
        `${place.folder}: only training batches ${numbers.join(', ')} of 1 to 5 are there: ${sizeOf(train)} images`,
      )
    return {
      shape,
      classes,
      train: await readFiles(train, classes.length),
      test: await readFiles(test, classes.length),
    }
  },
}

interface RecordFile {
  readonly number: string
  readonly path: string
  readonly records: number
}

const sizeOf = (files: readonly RecordFile[]) => files.reduce((sum, file) => sum + file.records, 0)

async function examine({ folder, classes }: Place) {
  const names = await listFolder(folder)
  return {
    train: await findFiles(folder, names, /^data_batch_(\d{1,9})\.bin(?:\.gz)?$/, 'data_batch_1'),
    test: await findFiles(folder, names, /^test_batch()\.bin(?:\.gz)?$/, 'test_batch'),
    classes:
      (await readClasses(folder, ['classes.txt', 'batches.meta.txt'])) ??
      classes ??
      wellKnownClasses,
  }
}

async function findFiles(
  folder: string,
  names: readonly string[],
  pattern: RegExp,
  example: string,
): Promise<RecordFile[]> {
  const byNumber = new Map<string, string>()
  // Sorted names put `.bin` before `.bin.gz`: a plain file goes before its gzip.
  for (const name of names) {
    const number = pattern.exec(name)?.[1]
    if (number !== undefined && !byNumber.has(number)) byNumber.set(number, name)
  }
  if (byNumber.size === 0) {
    const found = names.length === 0 ? 'the folder is empty' : `${names.length} other files`
    throw new UserError(
      `${folder}: no file '${example}.bin' or '${example}.bin.gz': ${found} — put the CIFAR-10 binary files there`,
    )
  }
  const files: RecordFile[] = []
  for (const [number, name] of [...byNumber].sort(([a], [b]) => Number(a) - Number(b))) {
    const path = join(folder, name)
    const bytes = await claimedSizeBytes(path)
    if (bytes === 0 || bytes % recordBytes !== 0)
      throw new UserError(
        `${path}: not whole CIFAR-10 records of ${recordBytes} bytes: ${bytes} bytes — fetch the file again`,
      )
    await checkSize(path, bytes)
    files.push({ number, path, records: bytes / recordBytes })
  }
  return files
}

async function readFiles(files: readonly RecordFile[], classes: number): Promise<RawPart> {
  const size = sizeOf(files)
  const samples = allocate(files[0]!.path, size * sampleBytes)
  const labels = new Int32Array(size)
  let next = 0
  for (const { path, records } of files) {
    const content = await readWhole(path, records * recordBytes)
    const first = next
    for (let start = 0; start < content.length; start += recordBytes, next++) {
      labels[next] = content[start]!
      samples.set(content.subarray(start + 1, start + recordBytes), next * sampleBytes)
    }
    checkLabels(path, labels.subarray(first, next), classes)
  }
  return { samples, labels }
}
