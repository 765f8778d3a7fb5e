// The state of a training on disk: a line of JSON, then the vectors; a damaged file counts as none.
import { existsSync, readFileSync } from 'node:fs'
import { writeAtomically } from '../base/files.ts'
import { sha256 } from '../base/hash.ts'

/** What a training needs to go on as if it had never stopped. */
export interface Checkpoint<Facts> {
  readonly facts: Facts
  readonly vectors: Readonly<Record<string, Float32Array>>
}

/** Writes a checkpoint in one atomic step. */
export function saveCheckpoint<Facts>(path: string, { facts, vectors }: Checkpoint<Facts>): void {
  const pieces = Object.values(vectors).map(
    (vector) => new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
  )
  const header = {
    facts,
    vectors: Object.entries(vectors).map(([name, vector]) => [name, vector.length] as const),
    hashes: pieces.map(sha256),
  }
  const text = JSON.stringify(header)
  writeAtomically(path, [Buffer.from(`${sha256(text)}\n${text}\n`), ...pieces])
}

/** Reads a checkpoint; undefined where there is none or it is damaged. */
export function loadCheckpoint<Facts>(path: string): Checkpoint<Facts> | undefined {
  if (!existsSync(path)) return undefined
  const bytes = readFileSync(path)
  const hashEnd = bytes.indexOf(10)
  const headerEnd = bytes.indexOf(10, hashEnd + 1)
  if (hashEnd < 0 || headerEnd < 0) return undefined
  const text = bytes.toString('utf8', hashEnd + 1, headerEnd)
  if (sha256(text) !== bytes.toString('utf8', 0, hashEnd)) return undefined
  // The hash says that it is what saveCheckpoint wrote.
  const header = JSON.parse(text) as {
    facts: Facts
    vectors: [string, number][]
    hashes: string[]
  }
  const vectors: Record<string, Float32Array> = {}
  let offset = headerEnd + 1
  for (const [index, [name, length]] of header.vectors.entries()) {
    const piece = Uint8Array.from(bytes.subarray(offset, offset + length * 4))
    if (sha256(piece) !== header.hashes[index]) return undefined
    vectors[name] = new Float32Array(piece.buffer)
    offset += length * 4
  }
  return { facts: header.facts, vectors }
}
