// What augmentation changes of a data set.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { augmentOptions } from '../../data/augment.ts'
import { varied } from '../../data/varied.ts'
import { mixedData } from '../stages/mixed-data.ts'
import { datasetOf } from '../support/samples.ts'

const noise = augmentOptions.parse({ noise: 0.1 })
const mix = augmentOptions.parse({ mixup: 0.5 })

describe('what is varied', () => {
  it('are the images, whatever else there is', () => {
    const data = mixedData(3)
    const found = varied(data, noise)!
    expect(data.columns[found.column]!.name).toBe('image')
    expect([found.shape, found.width]).toEqual([[1, 2, 2], 4])
    const into = new Float32Array(6)
    found.read(2, into, 1)
    expect([...into].map((value) => Math.round(value * 255))).toEqual([0, 22, 23, 24, 25, 0])
  })

  it('is the only column of floats where there are no images', () => {
    const data = datasetOf({
      ...{ source: 'v', shape: [3], classes: ['a', 'b'], labels: Int32Array.of(0, 1) },
      write: (index, into) => void into.fill(index + 1),
    })
    const found = varied(data, noise)!
    expect([found.column, found.shape]).toEqual([0, [3]])
    const into = new Float32Array(3)
    found.read(1, into, 0)
    found.arrange(into, 0)
    expect([...into]).toEqual([2, 2, 2])
  })

  it('is nothing where nothing changes', () => {
    expect(varied(mixedData(2), augmentOptions.parse({}))).toBeUndefined()
  })

  it('must be told apart', () => {
    const { columns, ...rest } = mixedData(2)
    const two = columns.map((column) => ({ ...column, dtype: 'float32' as const }))
    const none = columns.map((column) => ({ ...column, dtype: 'int32' as const }))
    for (const [given, count] of [
      [two, columns.length],
      [none, 0],
    ] as const) {
      const run = () => varied({ ...rest, image: undefined, columns: given }, noise)
      expect(run).toThrow(UserError)
      expect(run).toThrow(`augment: needs one input of floats: the data has ${count} — `)
    }
  })

  it('cannot be mixed where each position has a class', () => {
    const targetClasses = { form: 'positions' as const, order: Int32Array.of(0, 1, 2), count: 3 }
    const data = mixedData(2, { targetClasses })
    expect(() => varied(data, mix)).toThrow('cannot be mixed')
    expect(varied(data, noise)).toBeDefined()
  })
})
