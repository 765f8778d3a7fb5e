// Text files in pieces of whole lines: plain or gzip, checked to be UTF-8, never held as a whole.
import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { UserError } from '../../base/errors.ts'
import { explainReadError, fileSizeBytes } from './files.ts'

const pieceBytes = 1 << 16
const newline = 0x0a

/** The longest line (or quoted record) that is read; a longer one is no table but a wrong file. */
export const maximumLineBytes: number = 1 << 24

/**
 * The bytes of a file in pieces that end with a line, without a byte order mark.
 *
 * A name that ends in `.gz` is decompressed on the way. Bytes that are not UTF-8 and lines beyond
 * {@link maximumLineBytes} are a `UserError` that names file and line; the latter also stops what
 * a hostile gzip would make of nothing.
 */
export async function* textPieces(path: string): AsyncGenerator<Buffer> {
  await fileSizeBytes(path)
  let line = 1
  let isStart = true
  const checked = (piece: Buffer) => {
    const text = isStart ? withoutMark(piece) : piece
    isStart = false
    if (!isUtf8(text)) throw notUtf8(path, line, text)
    line += countLines(text)
    return text
  }
  // What follows the last line end waits for the next bytes.
  let waiting: Buffer[] = []
  let waitingBytes = 0
  for await (const bytes of byteStream(path)) {
    const end = bytes.lastIndexOf(newline) + 1
    if (end > 0) {
      yield checked(Buffer.concat([...waiting, bytes.subarray(0, end)]))
      waiting = []
      waitingBytes = 0
    }
    if (end < bytes.length) waiting.push(bytes.subarray(end))
    waitingBytes += bytes.length - end
    if (waitingBytes > maximumLineBytes)
      throw new UserError(
        `${path}: line ${line}: longer than ${maximumLineBytes} bytes — check that the file is text with line ends`,
      )
  }
  if (waitingBytes > 0) yield checked(Buffer.concat(waiting))
}

/** The lines of a text file and their numbers, counted from 1; line ends are left out. */
export async function* textLines(path: string): AsyncGenerator<[text: string, line: number]> {
  let line = 0
  for await (const piece of textPieces(path)) {
    const lines = piece.toString('utf8').split('\n')
    // A piece that ends with a line end leaves an empty text behind it.
    if (lines.at(-1) === '') lines.pop()
    for (const text of lines) yield [text.endsWith('\r') ? text.slice(0, -1) : text, ++line]
  }
}

/** A text of a file as a message shows it: one line, not too long. */
export function shown(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ')
  return line.length > 60 ? `'${line.slice(0, 60)}…'` : `'${line}'`
}

async function* byteStream(path: string): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: pieceBytes })
  // An error of the file destroys the decompression, and leaving the loop early destroys both.
  const bytes = path.endsWith('.gz')
    ? pipeline(file, createGunzip({ chunkSize: pieceBytes }), () => undefined)
    : file
  try {
    for await (const piece of bytes) yield piece as Buffer
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
}

function withoutMark(bytes: Buffer): Buffer {
  const isMarked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return isMarked ? bytes.subarray(3) : bytes
}

function countLines(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) count++
  return count
}

function notUtf8(path: string, firstLine: number, bytes: Buffer): UserError {
  let line = firstLine
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(newline, start) + 1 || bytes.length
    if (!isUtf8(bytes.subarray(start, end))) break
    start = end
  }
  return new UserError(
    `${path}: line ${line}: not UTF-8 text — convert the file, for example with iconv -t UTF-8`,
  )
}
