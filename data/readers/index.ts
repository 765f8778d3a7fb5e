// The data formats: a new one is a file here and a row in `fileReaders`.
import { cifar } from './cifar.ts'
import { digits } from './digits.ts'
import { idx } from './idx.ts'
import type { Reader } from './reader.ts'

/** Readers of the formats that a recipe may name for files of one's own. */
export const fileReaders = { idx, cifar } satisfies Record<string, Reader>

/** A format of files of one's own. */
export type FileFormat = keyof typeof fileReaders

/** Reader by format, with the one of the embedded digits. */
export const readers = { digits, ...fileReaders } satisfies Record<string, Reader>

/** A format that can be read. */
export type Format = keyof typeof readers
