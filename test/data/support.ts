// Small data sets written to temporary folders, whole or with something wrong in them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll } from '@jest/globals'

/** Makes folders that go when the tests of the file are done. */
export function temporaryFolders(): () => string {
  const made: string[] = []
  afterAll(() => {
    for (const folder of made) rmSync(folder, { recursive: true, force: true })
  })
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'condense-data-'))
    made.push(folder)
    return folder
  }
}

/** Writes files by name, compressed where the name ends in `.gz`; `undefined` leaves a file out. */
export function writeFiles(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string | undefined>>,
): string {
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) continue
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, name.endsWith('.gz') ? gzipSync(content) : content)
  }
  return folder
}

/** An IDX file of unsigned bytes; `magic` and the count of bytes may be made wrong. */
export function idxFile(
  dimensions: readonly number[],
  bytes: ArrayLike<number>,
  magic = 0x800 + dimensions.length,
): Uint8Array {
  const file = new Uint8Array(4 + 4 * dimensions.length + bytes.length)
  const view = new DataView(file.buffer)
  view.setUint32(0, magic)
  for (const [axis, length] of dimensions.entries()) view.setUint32(4 + 4 * axis, length)
  file.set(bytes, 4 + 4 * dimensions.length)
  return file
}

/** Six training and two test images of 2 x 3 pixels in three classes. */
export const smallIdx = {
  'train-images-idx3-ubyte': idxFile(
    [6, 2, 3],
    Uint8Array.from({ length: 36 }, (_, at) => at),
  ),
  'train-labels-idx1-ubyte': idxFile([6], [0, 1, 2, 0, 1, 2]),
  't10k-images-idx3-ubyte': idxFile(
    [2, 2, 3],
    Uint8Array.from({ length: 12 }, (_, at) => 255 - at),
  ),
  't10k-labels-idx1-ubyte': idxFile([2], [2, 0]),
}

/**
 * Records of CIFAR-10; every pixel of an image has the value of its label plus ten times its
 * channel.
 */
export function cifarRecords(labels: readonly number[]): Uint8Array {
  return Uint8Array.from(
    labels.flatMap((label) => [
      label,
      ...Array.from({ length: 3072 }, (_, at) => label + 10 * Math.floor(at / 1024)),
    ]),
  )
}

/** Records of CIFAR-100, each with a coarse and a fine label; pixels as in {@link cifarRecords}, by the fine one. */
export function cifar100Records(labels: readonly (readonly [number, number])[]): Uint8Array {
  return Buffer.concat(
    labels.map(([coarse, fine]) => Uint8Array.of(coarse, ...cifarRecords([fine]))),
  )
}
