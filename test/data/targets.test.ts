// What is to be predicted, by kind.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import type { Encoder } from '../../data/features/feature.ts'
import type { Cell, ColumnType, Row, Table } from '../../data/table.ts'
import { readTargets, type TargetKind, targetNames } from '../../data/targets.ts'
import { tableOf } from './tables.ts'

const read = (table: Table, kind: TargetKind, columns: readonly string[] = [], scale = 1) =>
  readTargets(table, { kind, columns, scale })

const column = (type: ColumnType, cells: readonly Cell[], rest: Partial<Table> = {}) =>
  tableOf(
    { label: type },
    cells.map((cell): Row => [cell]),
    rest,
  )

async function complaint(run: () => unknown): Promise<string> {
  try {
    await run()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(UserError)
    const { message } = thrown as UserError
    expect(message).toMatch(/^.+: .+ — .+[^.]$/)
    return message
  }
  throw new Error('nothing was thrown')
}

/** The target numbers of every row. */
async function numbersOf(
  table: Table,
  kind: TargetKind,
  columns: readonly string[] = [],
  { scale = 1, encoders = [] as readonly Encoder[] } = {},
) {
  const targets = await read(table, kind, columns, scale)
  const { width, encode } = targets.numbers(encoders)
  const found: number[][] = []
  for await (const row of table.train.rows()) {
    const into = new Float32Array(width)
    encode(row, into)
    found.push([...into])
  }
  return { ...targets, width, found }
}

describe('the column', () => {
  it.each([
    ['label', 'class'],
    ['tags', 'tags'],
    ['score', 'values'],
    ['relevance', 'relevance'],
  ] as const)('%s is found for %s', (name, kind) => {
    const table = tableOf({ x: 'number', [name]: 'number' }, [])
    expect(targetNames(table, { kind, columns: [], scale: 1 })).toEqual([name])
  })

  it('is the one of the format, and before it the one of the recipe', () => {
    const table = tableOf({ a: 'text', b: 'text', label: 'text' }, [], { label: 'a' })
    expect(targetNames(table, { kind: 'class', columns: [], scale: 1 })).toEqual(['a'])
    expect(targetNames(table, { kind: 'class', columns: ['b'], scale: 1 })).toEqual(['b'])
    expect(targetNames(table, { kind: 'none', columns: ['b'], scale: 1 })).toEqual([])
  })

  it.each([
    [
      'nothing is told',
      [],
      "data.target: nothing says which column is to be predicted: there are 'x', 'income'",
    ],
    [
      'it is misspelt',
      ['incom'],
      "data.target: the data has no column 'incom' — did you mean 'income'",
    ],
    ['there are several', ['x', 'income'], 'this task has one column to predict: 2 are named'],
  ] as const)('is asked for where %s', async (_, columns, what) => {
    const table = tableOf({ x: 'text', income: 'text' }, [])
    expect(await complaint(() => read(table, 'class', columns))).toContain(what)
  })
})

describe('one class', () => {
  it('is the number of its name among all names, in their order', async () => {
    const { classes, label, numbers } = await read(
      column('text', ['pig', 'cat', 'dog', 'cat']),
      'class',
    )
    expect(classes).toEqual(['cat', 'dog', 'pig'])
    expect([['pig'], ['cat'], ['dog']].map(label)).toEqual([2, 0, 1])
    expect(numbers([]).width).toBe(0)
  })

  it.each([
    ['numbers', 'number', [4, 0, 2]],
    ['numbers as text', 'text', ['4', '0', '2']],
  ] as const)(
    'of %s is the number itself, classes that are absent keep theirs',
    async (_, type, cells) => {
      const { classes, label } = await read(column(type, cells), 'class')
      expect(classes).toEqual(['0', '1', '2', '3', '4'])
      expect(cells.map((cell) => label([cell]))).toEqual([4, 0, 2])
    },
  )

  it('that only looks like a number is a name', async () => {
    const { classes, label } = await read(column('text', ['007', '7', '10']), 'class')
    expect(classes).toEqual(['007', '10', '7'])
    expect(['007', '7', '10'].map((cell) => label([cell]))).toEqual([0, 2, 1])
    const { classes: signed } = await read(column('number', [-1, 1]), 'class')
    expect(signed).toEqual(['-1', '1'])
  })

  it('is a name that objects have by themselves like any other', async () => {
    const { classes, label } = await read(column('text', ['constructor', '__proto__']), 'class')
    expect(classes).toEqual(['__proto__', 'constructor'])
    expect(label(['constructor'])).toBe(1)
    expect(await complaint(() => label(['toString']))).toContain("'toString'")
  })

  it('is a number or a name where the format names the classes', async () => {
    const table = column('text', ['b', 'a'], { classes: ['b', 'a', 'c'] })
    const { classes, label } = await read(table, 'class')
    expect(classes).toEqual(['b', 'a', 'c'])
    expect([['b'], ['a'], [2]].map((row) => label(row))).toEqual([0, 1, 2])
  })

  it('of an image is none', async () => {
    const { label } = await read(column('text', ['a', 'b']), 'class')
    expect(await complaint(() => label([new Uint8Array(3)]))).toContain('another kind of value')
    expect(await complaint(() => label([null]))).toContain('it is missing')
  })

  it('must be there at all, and not of as many kinds as there are samples', async () => {
    expect(await complaint(() => read(column('text', [null, null]), 'class'))).toContain(
      'train.csv: no sample has a class',
    )
    const many = Array.from({ length: 100_001 }, (_, index) => `c${index}`)
    expect(await complaint(() => read(column('text', many), 'class'))).toContain(
      'more than 100000 different classes',
    )
  })
})

describe('several classes', () => {
  it.each([
    ['lists', 'list', [['b', 'a'], [], ['c']]],
    ['texts with |', 'text', ['b|a', '', 'c']],
    ['texts with commas', 'text', ['b, a', null, 'c']],
    ['texts with ;', 'text', ['b ; a', null, 'c;']],
  ] as const)('of %s are 1 each', async (_, type, cells) => {
    const found = await numbersOf(column(type, cells as readonly Cell[]), 'classes')
    expect(found.classes).toEqual(['a', 'b', 'c'])
    expect(found.found).toEqual([
      [1, 1, 0],
      [0, 0, 0],
      [0, 0, 1],
    ])
    expect(found.label([cells[0] as Cell])).toBe(0)
  })

  it('can be numbers', async () => {
    const found = await numbersOf(column('list', [[0, 2], [2]]), 'classes')
    expect(found.classes).toEqual(['0', '1', '2'])
    expect(found.found).toEqual([
      [1, 0, 1],
      [0, 0, 1],
    ])
  })

  it('can have a column each', async () => {
    const table = tableOf({ dog: 'number', x: 'number', cat: 'number' }, [[1, 5, 0]])
    const found = await numbersOf(table, 'classes', ['cat', 'dog'])
    expect(found.classes).toEqual(['cat', 'dog'])
    expect(found.found).toEqual([[0, 1]])
  })

  it.each([
    ['half', 0.5, 'neither 0 nor 1: 0.5'],
    ['missing', null, 'not a number: it is missing'],
  ] as const)('in columns are 0 or 1, not %s', async (_, cell, what) => {
    const table = tableOf({ a: 'number', b: 'number' }, [[1, cell]])
    expect(await complaint(() => numbersOf(table, 'classes', ['a', 'b']))).toContain(
      `column 'b': ${what}`,
    )
  })

  it('that training lacks are named', async () => {
    const { numbers } = await read(column('list', [['a'], ['b']]), 'classes')
    const { encode } = numbers([])
    expect(await complaint(() => encode([['a', 'z']], new Float32Array(2)))).toContain("'z'")
  })
})

describe('values', () => {
  it('are divided by the scale and called as their columns', async () => {
    const table = tableOf({ price: 'number', size: 'number' }, [
      [2000, -500],
      [0, 1],
    ])
    const found = await numbersOf(table, 'values', ['size', 'price'], { scale: 1000 })
    expect([found.width, found.names, found.classes]).toEqual([2, ['size', 'price'], []])
    expect(found.found).toEqual([
      [-0.5, 2],
      [Math.fround(0.001), 0],
    ])
  })

  it.each([
    [null, 'it is missing'],
    ['many', "'many'"],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
  ] as const)('are numbers, not %p', async (cell, what) => {
    const table = tableOf({ y: 'number' }, [[cell]])
    expect(await complaint(() => numbersOf(table, 'values', ['y']))).toContain(
      `column 'y': not a number: ${what}`,
    )
  })

  it('of relevance are one number', async () => {
    const table = tableOf({ relevance: 'number' }, [[3], [0]])
    expect((await numbersOf(table, 'relevance')).found).toEqual([[3], [0]])
  })
})

describe('tags', () => {
  const output = { suffix: '', dtype: 'int32' as const, shape: [5] }
  const encode = () => undefined
  const table = column('list', [
    ['O', 'PER', 'O'],
    ['LOC', 'O', 'O', 'O', 'O', 'O', 'PER'],
  ])

  it('stand at the position of their word', async () => {
    const found = await numbersOf(table, 'tags', [], { encoders: [{ outputs: [output], encode }] })
    expect(found.classes).toEqual(['LOC', 'O', 'PER'])
    expect(found.width).toBe(5)
    expect(found.found).toEqual([
      [1, 2, 1, -1, -1],
      [0, 1, 1, 1, 1],
    ])
  })

  it('stand at the first token of their word where words become several', async () => {
    // [CLS] word0 word1 ##more word2
    const align = () => Int32Array.of(-1, 0, 1, -1, 2)
    const encoders = [
      { outputs: [{ ...output, shape: [2] }], encode },
      { outputs: [output], encode, align },
    ]
    const found = await numbersOf(table, 'tags', [], { encoders })
    expect(found.found).toEqual([
      [-1, 1, 2, -1, 1],
      [-1, 0, 1, -1, 1],
    ])
  })

  it('can be numbers in a tensor', async () => {
    const cells = [{ shape: [3], values: Uint8Array.of(2, 0, 1) }]
    const found = await numbersOf(column('tensor', cells), 'tags', [], {
      encoders: [{ outputs: [output], encode }],
    })
    expect(found.found).toEqual([[2, 0, 1, -1, -1]])
  })

  it('are lists; what is none is told when its row is encoded', async () => {
    const { numbers } = await read(column('list', [['O'], null]), 'tags')
    const { encode } = numbers([{ outputs: [output], encode: () => undefined }])
    expect(await complaint(() => encode([null], new Float32Array(5)))).toContain(
      "column 'label': not a list of tags: it is missing",
    )
  })
})

describe('nothing', () => {
  it('is to be predicted where the task is to match', async () => {
    const { classes, label, numbers } = await read(tableOf({ x: 'number' }, [[1]]), 'none')
    expect([classes, label([1]), numbers([]).width]).toEqual([[], 0, 0])
  })
})

describe('several numbers in one cell', () => {
  const tensor = (...values: number[]): Cell => ({
    shape: [values.length],
    values: Float32Array.from(values),
  })

  it('are values, divided by the scale, and have numbered names', async () => {
    const table = column('tensor', [tensor(1, 2), tensor(3, 5)])
    const { names, found } = await numbersOf(table, 'values', [], { scale: 2 })
    expect([names, found]).toEqual([
      ['label0', 'label1'],
      [
        [0.5, 1],
        [1.5, 2.5],
      ],
    ])
    expect((await numbersOf(column('list', [[7, 8, 9]]), 'values')).found).toEqual([[7, 8, 9]])
  })

  it('are a class each where they are 0 and 1', async () => {
    const { classes, found } = await numbersOf(column('tensor', [tensor(0, 1, 1)]), 'classes')
    expect([classes, found]).toEqual([['label0', 'label1', 'label2'], [[0, 1, 1]]])
  })

  it('must be as many in every row', async () => {
    const table = column('tensor', [tensor(1, 2), tensor(3)])
    expect(await complaint(() => numbersOf(table, 'values'))).toContain(
      "column 'label': 1 numbers where the first row has 2",
    )
  })
})
