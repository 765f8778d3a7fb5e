// The outputs of a model for many samples, in a file: as many as there are, and few of them in memory.
import { closeSync } from 'node:fs'
import { append, bytesOf, fillFrom, openOrExplain } from '../base/bytes.ts'
import type { Predictions } from '../tasks/task.ts'

/** Where predictions lie and what they are. */
export interface PredictionsFile {
  readonly path: string
  readonly size: number
  /** Numbers a sample. */
  readonly width: number
  /** Numbers a sample of each output. */
  readonly widths: readonly number[]
}

/** Takes predictions batch by batch, in order. */
export interface PredictionsWriter {
  add(values: Float32Array, widths: readonly number[]): void
  /** Closes the file; `size` samples have been added. */
  finish(size: number): PredictionsFile
}

/** Writes predictions to a new file, row-major float32 in the machine's byte order. */
export function writePredictions(path: string): PredictionsWriter {
  const file = openOrExplain(path, 'w')
  let numbers = 0
  let each: readonly number[] = []
  return {
    add(values, widths) {
      each = widths
      append(file, path, bytesOf(values))
      numbers += values.length
    },
    finish(size) {
      closeSync(file)
      return { path, size, width: size === 0 ? 0 : numbers / size, widths: each }
    },
  }
}

/** Numbers that are read at once, a sample more or less. */
const pieceLength = 2 ** 18

/** Predictions in a file that is open. */
export interface OpenPredictions extends Predictions {
  close(): void
}

/** Opens predictions; a row is valid until the next one is asked for. */
export function openPredictions({ path, size, width, widths }: PredictionsFile): OpenPredictions {
  const file = openOrExplain(path, 'r')
  const rows = Math.max(1, Math.min(size, Math.floor(pieceLength / Math.max(1, width))))
  const piece = new Float32Array(rows * width)
  const bytes = bytesOf(piece)
  let first = -1
  const load = (start: number) => {
    const wanted = Math.min(rows, size - start) * width * 4
    fillFrom(file, path, start * width * 4, bytes.subarray(0, wanted))
    first = start
  }
  return {
    size,
    width,
    widths,
    row(index) {
      if (first < 0 || index < first || index >= first + rows) load(index - (index % rows))
      return piece.subarray((index - first) * width, (index - first + 1) * width)
    },
    close: () => closeSync(file),
  }
}
