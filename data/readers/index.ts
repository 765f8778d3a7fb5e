// The data formats: a new one is a file here and a row in `readers`.
import { cifar } from './cifar.ts'
import { csv, tsv } from './delimited.ts'
import { digits } from './digits.ts'
import { generatedInteractions } from './generated-interactions.ts'
import { idx } from './idx.ts'
import { imageFolder } from './image-folder.ts'
import { jsonl } from './json-lines.ts'
import { npy } from './npy.ts'
import { npz } from './npz.ts'
import { parquet } from './parquet.ts'
import type { Reader } from './reader.ts'
import { safetensors } from './safetensors.ts'
import { wavFolder } from './wav-folder.ts'

/** Readers by format. */
export const readers = {
  digits,
  idx,
  cifar,
  images: imageFolder,
  wav: wavFolder,
  csv,
  tsv,
  jsonl,
  npy,
  npz,
  safetensors,
  parquet,
  'generated-interactions': generatedInteractions,
} satisfies Record<string, Reader>

/** A format that can be read. */
export type Format = keyof typeof readers

/** The reader of a format; its options have been validated by its own schema. */
export const readerOf = (format: Format): Reader => readers[format] as unknown as Reader
