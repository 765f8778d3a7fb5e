// Samples without labels behind others with labels.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { inFile } from '../../benchmarks/test-data.ts'
import { augmentOptions } from '../../data/augment.ts'
import { batches, take } from '../../data/batches.ts'
import type { DatasetRecipe } from '../../data/dataset.ts'
import { joined } from '../../data/joined.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { fileWriter } from '../../data/store.ts'
import { storedDataset, targetColumn } from '../../data/stored-dataset.ts'
import { subset } from '../../data/subset.ts'
import { writeOneHot } from '../../train/one-hot.ts'
import { temporaryFolder } from '../support/folder.ts'
import { numbersStore, rowsOf } from '../support/numbers.ts'
import { imagesOf, recipeOf } from '../support/samples.ts'

const labelled = storedDataset(
  recipeOf(
    numbersStore([
      {
        name: 'x',
        rows: [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      },
    ]),
    {
      ...{
        source: 'known',
        classes: ['a', 'b'],
        labels: Int32Array.of(1, 0),
        indices: Uint32Array.of(2, 0),
      },
    },
  ),
)
const added = storedDataset(
  recipeOf(
    numbersStore([
      { name: 'more', rows: [[0], [0]] },
      {
        name: 'x',
        rows: [
          [7, 8],
          [9, 10],
        ],
      },
    ]),
    { source: 'unknown', labels: Int32Array.of(0, 0) },
  ),
)

describe('joined data', () => {
  it('has the samples of both, those behind without labels', () => {
    const both = joined(labelled, added)
    expect(rowsOf(both, 'x')).toEqual([
      [5, 6],
      [1, 2],
      [7, 8],
      [9, 10],
    ])
    expect([...both.labels]).toEqual([1, 0, -1, -1])
    expect(both).toMatchObject({ source: 'known', size: 4, classes: ['a', 'b'] })
    expect(both.columns).toEqual(labelled.columns)
  })

  it('can be chosen from in any order, and joined again', () => {
    const both = joined(labelled, added)
    expect(rowsOf(subset(both, Uint32Array.of(3, 0, 2)), 'x')).toEqual([
      [9, 10],
      [5, 6],
      [7, 8],
    ])
    const more = joined(subset(both, Uint32Array.of(3, 1)), labelled)
    expect(rowsOf(more, 'x').map(([x]) => x)).toEqual([9, 1, 5, 1])
    expect([...more.labels]).toEqual([-1, 0, -1, -1])
  })

  it('has a fingerprint of both', () => {
    const one = joined(labelled, added)
    const two = joined(labelled, subset(added, Uint32Array.of(0)))
    const three = joined(subset(labelled, Uint32Array.of(0)), labelled)
    const prints = [labelled, one, two, three].map(({ fingerprint }) => fingerprint)
    expect(new Set(prints).size).toBe(4)
    expect(joined(labelled, added).fingerprint).toBe(one.fingerprint)
  })

  it('has the targets of samples with labels alone', () => {
    const store = numbersStore([
      { name: targetColumn, rows: [[0.5, 3]] },
      { name: 'x', rows: [[1, 2]] },
    ])
    const own = storedDataset(recipeOf(store, { labels: Int32Array.of(0) }))
    const { targets } = take(joined(own, added), [1, 0, 2])
    expect([...targets]).toEqual([Number.NaN, Number.NaN, 0.5, 3, Number.NaN, Number.NaN])
  })

  it.each<[string, Parameters<typeof numbersStore>[0], Partial<DatasetRecipe>, string]>([
    ['columns', [{ name: 'y', rows: [[1, 2]] }], {}, "'x' is missing"],
    ['shapes', [{ name: 'x', rows: [[1]] }], {}, "'x' is float32 [1], not float32 [2]"],
    [
      'types',
      [{ name: 'x', rows: [[1, 2]], dtype: 'int32' }],
      {},
      "'x' is int32 [2], not float32 [2]",
    ],
    ['ids', [{ name: 'x', rows: [[1, 2]], ids: 9 }], {}, "'x' has other ids: 9, not undefined"],
    ['groups', [{ name: 'x', rows: [[1, 2]] }], { group: 2 }, 'groups of 2, not 1'],
  ])('refuses other %s', (_, columns, rest, problem) => {
    const other = storedDataset(
      recipeOf(numbersStore(columns), { source: 'odd', labels: Int32Array.of(0), ...rest }),
    )
    expect(() => joined(labelled, other)).toThrow(
      `odd: its samples do not go with those of known: ${problem} — use samples of one form`,
    )
  })

  it('goes to files that other processes read, from wherever its records are', () => {
    const folder = temporaryFolder()
    const rows = [
      [7, 8],
      [9, 10],
    ]
    const file = numbersStore([{ name: 'x', rows }], (layout) =>
      fileWriter(layout, join(folder, 'a')),
    )
    const filed = storedDataset(recipeOf(file, { labels: Int32Array.of(0, 0) }))
    const both = joined(labelled, filed)
    const moved = inFile(both.recipe, join(folder, 'b'))
    expect(moved.store.place).toEqual({ path: join(folder, 'b') })
    expect(rowsOf(storedDataset(JSON.parse(JSON.stringify(moved), revived)), 'x')).toEqual(
      rowsOf(both, 'x'),
    )
    const inTwo = joined(filed, filed).recipe
    expect(inFile(inTwo, join(folder, 'c'))).toBe(inTwo)
  })
})

/** Typed arrays out of JSON, in which they are objects. */
function revived(key: string, value: unknown): unknown {
  const numbers = () => Object.values(value as Record<string, number>)
  if (key === 'indices') return Uint32Array.from(numbers())
  return key === 'labels' ? Int32Array.from(numbers()) : value
}

describe('mixing', () => {
  const side = 4
  const imagesFrom = (count: number, seed: number, labels: Int32Array) =>
    imagesOf(
      Uint8Array.from({ length: count * side * side }, (_, at) => (at * 7919 * seed) & 255),
      [1, side, side],
      { labels, classes: ['a', 'b', 'c'], preprocess: preprocessOptions.parse({}) },
    )
  const both = joined(
    imagesFrom(6, 1, Int32Array.of(0, 1, 2, 0, 1, 2)),
    imagesFrom(5, 3, new Int32Array(5)),
  )

  it('gives the share of a label that is not known to nobody', () => {
    const augment = augmentOptions.parse({ mixup: 1 })
    let seen = 0
    for (const batch of batches(both, { size: 11, shuffle: true, seed: 3, augment })) {
      const rows = writeOneHot(batch.labels, 3, new Float32Array(33), batch.mix)
      for (const [row, label] of batch.labels.entries()) {
        const { partners, shares } = batch.mix!
        const own = label < 0 ? 0 : shares[row]!
        const other = partners[row]! < 0 ? 0 : 1 - shares[row]!
        const total = rows.subarray(row * 3, row * 3 + 3).reduce((sum, value) => sum + value)
        expect(total).toBeCloseTo(own + other, 6)
        seen += Number(label < 0 !== partners[row]! < 0)
      }
    }
    expect(seen).toBeGreaterThan(0)
  })
})
