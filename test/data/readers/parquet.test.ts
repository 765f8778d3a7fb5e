import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { parquet } from '../../../data/readers/parquet.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { fixture } from './fixtures.ts'
import { opened, plain, readAll, rowsOf } from './opened.ts'

const folder = temporaryFolder()
let files = 0

function file(content: Uint8Array): string {
  const path = join(folder, `${++files}.parquet`)
  writeFileSync(path, content)
  return path
}

describe('reading Parquet', () => {
  it('reads every type of column that PyArrow writes, over two row groups', async () => {
    const log: string[] = []
    const path = file(fixture('parquet'))
    const table = await opened(parquet, path, {}, { log })
    const rows = await rowsOf(table.train)
    const column = (name: string) => {
      const index = table.columns.findIndex((column) => column.name === name)
      return [table.columns[index]?.type, ...rows.map((row) => plain(row[index]))]
    }
    expect(table.train.size).toBe(3)
    expect(column('id')).toEqual(['number', 1, 2, null])
    expect(column('x')).toEqual(['number', 0.5, null, null])
    expect(column('flag')).toEqual(['number', 1, 0, null])
    expect(column('text')).toEqual(['text', 'a', 'bé', null])
    expect(column('ids')).toEqual(['list', [1, 2], [], null])
    expect(column('words')).toEqual(['list', ['x'], ['y', null], []])
    const grid = { type: 'Float32Array', shape: [2, 2], values: [1, 2, 3, 4] }
    expect(column('grid')).toEqual(['tensor', grid, grid, grid])
    expect(column('image')).toEqual(['bytes', [137, 80, 78, 71], null, [255, 216]])
    expect(column('raw')).toEqual(['bytes', [0, 255], [], null])
    // Days and seconds since 1970.
    expect(column('day')).toEqual(['number', 1, 1, 1])
    expect(column('when')).toEqual(['number', 1.5, 1.5, 1.5])
    expect(column('price').slice(0, 2)).toEqual(['number', 12.34])
    expect(column('wide').slice(0, 2)).toEqual(['number', 4294967295])
    expect(column('half').slice(0, 2)).toEqual(['number', 1.5])
    expect(log).toEqual([`${path}: columns of types that cannot be read are left out: pair`])
    expect(table.train.whereOf?.(2)).toBe(`${path}: row 3`)
  })

  it.each(['parquetZstd', 'parquetGzip', 'parquetBrotli', 'parquetLz4'] as const)(
    'decompresses %s',
    async (name) => {
      expect(await readAll(parquet, file(fixture(name)), {})).toEqual([
        ['a', 0],
        [null, 1],
        ['c', 1],
      ])
    },
  )

  it('takes the names of classes from the metadata of the Hugging Face Hub', async () => {
    const table = await opened(parquet, file(fixture('parquetZstd')), {})
    expect(table).toMatchObject({ label: 'label', classes: ['cat', 'dog'] })
  })

  it('reads several files as one part, by the names that the Hub gives them', async () => {
    const folder = temporaryFolder()
    for (const name of [
      'train-00000-of-00002',
      'train-00001-of-00002',
      'validation-00000-of-00001',
    ])
      writeFileSync(join(folder, `${name}.parquet`), fixture('parquetGzip'))
    const table = await opened(parquet, folder, {}, { testPath: file(fixture('parquetBrotli')) })
    expect(table.train.size).toBe(6)
    expect(await rowsOf(table.train)).toHaveLength(6)
    expect(table.train.whereOf?.(4)).toBe(`${join(folder, 'train-00001-of-00002.parquet')}: row 2`)
    expect([table.validation?.size, table.test?.size]).toEqual([3, 3])
  })

  it('refuses integers that a double does not hold, other schemas and other files', async () => {
    const wide = readAll(parquet, file(fixture('parquetWide')), {})
    await expect(wide).rejects.toThrow(
      /row 1: column 'id': beyond what a double holds exactly: 9007199254740993/,
    )
    const other = opened(
      parquet,
      file(fixture('parquetGzip')),
      {},
      { testPath: file(fixture('parquetWide')) },
    )
    await expect(other).rejects.toThrow(/column 'text' is not there/)
    for (const content of [
      Buffer.alloc(0),
      Buffer.from('PAR1'),
      Buffer.from('no Parquet file at all'),
    ])
      await expect(opened(parquet, file(content), {})).rejects.toThrow(
        /not a Parquet file, or a damaged one/,
      )
  })

  it('never crashes on damaged bytes: they are read, or refused by a UserError', async () => {
    const whole = fixture('parquetZstd')
    const dice = random(1, 'damage')
    for (let turn = 0; turn < 150; turn++) {
      const bytes = Buffer.from(whole)
      for (let byte = 0; byte < 3; byte++) bytes[dice.integer(bytes.length)] = dice.integer(256)
      const thrown = await readAll(parquet, file(bytes), {}).then(
        () => undefined,
        (error) => error,
      )
      if (thrown !== undefined) expect(thrown).toMatchObject({ name: 'UserError' })
    }
  })
})
