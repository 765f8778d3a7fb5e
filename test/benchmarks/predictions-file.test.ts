// Predictions in a file, read by position.
import { readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { openPredictions, writePredictions } from '../../benchmarks/predictions-file.ts'
import { temporaryFolder } from '../support/folder.ts'

const valueAt = (row: number, place: number) => Math.fround(Math.sin(row * 31 + place))

/** Writes rows in batches of 7. */
function written(size: number, width: number) {
  const writer = writePredictions(join(temporaryFolder(), 'predictions'))
  for (let start = 0; start < size; start += 7) {
    const count = Math.min(7, size - start)
    const values = Float32Array.from({ length: count * width }, (_, at) =>
      valueAt(start + Math.floor(at / width), at % width),
    )
    writer.add(values, [width - 1, 1])
  }
  return writer.finish(size)
}

describe('predictions in a file', () => {
  it.each([
    [1, 2],
    [20, 3],
    [1000, 10],
    [30, 20_000],
  ])('%i rows of %i numbers come back by position, in any order', (size, width) => {
    const file = written(size, width)
    expect(file).toMatchObject({ size, width, widths: [width - 1, 1] })
    const predictions = openPredictions(file)
    expect([predictions.size, predictions.width]).toEqual([size, width])
    const order = [...random(1, 'order').permutation(size)].slice(0, 60)
    for (const row of [0, size - 1, ...order]) {
      const found = predictions.row(row)
      expect(found).toHaveLength(width)
      for (const place of [0, 1, width - 1]) expect(found[place]).toBe(valueAt(row, place))
    }
  })

  it('are the bytes of float32 in a row', () => {
    const { path } = written(3, 2)
    const bytes = Uint8Array.from(readFileSync(path))
    expect([...new Float32Array(bytes.buffer)]).toEqual(
      [0, 1, 2].flatMap((row) => [valueAt(row, 0), valueAt(row, 1)]),
    )
  })

  it('that became fewer are said', () => {
    const file = written(20, 3)
    truncateSync(file.path, 100)
    const predictions = openPredictions(file)
    expect(() => predictions.row(19)).toThrow(UserError)
    expect(() => predictions.row(19)).toThrow(`${file.path}: became shorter`)
  })

  it('need a folder', () => {
    expect(() => writePredictions('/nowhere/predictions')).toThrow(UserError)
    expect(() => openPredictions({ path: '/nowhere/p', size: 1, width: 1, widths: [1] })).toThrow(
      '/nowhere/p',
    )
  })
})
