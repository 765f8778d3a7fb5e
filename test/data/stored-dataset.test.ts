// Data sets over records: what models are given is worked out here by hand once more.
import { describe, expect, it } from '@jest/globals'
import { type ColumnMemory, columnMemory } from '../../base/samples.ts'
import type { Dataset, DatasetRecipe } from '../../data/dataset.ts'
import { type PreprocessOptions, preprocessOptions } from '../../data/preprocess.ts'
import { layOut, memoryWriter, type StoredColumn, viewsOf } from '../../data/store.ts'
import { storedDataset, targetColumn } from '../../data/stored-dataset.ts'
import { imageStore, imagesOf, recipeOf } from '../support/samples.ts'

type Content = Omit<StoredColumn, 'offset'> & { readonly rows: readonly (readonly number[])[] }

function storeOf(columns: readonly Content[]) {
  const layout = layOut(columns.map(({ rows: _, ...column }) => column))
  const writer = memoryWriter(layout, 'm')
  const views = viewsOf(layout, writer.record)
  for (const index of columns[0]!.rows.keys()) {
    for (const [column, { rows }] of columns.entries()) views[column]!.set(rows[index]!)
    writer.next()
  }
  return writer.finish()
}

function valuesOf(dataset: Dataset, index: number, name: string): number[] {
  const at = dataset.columns.findIndex((column) => column.name === name)
  const memory: ColumnMemory = columnMemory(dataset.columns[at]!, 2)
  dataset.read(index, at, memory, memory.length / 2)
  expect([...memory.subarray(0, memory.length / 2)].every((value) => value === 0)).toBe(true)
  return [...memory.subarray(memory.length / 2)]
}

const targetsOf = (dataset: Dataset, index: number) => {
  const into = new Float32Array(dataset.targetWidth + 2).fill(9)
  dataset.target(index, into, 1)
  expect([into[0], into.at(-1)]).toEqual([9, 9])
  return [...into.subarray(1, -1)]
}

/** Two images of 3 x 2 x 2 bytes. */
const bytes = Uint8Array.from({ length: 24 }, (_, at) => at * 10)
const labels = Int32Array.of(0, 1)

const images = (preprocess: Partial<PreprocessOptions> = {}) =>
  imagesOf(bytes, [3, 2, 2], {
    labels,
    preprocess: preprocessOptions.parse(preprocess),
  })

describe('images', () => {
  const scale = 1 / 255
  const [mean, std] = [
    [0.1, 0.2, 0.3],
    [0.5, 0.6, 0.7],
  ] as const

  it.each([
    ['as they are', {}],
    ['scaled otherwise', { scale: 1 }],
    ['mean and deviation by channel', { mean: [...mean], std: [...std] }],
    ['pixel by pixel', { layout: 'nhwc' }],
    ['blue first', { colour: 'bgr', mean: [...mean], std: [...std] }],
    ['with a border', { pad: 1, mean: [...mean] }],
    ['all of it', { pad: 2, colour: 'bgr', layout: 'nhwc', mean: [...mean], std: [...std] }],
  ] as const)('%s', (_, given) => {
    const options = preprocessOptions.parse(given)
    const { pad, layout, colour } = options
    const dataset = images(given as Partial<PreprocessOptions>)
    const side = 2 + 2 * pad
    expect(dataset.columns[0]).toEqual({
      name: 'image',
      dtype: 'float32',
      shape: layout === 'nhwc' ? [side, side, 3] : [3, side, side],
    })
    const byChannel = (value: number | readonly number[], channel: number) =>
      typeof value === 'number' ? value : value[channel]!
    const found = valuesOf(dataset, 1, 'image')
    expect(found).toHaveLength(3 * side * side)
    for (let channel = 0; channel < 3; channel++)
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++) {
          const [row, column] = [y - pad, x - pad]
          const inside = row >= 0 && row < 2 && column >= 0 && column < 2
          const stored = inside ? bytes[12 + channel * 4 + row * 2 + column]! : 0
          const expected =
            (stored * (options.scale ?? scale) - byChannel(options.mean, channel)) /
            byChannel(options.std, channel)
          const place = colour === 'bgr' ? 2 - channel : channel
          const at = layout === 'nhwc' ? (y * side + x) * 3 + place : (place * side + y) * side + x
          expect(found[at]).toBeCloseTo(expected, 5)
        }
  })

  it('are there as bytes, pixel by pixel and as planes, whatever the preprocessing', () => {
    const dataset = images({ pad: 2, colour: 'bgr', mean: 0.5 })
    expect(dataset.columns[1]).toEqual({ name: 'image.raw', dtype: 'uint8', shape: [2, 2, 3] })
    expect(valuesOf(dataset, 0, 'image.raw')).toEqual(
      [0, 1, 2, 3].flatMap((pixel) => [0, 40, 80].map((base) => base + 10 * pixel)),
    )
    expect(dataset.columns[2]).toEqual({ name: 'image.planes', dtype: 'uint8', shape: [3, 2, 2] })
    expect(valuesOf(dataset, 0, 'image.planes')).toEqual([...bytes.subarray(0, 12)])
  })

  it('are given to augmentation as planes of RGB, and put in order after it', () => {
    const dataset = images({ layout: 'nhwc', colour: 'bgr', pad: 1, mean: 0.5 })
    const { image } = dataset
    expect(image!.shape).toEqual([3, 4, 4])
    expect([...image!.background]).toEqual([-0.5, -0.5, -0.5])
    expect([...image!.white]).toEqual([0.5, 0.5, 0.5])
    const values = new Float32Array(2 * 48)
    image!.read(1, values, 48)
    expect(values[48 + 5]).toBeCloseTo(120 / 255 - 0.5, 5)
    image!.arrange(values, 48)
    expect([...values.subarray(48)]).toEqual(valuesOf(dataset, 1, 'image'))
    expect(values.subarray(0, 48).every((value) => value === 0)).toBe(true)
  })
})

describe('other columns', () => {
  const store = storeOf([
    {
      name: 'v',
      dtype: 'float32',
      shape: [2],
      rows: [
        [0.5, 1.5],
        [2.5, 3.5],
        [4.5, 5.5],
      ],
    },
    {
      name: 't',
      dtype: 'int32',
      shape: [2],
      ids: 7,
      rows: [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    },
    {
      name: 't.attention_mask',
      dtype: 'int32',
      shape: [2],
      rows: [
        [1, 0],
        [1, 1],
        [0, 0],
      ],
    },
  ])
  const dataset = storedDataset(
    recipeOf(store, { labels: Int32Array.of(1, 0), indices: Uint32Array.of(2, 0) }),
  )

  it('are as they were stored, of the records that were chosen, in their order', () => {
    expect(dataset.size).toBe(2)
    expect(dataset.columns).toEqual([
      { name: 'v', dtype: 'float32', shape: [2] },
      { name: 't', dtype: 'int32', shape: [2], ids: 7 },
      { name: 't.attention_mask', dtype: 'int32', shape: [2] },
    ])
    expect(valuesOf(dataset, 0, 'v')).toEqual([4.5, 5.5])
    expect(valuesOf(dataset, 1, 't')).toEqual([1, 2])
    expect(valuesOf(dataset, 0, 't.attention_mask')).toEqual([0, 0])
    expect(dataset.image).toBeUndefined()
  })

  it('have no more samples than were chosen', () => {
    expect(() => valuesOf(dataset, 2, 'v')).toThrow('internal')
  })
})

describe('targets', () => {
  const withTargets = (rows: readonly number[][], rest: Partial<DatasetRecipe> = {}) =>
    storedDataset(
      recipeOf(
        storeOf([
          { name: 'x', dtype: 'float32', shape: [1], rows: rows.map((_, n) => [n]) },
          { name: targetColumn, dtype: 'float32', shape: [rows[0]!.length], rows },
        ]),
        { labels: new Int32Array(rows.length), ...rest },
      ),
    )

  it('are no column', () => {
    const dataset = withTargets([[1, 2]])
    expect(dataset.columns.map(({ name }) => name)).toEqual(['x'])
    expect([dataset.targetWidth, targetsOf(dataset, 0)]).toEqual([2, [1, 2]])
  })

  it('are none where labels are all', () => {
    expect(images().targetWidth).toBe(0)
    expect(targetsOf(images(), 0)).toEqual([])
  })

  const order = Int32Array.of(2, 0, 3)

  it('that are classes by position get their new numbers; what does not count stays', () => {
    const dataset = withTargets([[0, 2, -1, 1]], {
      targetClasses: { form: 'positions', order, count: 4 },
    })
    expect(targetsOf(dataset, 0)).toEqual([2, 3, -1, 0])
  })

  it('that are indicators move to their new places, and places that nobody has are 0', () => {
    const dataset = withTargets(
      [
        [1, 0, 1],
        [0, 1, 0],
      ],
      {
        targetClasses: { form: 'indicators', order, count: 5 },
      },
    )
    expect(dataset.targetWidth).toBe(5)
    expect(targetsOf(dataset, 0)).toEqual([0, 0, 1, 1, 0])
    expect(targetsOf(dataset, 1)).toEqual([1, 0, 0, 0, 0])
  })
})

describe('the fingerprint', () => {
  const store = imageStore(bytes, [3, 2, 2])
  const base = recipeOf(store, { labels, classes: ['a', 'b'] })
  const print = (rest: Partial<DatasetRecipe>) => storedDataset({ ...base, ...rest }).fingerprint
  const other = Uint8Array.from(bytes)
  other[23] = 1

  it.each([
    ['a byte', { store: imageStore(other, [3, 2, 2]) }],
    ['the shape', { store: imageStore(bytes, [3, 1, 4]) }],
    ['the records', { indices: Uint32Array.of(1, 0) }],
    ['labels', { labels: Int32Array.of(1, 1) }],
    ['names of classes', { classes: ['a', 'c'] }],
    ['groups', { group: 2 }],
    ['names of targets', { targetNames: ['y'] }],
    ['preprocessing', { preprocess: preprocessOptions.parse({ pad: 1 }) }],
    ['inputs', { inputs: { x: { column: 'image' } } }],
  ] as const)('changes with %s', (_, rest) => {
    expect(print(rest as Partial<DatasetRecipe>)).not.toBe(print({}))
  })

  it('does not change with where the records are and what the data is called', () => {
    expect(print({ source: 'elsewhere' })).toBe(print({}))
    expect(print({ store: { ...store, place: { path: '/somewhere' } } })).toBe(print({}))
    expect(print({ preprocess: preprocessOptions.parse({}) })).toBe(print({}))
  })
})
