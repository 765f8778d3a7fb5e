// Writes arrays as numpy.savez and savez_compressed do, so that damage can be done to them.
import { crc32, deflateRawSync } from 'node:zlib'
import { Float16Array } from '@petamoriken/float16'

/** An array of an npz. */
export interface NpyArray {
  readonly name: string
  /** As NumPy writes it: `<f4`, `|u1`. */
  readonly dtype: string
  readonly shape: readonly number[]
  /** In the order of rows. */
  readonly values: ArrayLike<number>
  readonly fortran?: boolean
  readonly deflate?: boolean
}

/** What holds numbers of a type, little-endian. */
const arrays: Readonly<Record<string, (values: Iterable<number>) => ArrayBufferView>> = {
  f2: (values) => Float16Array.from(values),
  f4: (values) => Float32Array.from(values),
  f8: (values) => Float64Array.from(values),
  u1: (values) => Uint8Array.from(values),
  i1: (values) => Int8Array.from(values),
  i4: (values) => Int32Array.from(values),
  i8: (values) => BigInt64Array.from([...values].map(BigInt)),
  c8: (values) => Float64Array.from(values),
}

/** The numbers of the first axis' order, of an array in the last's. */
function inFortranOrder(values: readonly number[], shape: readonly number[]): number[] {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  return values.map((_, index) => {
    let rest = index
    let place = 0
    for (const [axis, size] of shape.entries()) {
      place += (rest % size) * strides[axis]!
      rest = Math.floor(rest / size)
    }
    return values[place]!
  })
}

function npyOf({ dtype, shape, values, fortran = false }: NpyArray): Buffer {
  const listed = Array.from(values)
  const ordered = fortran ? inFortranOrder(listed, shape) : listed
  const { buffer } = arrays[dtype.slice(1)]!(ordered)
  const data = Buffer.from(buffer as ArrayBuffer)
  if (dtype.startsWith('>')) data.swap32()
  const dims = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const header = `{'descr': '${dtype}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${dims}, }\n`
  const prefix = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1')
  prefix.writeUInt16LE(header.length, 8)
  return Buffer.concat([prefix, Buffer.from(header, 'latin1'), data])
}

/** The bytes of a zip with an entry for each array (PKWARE's APPNOTE 6.3, 4.3.7, 4.3.12 and 4.3.16). */
export function npzOf(entries: readonly NpyArray[]): Buffer {
  const files: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const name = Buffer.from(`${entry.name}.npy`)
    const content = npyOf(entry)
    const stored = entry.deflate ? deflateRawSync(content) : content
    // Version, flags, method, time, date, checksum, both sizes, length of the name, nothing more.
    const shared = Buffer.alloc(26)
    shared.writeUInt16LE(20, 0)
    shared.writeUInt16LE(entry.deflate ? 8 : 0, 4)
    shared.writeUInt16LE(33, 8)
    shared.writeUInt32LE(crc32(content), 10)
    shared.writeUInt32LE(stored.length, 14)
    shared.writeUInt32LE(content.length, 18)
    shared.writeUInt16LE(name.length, 22)
    const file = Buffer.concat([Buffer.from('PK\x03\x04'), shared, name, stored])
    const made = Buffer.from([20, 0])
    const place = Buffer.alloc(14)
    place.writeUInt32LE(offset, 10)
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02'), made, shared, place, name]))
    files.push(file)
    offset += file.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...files, listed, end])
}
