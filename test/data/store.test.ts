// Records of prepared samples: the same in memory and in a file, read by position from anywhere.
import { execFileSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { sha256 } from '../../base/hash.ts'
import { random } from '../../base/random.ts'
import {
  columnBytes,
  fileWriter,
  layOut,
  memoryWriter,
  openStore,
  type Store,
  type StoreWriter,
  viewsOf,
} from '../../data/store.ts'
import { temporaryFolder } from '../support/folder.ts'

/** Odd lengths, so that nothing is aligned by chance. */
const layout = layOut([
  { name: 'image', dtype: 'uint8', shape: [1, 5, 1] },
  { name: 'ids', dtype: 'int32', shape: [3], ids: 9 },
  { name: 'flag', dtype: 'uint8', shape: [1] },
  { name: 'values', dtype: 'float32', shape: [2, 2] },
])

const contentOf = (index: number) => {
  const chance = random(5, index)
  return layout.columns.map(({ dtype, shape }) =>
    Array.from({ length: shape.reduce((product, dim) => product * dim, 1) }, () =>
      dtype === 'float32' ? Math.fround(chance.normal()) : chance.integer(200),
    ),
  )
}

function filled(writer: StoreWriter, size: number): Store {
  const views = viewsOf(layout, writer.record)
  for (let index = 0; index < size; index++) {
    for (const [column, values] of contentOf(index).entries()) views[column]!.set(values)
    writer.next()
  }
  return writer.finish()
}

function contentsOf(store: Store) {
  const read = openStore(store)
  return Array.from({ length: store.size }, (_, index) =>
    store.columns.map((column) => {
      const bytes = read(index, column)
      const view = viewsOf({ columns: [{ ...column, offset: 0 }] }, bytes)[0]!
      return [...view]
    }),
  )
}

const inFile = (size: number, path = join(temporaryFolder(), 'a.records')) =>
  filled(fileWriter(layout, path), size)

describe('a layout', () => {
  it('begins every column and every record at a multiple of four bytes', () => {
    expect(layout.columns.map(({ offset }) => offset)).toEqual([0, 8, 20, 24])
    expect(layout.recordBytes).toBe(40)
    expect(columnBytes({ dtype: 'uint8', shape: [5] })).toBe(5)
    expect(columnBytes({ dtype: 'int32', shape: [] })).toBe(4)
  })

  it('of nothing holds as many records all the same', () => {
    const writer = memoryWriter(layOut([]), 'm', 0)
    writer.next()
    writer.next()
    expect(writer.finish().size).toBe(2)
  })
})

describe('records', () => {
  const expected = Array.from({ length: 50 }, (_, index) => contentOf(index))

  it.each([1, 50, 1000])('come back from memory as they were (%i expected)', (size) => {
    const store = filled(memoryWriter(layout, 'm', size), 50)
    expect(store.size).toBe(50)
    expect(contentsOf(store)).toEqual(expected)
  })

  it('come back from a file as they were, and have the same hash there', () => {
    const store = inFile(50)
    expect(contentsOf(store)).toEqual(expected)
    const inMemory = filled(memoryWriter(layout, 'm'), 50)
    expect({ ...store, place: 0 }).toEqual({ ...inMemory, place: 0 })
    const { place } = store
    expect('path' in place && sha256(readFileSync(place.path))).toBe(store.hash)
    expect('memory' in inMemory.place && sha256(inMemory.place.memory)).toBe(store.hash)
  })

  it('of more than a piece that is written at once are all there', () => {
    const wide = layOut([{ name: 'x', dtype: 'uint8', shape: [300_001] }])
    const writer = fileWriter(wide, join(temporaryFolder(), 'wide.records'))
    for (let index = 0; index < 8; index++) {
      writer.record.fill(index + 1)
      writer.next()
    }
    const store = writer.finish()
    const read = openStore(store)
    for (const index of [7, 0, 3]) {
      const bytes = read(index, store.columns[0]!)
      expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([300_001, index + 1, index + 1])
    }
  })

  it('start from zeros, whatever the one before held', () => {
    for (const writer of [
      memoryWriter(layout, 'm'),
      fileWriter(layout, join(temporaryFolder(), 'z.records')),
    ]) {
      writer.record.fill(7)
      writer.next()
      writer.next()
      expect(
        contentsOf(writer.finish())[1]!
          .flat()
          .every((value) => value === 0),
      ).toBe(true)
    }
  })

  it('differ in their hash by a single bit', () => {
    const writer = memoryWriter(layout, 'm')
    const views = viewsOf(layout, writer.record)
    for (const [column, values] of contentOf(0).entries()) views[column]!.set(values)
    views[0]!.set([contentOf(0)[0]![0]! ^ 1])
    writer.next()
    expect(writer.finish().hash).not.toBe(filled(memoryWriter(layout, 'm'), 1).hash)
  })
})

describe('a file of records', () => {
  it('that became shorter is said, not read as zeros', () => {
    const store = inFile(10)
    const { path } = store.place as { path: string }
    const read = openStore(store)
    read(9, store.columns[3]!)
    truncateSync(path, 9 * 40 + 30)
    expect(() => read(9, store.columns[3]!)).toThrow(UserError)
    expect(() => read(9, store.columns[3]!)).toThrow(`${path}: became shorter while it was read`)
    expect(read(8, store.columns[3]!)).toHaveLength(16)
  })

  it('that is gone is said with its path', () => {
    const store = { ...inFile(1), place: { path: '/nowhere/a.records' } }
    expect(() => openStore(store)(0, store.columns[0]!)).toThrow('/nowhere/a.records')
  })

  it('cannot be made where there is no folder', () => {
    expect(() => fileWriter(layout, '/nowhere/a.records')).toThrow(UserError)
  })

  it('can be given up before and after its end', () => {
    const writer = fileWriter(layout, join(temporaryFolder(), 'a.records'))
    writer.next()
    writer.finish()
    expect(() => writer.abandon()).not.toThrow()
    const other = fileWriter(layout, join(temporaryFolder(), 'b.records'))
    other.abandon()
    expect(() => other.abandon()).not.toThrow()
  })
})

describe('memory', () => {
  it('that cannot be had is an error with its place', () => {
    const huge = layOut([{ name: 'x', dtype: 'uint8', shape: [2 ** 40] }])
    expect(() => memoryWriter({ ...huge, recordBytes: 2 ** 50 }, 'train.csv', 1)).toThrow(
      /^train\.csv: does not fit in memory: \d+ bytes — /,
    )
  })
})

/** Reads value 2 of column `ids` of record 3, as any thread or process can. */
const reader = `
  const { columns, recordBytes, place } = store
  const { offset } = columns.find(({ name }) => name === 'ids')
  const bytes = place.memory ?? require('node:fs').readFileSync(place.path)
  const start = 3 * recordBytes + offset
  const value = new DataView(bytes.buffer, bytes.byteOffset).getInt32(start + 8, true)`

describe('elsewhere', () => {
  const expected = contentOf(3)[1]![2]

  it('a thread reads records in memory without a copy', async () => {
    const store = filled(memoryWriter(layout, 'm'), 10)
    const { memory } = store.place as { memory: Uint8Array }
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer)
    const code = `const { workerData: store, parentPort } = require('node:worker_threads')
      ${reader}
      bytes[0] = 123
      parentPort.postMessage(value)`
    const value = await new Promise((resolve, reject) => {
      const worker = new Worker(code, { eval: true, workerData: store })
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    expect([value, memory[0]]).toEqual([expected, 123])
  })

  it('a process reads records in a file, told as JSON', () => {
    const told = join(temporaryFolder(), 'store.json')
    writeFileSync(told, JSON.stringify(inFile(10)))
    const code = `const store = JSON.parse(require('node:fs').readFileSync(${JSON.stringify(told)}))
      ${reader}
      process.stdout.write(String(value))`
    expect(Number(execFileSync(process.execPath, ['-e', code]))).toBe(expected)
  })
})
