import { describe, expect, it } from '@jest/globals'
import { category } from '../../../data/features/category.ts'
import { number } from '../../../data/features/number.ts'
import { tensor } from '../../../data/features/tensor.ts'
import type { Cell, ColumnType, Row } from '../../../data/table.ts'
import { learn } from './encoded.ts'

const column = (type: ColumnType) => [{ name: 'c', type }]
const rowsOf = (...cells: Cell[]): Row[] => cells.map((cell) => [cell])

describe('a category as an id', () => {
  it('counts the most frequent from 1, and gives 0 to what is rare, unseen or missing', async () => {
    const rows = rowsOf('b', 'a', 'a', null, 'c', 'b', 'a')
    const all = await learn(category, { column: 'c' }, column('text'), rows)
    expect(all.encoder.outputs).toEqual([{ suffix: '', dtype: 'int32', shape: [], ids: 4 }])
    const ids = []
    for (const name of ['a', 'b', 'c', 'd', null]) ids.push(...(await all.encode([name])))
    expect(ids).toEqual([1, 2, 3, 0, 0])
    const options = { column: 'c', minimumCount: 2, maximum: 1, rank: 1 } as const
    const few = await learn(category, options, column('text'), rows)
    expect(few.encoder.outputs[0]).toMatchObject({ shape: [1], ids: 2 })
    expect(await few.encode(['b'])).toEqual([0])
  })

  it('takes names from numbers, and no name for a key of every object', async () => {
    const ids = await learn(category, { column: 'c' }, column('number'), rowsOf(42, 42, 7))
    expect([...(await ids.encode([42])), ...(await ids.encode([7]))]).toEqual([1, 2])
    const names = await learn(category, { column: 'c' }, column('text'), rowsOf('__proto__'))
    expect(await names.encode(['__proto__'])).toEqual([1])
    expect(await names.encode(['toString'])).toEqual([0])
  })

  it('refuses other columns', async () => {
    const refused = learn(category, { column: 'c' }, column('tensor'), [])
    await expect(refused).rejects.toThrow(/'c' holds tensor cells, not text or number — /)
  })
})

describe('one number', () => {
  it('is standardised, its mean where it is missing', async () => {
    const { encode, learned } = await learn(
      number,
      { column: 'c' },
      column('number'),
      rowsOf(1, null, 3),
    )
    expect(learned).toEqual({ count: 2, mean: 2, std: 1 })
    expect([...(await encode([5])), ...(await encode([null]))]).toEqual([3, 0])
    const raw = { column: 'c', standardise: false, log: true }
    const other = await learn(number, raw, column('number'), rowsOf(0))
    expect((await other.encode([Math.E - 1]))[0]).toBeCloseTo(1)
  })

  it('is refused where it is missing, when told', async () => {
    const options = { column: 'c', missing: 'refuse' } as const
    const { encode } = await learn(number, options, column('number'), rowsOf(1))
    await expect(encode([null])).rejects.toThrow(/column 'c': missing — /)
  })
})

describe('numbers as they are', () => {
  const box = (
    values: ArrayLike<number>,
    shape: number[],
    Type = Float32Array as typeof Uint8Array | typeof Float32Array | typeof Int16Array,
  ): Cell => ({
    shape,
    values: Type.from(values),
  })

  it.each<[string, Cell, ColumnType, object, object, number[]]>([
    [
      'bytes',
      box([1, 255], [1, 2], Uint8Array),
      'tensor',
      {},
      { dtype: 'uint8', shape: [1, 2] },
      [1, 255],
    ],
    [
      'integers',
      box([-3, 4], [2], Int16Array),
      'tensor',
      {},
      { dtype: 'int32', shape: [2] },
      [-3, 4],
    ],
    ['floats', box([0.5, 4], [2]), 'tensor', {}, { dtype: 'float32' }, [0.5, 4]],
    [
      'bytes as floats',
      box([7], [1], Uint8Array),
      'tensor',
      { dtype: 'float32' },
      { dtype: 'float32' },
      [7],
    ],
    [
      'another shape',
      box([1, 2, 3, 4], [2, 2]),
      'tensor',
      { shape: [1, 2, 2] },
      { shape: [1, 2, 2] },
      [1, 2, 3, 4],
    ],
    ['a number', 0.5, 'number', {}, { dtype: 'float32', shape: [1] }, [0.5]],
    ['a list', [1, 2], 'list', {}, { dtype: 'float32', shape: [2] }, [1, 2]],
    ['a padded list', [1, 2], 'list', { length: 3, padding: -1 }, { shape: [3] }, [1, 2, -1]],
    ['a cut list', [1, 2, 3, 4], 'list', { length: 3 }, { shape: [3] }, [1, 2, 3]],
    ['ids', [1, 2], 'list', { length: 3, ids: 3 }, { dtype: 'int32', ids: 3 }, [1, 2, 0]],
  ])('keeps %s', async (_name, cell, type, options, output, expected) => {
    const { encoder, encode } = await learn(tensor, { column: 'c', ...options }, column(type), [
      [cell],
    ])
    expect(encoder.outputs[0]).toMatchObject(output)
    expect(await encode([cell])).toEqual(expected)
  })

  it.each<[string, Cell, Cell, ColumnType, object, RegExp]>([
    [
      'another shape',
      box([1, 2], [2]),
      box([1, 2], [1, 2]),
      'tensor',
      {},
      /shape \[1,2\] but \[2\] in training/,
    ],
    ['a longer list', [1], [1, 2], 'list', {}, /shape \[2\] but \[1\] in training — set length/],
    [
      'not a number',
      box([1], [1]),
      box([Number.NaN], [1]),
      'tensor',
      {},
      /not a finite number: NaN/,
    ],
    [
      'infinity',
      box([1], [1]),
      box([Number.POSITIVE_INFINITY], [1]),
      'tensor',
      {},
      /not a finite number/,
    ],
    ['a hole', [1], [null], 'list', {}, /no number: null/],
    ['words', [1], ['a'], 'list', {}, /no number: a — .*kind: text/],
    ['nothing', 1, null, 'number', {}, /column 'c': missing/],
    ['an id too large', [1], [3], 'list', { ids: 3 }, /no id from 0 to 2: 3/],
    ['half an id', [1], [0.5], 'list', { ids: 3 }, /no int32: 0.5/],
    ['a float for a byte', 1, 256, 'number', { dtype: 'uint8' }, /no uint8: 256/],
    ['an empty list', [], [], 'list', {}, /holds an empty list/],
    ['a length of tensors', box([1], [1, 1]), null, 'tensor', { length: 2 }, /length is for lists/],
    ['as many numbers not', box([1], [1]), null, 'tensor', { shape: [2] }, /not as many numbers/],
  ])('refuses %s', async (_name, first, second, type, options, message) => {
    const refused = learn(tensor, { column: 'c', ...options }, column(type), [[first]]).then(
      ({ encode }) => encode([second]),
    )
    await expect(refused).rejects.toThrow(message)
    await expect(refused).rejects.toMatchObject({ name: 'UserError' })
  })

  it('has no shape without a row, and no ids that are floats', async () => {
    await expect(learn(tensor, { column: 'c' }, column('list'), [])).rejects.toThrow(
      /no row to learn/,
    )
    const floats = { column: 'c', ids: 3, dtype: 'float32' } as const
    await expect(learn(tensor, floats, column('list'), [])).rejects.toThrow(/ids are int32/)
  })
})
