// What becomes of columns where a recipe names no features.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { defaultFeatures } from '../../data/default-features.ts'
import type { ColumnType, Table } from '../../data/table.ts'
import type { TargetKind } from '../../data/targets.ts'
import { tableOf } from './tables.ts'

const kinds = (
  columns: Readonly<Record<string, ColumnType>>,
  { targets = [], kind = 'class' }: { targets?: readonly string[]; kind?: TargetKind } = {},
) => {
  const table: Table = tableOf(columns, [], { label: 'label' })
  return Object.entries(defaultFeatures(table, targets, { target: kind })).map(
    ([name, options]) => `${name}: ${options.kind}`,
  )
}

describe('features by themselves', () => {
  it.each<[string, Readonly<Record<string, ColumnType>>, string[]]>([
    ['a tensor', { image: 'tensor', label: 'number' }, ['image: tensor']],
    ['a list', { series: 'list', label: 'number' }, ['series: tensor']],
    ['encoded images', { picture: 'bytes', label: 'number' }, ['picture: image']],
    ['files of images', { image: 'file', label: 'text' }, ['image: image']],
    ['files of sound', { audio: 'file', label: 'text' }, ['audio: audio']],
    ['one text', { text: 'text', label: 'text' }, ['text: text']],
    ['two texts', { a: 'text', b: 'text', label: 'text' }, ['features: table']],
    ['a number', { a: 'number', label: 'text' }, ['features: table']],
    ['numbers and texts', { a: 'number', b: 'text', label: 'text' }, ['features: table']],
    ['two images', { a: 'tensor', b: 'tensor', label: 'text' }, ['a: tensor', 'b: tensor']],
    [
      'tensors and what is said of them',
      { a: 'tensor', note: 'text', label: 'text' },
      ['a: tensor'],
    ],
  ])('are of %s', (_, columns, expected) => {
    expect(kinds(columns)).toEqual(expected)
  })

  it('leave out what is to be predicted', () => {
    const columns = { x: 'tensor', y: 'tensor', label: 'text' } as const
    expect(kinds(columns, { targets: ['y'], kind: 'values' })).toEqual(['x: tensor'])
    expect(kinds(columns, { kind: 'none' })).toEqual(['x: tensor', 'y: tensor'])
  })

  it('are as the files of the model ask for them', () => {
    const table = tableOf({ text: 'text', label: 'text' }, [], { label: 'label' })
    const model = { features: { text: { length: 7 }, image: { size: 9 } } }
    const { text } = defaultFeatures(table, [], { target: 'class', model })
    expect(text).toMatchObject({ kind: 'text', column: 'text', length: 7 })
  })

  it.each([
    [
      'files of which nobody knows',
      { document: 'file', label: 'text' } as const,
      "files of column 'document'",
    ],
    ['nothing but the label', { label: 'text' } as const, 'no column but those to be predicted'],
    [
      'a name that tells of another column',
      { 'a.raw': 'tensor', label: 'text' } as const,
      "'a.raw'",
    ],
    ['a name of Condense', { ':target': 'tensor', label: 'text' } as const, "':target'"],
  ])('must be given for %s', (_, columns, what) => {
    expect(() => kinds(columns)).toThrow(UserError)
    expect(() => kinds(columns)).toThrow(what)
  })
})
