import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { npy } from '../../../data/readers/npy.ts'
import { npz } from '../../../data/readers/npz.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { fixture } from './fixtures.ts'
import { opened, plain, readAll, rowsOf } from './opened.ts'

const folder = temporaryFolder()
let files = 0

function file(content: Uint8Array, ending = '.npy'): string {
  const path = join(folder, `${++files}${ending}`)
  writeFileSync(path, content)
  return path
}

/** An npy file by the format's description (NEP 1), byte by byte. */
function written(header: string, data: Uint8Array, version = 1): Buffer {
  const size = version === 1 ? 2 : 4
  const text = `${header}\n`
  const prefix = Buffer.alloc(8 + size)
  prefix.write('\x93NUMPY', 'latin1')
  prefix[6] = version
  prefix.writeUIntLE(text.length, 8, size)
  return Buffer.concat([prefix, Buffer.from(text, 'latin1'), data])
}

const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`

describe('reading npy', () => {
  const number = (type: string, write: (view: DataView, little: boolean) => void, value: number) =>
    [type, write, value] as const
  it.each([
    number('b1', (view) => view.setUint8(0, 1), 1),
    number('u1', (view) => view.setUint8(0, 200), 200),
    number('i1', (view) => view.setInt8(0, -100), -100),
    number('u2', (view, little) => view.setUint16(0, 60000, little), 60000),
    number('i2', (view, little) => view.setInt16(0, -30000, little), -30000),
    number('u4', (view, little) => view.setUint32(0, 4e9, little), 4e9),
    number('i4', (view, little) => view.setInt32(0, -2e9, little), -2e9),
    number('i8', (view, little) => view.setBigInt64(0, -(2n ** 53n) + 1n, little), -(2 ** 53) + 1),
    number('u8', (view, little) => view.setBigUint64(0, 2n ** 52n, little), 2 ** 52),
    number('f2', (view, little) => view.setUint16(0, 0x3555, little), 0.333251953125),
    number('f4', (view, little) => view.setFloat32(0, 1.1, little), Math.fround(1.1)),
    number('f8', (view, little) => view.setFloat64(0, 1e-300, little), 1e-300),
  ])('reads %s in both byte orders and all versions', async (type, write, value) => {
    const data = new Uint8Array(Number(type.slice(1)))
    for (const order of ['<', '>'])
      for (const version of [1, 2, 3]) {
        write(new DataView(data.buffer), order === '<')
        const path = file(written(header(`${order}${type}`, '(1,)'), data, version))
        expect(await readAll(npy, path, {})).toEqual([[value]])
      }
  })

  it('reads what NumPy writes: Fortran order, big-endian doubles, halves', async () => {
    // arange(24).reshape(2, 3, 4) as int16.
    const [first, second] = await readAll(npy, file(fixture('fortranNpy')), {})
    const count = (start: number) => Array.from({ length: 12 }, (_, index) => start + index)
    expect(plain(first![0])).toEqual({ type: 'Int16Array', shape: [3, 4], values: count(0) })
    expect(plain(second![0])).toEqual({ type: 'Int16Array', shape: [3, 4], values: count(12) })
    // [[1.5, -2.25], [pi, 1e30]] as >f8.
    const doubles = await readAll(npy, file(fixture('bigEndianNpy')), {})
    const values = [Math.fround(Math.PI), Math.fround(1e30)]
    expect(plain(doubles[1]![0])).toEqual({ type: 'Float32Array', shape: [2], values })
    // [[1/3, 65504], [6e-8, -0.0]] as <f2, version 2.
    const halves = await readAll(npy, file(fixture('halfNpy')), {})
    expect(plain(halves[0]![0])).toMatchObject({ values: [0.333251953125, 65504] })
    expect(plain(halves[1]![0])).toMatchObject({ values: [2 ** -24, -0] })
  })

  it('reads many rows block by block, in either order', async () => {
    const rows = 7000
    const size = 400
    const c = new Int16Array(rows * size)
    const fortran = new Int16Array(rows * size)
    for (let row = 0; row < rows; row++)
      for (let index = 0; index < size; index++) {
        c[row * size + index] = row * 7 + index
        fortran[index * rows + row] = row * 7 + index
      }
    for (const [data, order] of [[c, 'False'] as const, [fortran, 'True'] as const]) {
      const bytes = new Uint8Array(data.buffer)
      const table = await opened(
        npy,
        file(written(header('<i2', `(${rows}, ${size})`, order), bytes)),
        {},
      )
      expect(table.train.size).toBe(rows)
      let row = 0
      for await (const [cell] of table.train.rows()) {
        const { values } = cell as { values: Int16Array }
        const first = ((row * 7) << 16) >> 16
        if (values[0] !== first || values[size - 1] !== ((row * 7 + size - 1) << 16) >> 16)
          throw new Error(`row ${row}`)
        row++
      }
      expect(row).toBe(rows)
    }
  })

  it('finds parts by names and by folders', async () => {
    const scalar = (value: number) => written(header('|u1', '(1,)'), Uint8Array.of(value))
    const flat = temporaryFolder()
    for (const [name, value] of [
      ['x_train', 1],
      ['y_train', 2],
      ['val_x', 3],
      ['y-val', 9],
      ['val_y', 4],
    ] as const)
      writeFileSync(join(flat, `${name}.npy`), scalar(value))
    const log: string[] = []
    const table = await opened(npy, flat, {}, { log })
    expect(table.columns.map(({ name }) => name)).toEqual(['x', 'y'])
    expect(await rowsOf(table.train)).toEqual([[1, 2]])
    expect(await rowsOf(table.validation)).toEqual([[3, 4]])
    expect(log).toEqual([expect.stringContaining('y-val')])
    const nested = temporaryFolder()
    for (const part of ['train', 'test']) {
      mkdirSync(join(nested, part))
      writeFileSync(join(nested, part, 'x.npy'), scalar(part.length))
    }
    const other = await opened(npy, nested, {})
    expect([await rowsOf(other.train), await rowsOf(other.test)]).toEqual([[[5]], [[4]]])
  })

  it('takes what is not a number for missing, and refuses infinity', async () => {
    const path = (values: number[]) =>
      file(
        written(
          header('<f8', `(${values.length},)`),
          new Uint8Array(Float64Array.from(values).buffer),
        ),
      )
    expect(await readAll(npy, path([Number.NaN, 1]), {})).toEqual([[null], [1]])
    const infinite = readAll(npy, path([1, Number.POSITIVE_INFINITY]), {})
    await expect(infinite).rejects.toThrow(/row 2: not a finite number: Infinity — /)
  })

  const one = Uint8Array.of(1)
  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /not an npy array/],
    ['another file', Buffer.from('PK\x03\x04 and so on, some text'), /not an npy array/],
    ['another version', written(header('|u1', '(1,)'), one, 4), /unknown version of npy: 4/],
    ['a cut file', written(header('<f4', '(2,)'), one), /: \d+ bytes where shape \[2\] needs \d+/],
    ['more than announced', written(header('|u1', '(1,)'), Uint8Array.of(1, 2)), /needs/],
    ['an impossible shape', written(header('|u1', '(9999999999, 9999999999)'), one), /impossible/],
    ['a single number', written(header('|u1', '()'), one), /a single number/],
    ['no rows', written(header('|u1', '(0,)'), new Uint8Array()), /holds no rows/],
    ['empty rows', written(header('|u1', '(3, 0)'), new Uint8Array()), /rows hold nothing/],
    ['objects', fixture('objectNpy'), /elements of type 'O' are no numbers|objects and records/],
    ['complex numbers', written(header('<c8', '(1,)'), one), /type 'c8' are no numbers/],
    ['records', written(header("<f4'), ('x', '<f4", '(1,)'), one), /objects and records/],
    ['code', written("{'descr': exit(), 'fortran_order': False, 'shape': (1,)}", one), /objects/],
    ['a header cut', written(header('|u1', '(1,)'), one).subarray(0, 20), /header ends early/],
    ['no shape', written("{'descr': '|u1', 'fortran_order': False}", one), /not the header/],
    ['a negative size', written(header('|u1', '(-1,)'), one), /not the header/],
  ])('refuses %s', async (_name, content, message) => {
    const error = readAll(npy, file(content), {})
    await expect(error).rejects.toThrow(message)
    await expect(error).rejects.toMatchObject({ name: 'UserError' })
  })

  it('refuses arrays that do not belong together', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'x_train.npy'), written(header('|u1', '(2,)'), Uint8Array.of(1, 2)))
    writeFileSync(join(folder, 'y_train.npy'), written(header('|u1', '(1,)'), one))
    await expect(opened(npy, folder, {})).rejects.toThrow(/y_train.npy: 1 rows but 2 in/)
    writeFileSync(join(folder, 'y_train.npy'), written(header('|u1', '(2,)'), Uint8Array.of(1, 2)))
    writeFileSync(join(folder, 'x_test.npy'), written(header('|u1', '(1,)'), one))
    await expect(opened(npy, folder, {})).rejects.toThrow(/another part has no array 'y'/)
  })
})

describe('reading npz', () => {
  it('reads what numpy.savez_compressed writes', async () => {
    // x_train = arange(18).reshape(2, 3, 3) as uint8, y_train = [7, -1], x_test = x_train[:1] + 100, y_test = [7].
    const table = await opened(npz, file(fixture('npzCompressed'), '.npz'), {})
    expect(table.columns).toEqual([
      { name: 'x', type: 'tensor' },
      { name: 'y', type: 'number' },
    ])
    const train = await rowsOf(table.train)
    expect(train.map((row) => row[1])).toEqual([7, -1])
    const values = [9, 10, 11, 12, 13, 14, 15, 16, 17]
    expect(plain(train[1]![0])).toEqual({ type: 'Uint8Array', shape: [3, 3], values })
    const [test] = await rowsOf(table.test)
    expect(plain(test![0])).toMatchObject({ values: [100, 101, 102, 103, 104, 105, 106, 107, 108] })
    expect(await rowsOf(table.train)).toHaveLength(2)
  })

  it('reads stored arrays in Fortran order, and labels of shape [N, 1] as numbers', async () => {
    const table = await opened(npz, file(fixture('npzStored'), '.npz'), {})
    const rows = await rowsOf(table.train)
    expect(table.columns.map(({ name }) => name)).toEqual(['images', 'labels'])
    expect(plain(rows[0]![0])).toMatchObject({ values: [0, 1, 2, 3, 4, 5, 6, 7, 8] })
    expect(rows.map((row) => row[1])).toEqual([7, -1])
  })

  it('refuses Fortran order that is compressed, saying what to do', async () => {
    const error = opened(npz, file(fixture('npzFortran'), '.npz'), {})
    await expect(error).rejects.toThrow(
      /x: compressed in Fortran order .* numpy.ascontiguousarray\(x\)/,
    )
  })

  it('refuses claims that cannot be, damage and other files', async () => {
    const bytes = fixture('npzStored')
    await expect(opened(npz, file(bytes.subarray(0, 300), '.npz'), {})).rejects.toThrow(
      /damaged zip/,
    )
    await expect(opened(npz, file(Buffer.from('text'), '.npz'), {})).rejects.toThrow(/damaged zip/)
    const claim = Buffer.from(bytes)
    const central = claim.indexOf('PK\x01\x02', 0, 'latin1')
    // Uncompressed size in the central directory: four times the bytes there are.
    claim.writeUInt32LE(claim.readUInt32LE(central + 24) * 4, central + 24)
    await expect(opened(npz, file(claim, '.npz'), {})).rejects.toThrow(
      /UserError|cannot be|damaged/,
    )
    const packed = Buffer.from(fixture('npzCompressed'))
    const directory = packed.indexOf('PK\x01\x02', 0, 'latin1')
    packed.writeUInt32LE(packed.readUInt32LE(directory + 16) ^ 1, directory + 16)
    await expect(readAll(npz, file(packed, '.npz'), {})).rejects.toThrow(/wrong checksum/)
  })
})
