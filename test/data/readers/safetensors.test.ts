import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { safetensors } from '../../../data/readers/safetensors.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { fixture } from './fixtures.ts'
import { opened, plain, readAll, rowsOf } from './opened.ts'

const folder = temporaryFolder()
let files = 0

function file(content: Uint8Array): string {
  const path = join(folder, `${++files}.safetensors`)
  writeFileSync(path, content)
  return path
}

/** A file by the format's description, byte by byte. */
function written(header: unknown, data: Uint8Array | number, length?: bigint): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(length ?? BigInt(text.length))
  return Buffer.concat([prefix, text, typeof data === 'number' ? Buffer.alloc(data) : data])
}

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})

describe('reading safetensors', () => {
  it('reads what its own library writes', async () => {
    // x [[1.5, -2], [0, 3]] F32, half [[1/3, 2], [3, 4]] F16, y [3, 9] I64, flag [true, false].
    const table = await opened(safetensors, file(fixture('safetensors')), {})
    const rows = await rowsOf(table.train)
    const at = (name: string) => table.columns.findIndex((column) => column.name === name)
    expect(table.columns).toHaveLength(4)
    expect(rows.map((row) => plain(row[at('x')]))).toEqual([
      { type: 'Float32Array', shape: [2], values: [1.5, -2] },
      { type: 'Float32Array', shape: [2], values: [0, 3] },
    ])
    expect(plain(rows[0]![at('half')])).toMatchObject({ values: [0.333251953125, 2] })
    expect(rows.map((row) => [row[at('y')], row[at('flag')]])).toEqual([
      [3, 1],
      [9, 0],
    ])
    // [[1.5], [-2]] as BF16.
    expect(await readAll(safetensors, file(fixture('bfloat16')), {})).toEqual([[1.5], [-2]])
  })

  it('reads tensors that were written byte by byte', async () => {
    const data = new Uint8Array(8 + 3)
    new DataView(data.buffer).setInt32(0, -5, true)
    new DataView(data.buffer).setInt32(4, 6, true)
    data.set([1, 2, 3], 8)
    const header = { a: entry('I32', [1, 2], 0, 8), b: entry('U8', [1, 3], 8, 11) }
    const [row] = await readAll(safetensors, file(written(header, data)), {})
    expect(row!.map(plain)).toEqual([
      { type: 'Int32Array', shape: [2], values: [-5, 6] },
      { type: 'Uint8Array', shape: [3], values: [1, 2, 3] },
    ])
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /no safetensors file/],
    ['a header beyond the file', written({}, 0, 1000n), /header cannot have 1000 bytes/],
    ['a huge header', written({}, 0, 2n ** 63n), /header cannot have/],
    ['no JSON', written('{"a"', 0), /header is not JSON/],
    ['a list', written([], 0), /header is not JSON: not an object/],
    ['no tensor', written({ __metadata__: {} }, 0), /holds no tensor/],
    ['an unknown type', written({ a: entry('F8_E4M3', [1], 0, 1) }, 1), /type 'F8_E4M3'/],
    ['wrong offsets', written({ a: entry('F32', [2], 0, 4) }, 4), /4 bytes for shape \[2\]/],
    ['a negative offset', written({ a: entry('U8', [1], -1, 0) }, 1), /no entry of a tensor/],
    ['a tensor beyond the file', written({ a: entry('U8', [9], 0, 9) }, 3), /3 bytes where .* 9/],
    ['bytes of no tensor', written({ a: entry('U8', [1], 0, 1) }, 3), /3 bytes where .* 1/],
    [
      'tensors that overlap',
      written({ a: entry('U8', [2], 0, 2), b: entry('U8', [2], 1, 3) }, 3),
      /begins at byte 1 but the tensor before it ends at 2/,
    ],
    ['an impossible shape', written({ a: entry('U8', [2 ** 30, 2 ** 30], 0, 1) }, 1), /impossible/],
    [
      'integers beyond int32',
      written(
        { a: entry('I64', [1, 2], 0, 16) },
        Buffer.from(BigInt64Array.of(1n, 2n ** 40n).buffer),
      ),
      /row 1: beyond 32-bit integers: 1099511627776/,
    ],
  ])('refuses %s', async (_name, content, message) => {
    const error = readAll(safetensors, file(content), {})
    await expect(error).rejects.toThrow(message)
    await expect(error).rejects.toMatchObject({ name: 'UserError' })
  })
})
