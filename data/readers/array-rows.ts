// Rows of an array: read by position from a file, or as they come out of a stream.
import { type FileHandle, open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { UserError } from '../../base/errors.ts'
import { lengthOf } from '../../base/samples.ts'
import { type ArrayRows, elementCount, rowBytes, type StoredArray } from './arrays.ts'
import { elementTypes } from './element-types.ts'
import { explainReadError } from './files.ts'

type Header = Omit<StoredArray, 'open'>

// Fortran order is read in pieces of so many bytes: each costs a read for every element of a row.
const fortranBlockBytes = 1 << 23

/** Rows of an array in C order that begins at a position of a file. */
export async function positionedRows(
  path: string,
  position: number,
  array: Header,
): Promise<ArrayRows> {
  const file = await openFile(path)
  const size = rowBytes(array)
  let at = position
  return {
    async next(rows) {
      const bytes = await readAt(file, path, at, rows * size)
      at += rows * size
      return bytes
    },
    close: () => file.close(),
  }
}

/**
 * Rows of an array in Fortran order: the same element of all rows lies together.
 *
 * A block of rows is gathered with one read for each element of a row.
 */
export async function fortranRows(
  path: string,
  position: number,
  array: Header,
): Promise<ArrayRows> {
  const file = await openFile(path)
  const total = array.shape[0]!
  const bytesPerRow = rowBytes(array)
  const bytesPerElement = elementTypes[array.type].bytes
  const order = fortranOrder(array.where, array.shape.slice(1))
  const blockRows = Math.max(1, Math.floor(fortranBlockBytes / bytesPerRow))
  const memory = new Uint8Array(Math.min(blockRows, total) * bytesPerRow)
  const runMemory = new Uint8Array(Math.min(blockRows, total) * bytesPerElement)
  let block = memory.subarray(0, 0)
  let used = 0
  let row = 0
  const gather = async () => {
    const rows = Math.min(blockRows, total - row)
    block = memory.subarray(0, rows * bytesPerRow)
    const run = runMemory.subarray(0, rows * bytesPerElement)
    used = 0
    for (const [element, place] of order.entries()) {
      const start = position + (place * total + row) * bytesPerElement
      await fillFrom(file, path, start, run)
      for (let index = 0; index < rows; index++)
        for (let byte = 0; byte < bytesPerElement; byte++)
          block[index * bytesPerRow + element * bytesPerElement + byte] =
            run[index * bytesPerElement + byte]!
    }
    row += rows
  }
  return {
    async next(rows) {
      const bytes = new Uint8Array(rows * bytesPerRow)
      for (let filled = 0; filled < bytes.length; ) {
        if (used === block.length) await gather()
        const piece = block.subarray(used, used + bytes.length - filled)
        bytes.set(piece, filled)
        filled += piece.length
        used += piece.length
      }
      return bytes
    },
    close: () => file.close(),
  }
}

/** Hands out the bytes of a stream, `total` in all, in the portions that are asked for. */
export function streamedBytes(where: string, stream: Readable, total: number): ArrayRows {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  let piece: Uint8Array = new Uint8Array()
  let rest = total
  return {
    async next(count) {
      const bytes = new Uint8Array(count)
      for (let filled = 0; filled < count; ) {
        if (piece.length === 0) {
          const { done, value } = await pieces.next()
          if (done) throw new UserError(`${where}: ends early — fetch the file again`)
          piece = value
        }
        const taken = piece.subarray(0, count - filled)
        bytes.set(taken, filled)
        filled += taken.length
        piece = piece.subarray(taken.length)
      }
      rest -= count
      // What checks the whole stream speaks up at its end.
      if (rest === 0) await pieces.next()
      return bytes
    },
    async close() {
      stream.destroy()
    },
  }
}

/** So many bytes of an open file from a position on; fewer there are a `UserError`. */
export async function readAt(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await fillFrom(file, path, position, bytes)
  return bytes
}

async function fillFrom(
  file: FileHandle,
  path: string,
  position: number,
  bytes: Uint8Array,
): Promise<void> {
  for (let filled = 0; filled < bytes.length; ) {
    const rest = bytes.length - filled
    const { bytesRead } = await file.read(bytes, filled, rest, position + filled)
    if (bytesRead === 0) throw new UserError(`${path}: ends early — fetch the file again`)
    filled += bytesRead
  }
}

/** Opens a file for reading; a `UserError` says why it cannot. */
export async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path)
  } catch (thrown) {
    throw explainReadError(path, thrown)
  }
}

/** For each element of a row in C order: its place in Fortran order. */
function fortranOrder(where: string, shape: readonly number[]): Uint32Array {
  const order = new Uint32Array(elementCount(where, shape))
  const strides = shape.map((_, axis) => lengthOf(shape.slice(0, axis)))
  for (let element = 0; element < order.length; element++) {
    let rest = element
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      order[element]! += (rest % shape[axis]!) * strides[axis]!
      rest = Math.floor(rest / shape[axis]!)
    }
  }
  return order
}
