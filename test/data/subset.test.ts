// Some samples of a data set, and samples without labels.
import { expect, it } from '@jest/globals'
import { batches } from '../../data/batches.ts'
import { storedDataset, targetColumn } from '../../data/stored-dataset.ts'
import { subset, withoutLabels } from '../../data/subset.ts'
import { numbersStore, rowsOf } from '../support/numbers.ts'
import { datasetOf, recipeOf } from '../support/samples.ts'

const labels = Int32Array.of(0, 1, 2, 0, 1, 2)
const dataset = datasetOf({
  ...{ source: 'six', shape: [2], classes: ['a', 'b', 'c'], labels },
  write: (index, into) => into.set([index, -index]),
})

it('has the chosen samples in their order, with their labels', () => {
  const some = subset(dataset, Uint32Array.of(4, 0, 5))
  expect(some.size).toBe(3)
  expect([...some.labels]).toEqual([1, 0, 2])
  expect(rowsOf(some, 'x')).toEqual([
    [4, -4],
    [0, -0],
    [5, -5],
  ])
  expect(some.classes).toEqual(dataset.classes)
})

it('is chosen from as any other data set is, and has the same records', () => {
  const twice = subset(subset(dataset, Uint32Array.of(1, 3, 5)), Uint32Array.of(2, 1))
  const once = subset(dataset, Uint32Array.of(5, 3))
  expect(rowsOf(twice, 'x')).toEqual(rowsOf(once, 'x'))
  expect(twice.fingerprint).toBe(once.fingerprint)
  expect(twice.recipe.store).toBe(dataset.recipe.store)
  const all = subset(dataset, Uint32Array.from(labels.keys()))
  expect(all.fingerprint).toBe(dataset.fingerprint)
  expect(once.fingerprint).not.toBe(dataset.fingerprint)
})

it('is made again of its recipe', () => {
  const some = subset(dataset, Uint32Array.of(4, 2))
  const again = storedDataset(structuredClone(some.recipe))
  expect(rowsOf(again, 'x')).toEqual(rowsOf(some, 'x'))
  expect([...again.labels]).toEqual([1, 2])
  expect(again.fingerprint).toBe(some.fingerprint)
})

it('keeps the inputs that a model is fed by', () => {
  const inputs = { x: { column: 'x' } }
  const given = storedDataset({ ...dataset.recipe, inputs })
  expect(subset(given, Uint32Array.of(1)).inputs).toEqual(inputs)
})

it('takes groups as a whole alone', () => {
  const pairs = storedDataset({ ...dataset.recipe, group: 2 })
  expect(rowsOf(subset(pairs, Uint32Array.of(4, 5, 0, 1)), 'x').map(([x]) => x)).toEqual([
    4, 5, 0, 1,
  ])
  for (const chosen of [[0], [1, 2], [0, 3], [0, 1, 4], [6, 7]])
    expect(() => subset(pairs, Uint32Array.from(chosen))).toThrow(/^internal: /)
})

it.each([
  ['values', undefined, [Number.NaN, Number.NaN]],
  ['positions', 'positions', [-1, -1]],
  ['indicators', 'indicators', [Number.NaN, Number.NaN]],
] as const)('knows no targets of samples without labels: %s', (_, form, expected) => {
  const store = numbersStore([
    { name: 'x', rows: [[1], [2]] },
    {
      name: targetColumn,
      rows: [
        [0, 1],
        [1, 0],
      ],
    },
  ])
  const targetClasses = form && { form, order: Int32Array.of(0, 1), count: 2 }
  const known = storedDataset(
    recipeOf(store, { labels: new Int32Array(2), ...(targetClasses && { targetClasses }) }),
  )
  const unknown = withoutLabels(known)
  expect([...unknown.labels]).toEqual([-1, -1])
  expect(rowsOf(unknown, 'x')).toEqual(rowsOf(known, 'x'))
  expect(unknown.fingerprint).not.toBe(known.fingerprint)
  const [own] = [...batches(known, { size: 2 })]
  const [other] = [...batches(unknown, { size: 2 })]
  expect([...own!.targets]).toEqual([0, 1, 1, 0])
  expect([...other!.targets]).toEqual([...expected, ...expected])
})
