// Samples on their way to measuring processes: one file of float32 that each of them reads piece by piece.
import { closeSync, openSync, readSync } from 'node:fs'
import { explainFileError, writeAtomically } from '../base/files.ts'
import type { Dataset } from '../data/dataset.ts'
import { sizeOf } from '../onnx/tensor.ts'

/** A file with the samples of a data set one after the other, row-major float32 in the machine's byte order. */
export interface SamplesFile {
  readonly path: string
  /** Number of samples. */
  readonly size: number
  /** Shape of one sample. */
  readonly shape: readonly number[]
}

/** Writes the samples of a data set to a file, a piece at a time. */
export function writeSamples(
  { size, shape, read }: Pick<Dataset, 'size' | 'shape' | 'read'>,
  path: string,
): SamplesFile {
  const values = sizeOf(shape)
  const perPiece = Math.max(1, Math.floor(2 ** 18 / values))
  function* pieces(): Generator<Uint8Array> {
    const piece = new Float32Array(perPiece * values)
    for (let start = 0; start < size; start += perPiece) {
      const count = Math.min(perPiece, size - start)
      for (let i = 0; i < count; i++) read(start + i, piece, i * values)
      yield new Uint8Array(piece.buffer, 0, count * values * 4)
    }
  }
  writeAtomically(path, pieces())
  return { path, size, shape }
}

/** The samples of a file, read when they are asked for. */
export interface OpenSamples {
  readonly size: number
  readonly shape: readonly number[]
  /** Writes one sample to `into` from `offset` on. */
  read(index: number, into: Float32Array, offset: number): void
  close(): void
}

/** Opens a file that {@link writeSamples} wrote; a file that has become shorter is a `UserError`. */
export function openSamples({ path, size, shape }: SamplesFile): OpenSamples {
  const values = sizeOf(shape)
  const file = openSync(path, 'r')
  return {
    size,
    shape,
    read(index, into, offset) {
      const bytes = new Uint8Array(into.buffer, into.byteOffset + offset * 4, values * 4)
      for (let done = 0; done < bytes.length; ) {
        const count = readSync(file, bytes, done, bytes.length - done, index * bytes.length + done)
        if (count === 0) throw explainFileError(path, { code: 'ENOENT' })
        done += count
      }
    },
    close: () => closeSync(file),
  }
}

/** Some of the samples, renumbered from 0; nothing is copied. */
export function pick(samples: OpenSamples, indices: Uint32Array): OpenSamples {
  return {
    ...samples,
    size: indices.length,
    read: (index, into, offset) => samples.read(indices[index]!, into, offset),
  }
}
