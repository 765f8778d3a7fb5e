import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { DamagedError } from '../../../data/damaged.ts'
import type { Encoder } from '../../../data/features/feature.ts'
import { text } from '../../../data/features/text.ts'
import type { ColumnType, Row } from '../../../data/table.ts'
import { textOptions } from '../../../data/text/options.ts'
import { itWithShared, sharedData } from '../../support/shared.ts'

type Columns = Readonly<Record<string, ColumnType>>

const contextOf = (columns: Columns, modelFolder?: string) => ({
  columns: Object.entries(columns).map(([name, type]) => ({ name, type })),
  targets: ['label'],
  modelFolder,
})

async function prepared(
  options: Record<string, unknown>,
  rows: readonly Row[],
  { columns = { text: 'text' } as Columns, modelFolder = undefined as string | undefined } = {},
): Promise<Encoder> {
  const parsed = textOptions.parse({ kind: 'text', ...options })
  const context = contextOf(columns, modelFolder)
  const learner = await text.learn!(parsed, context)
  for (const row of rows) await learner.observe(row)
  // What is learned survives being written as JSON.
  const learned = JSON.parse(JSON.stringify(learner.finish()))
  return text.prepare(parsed, learned, context)
}

async function encoded(encoder: Encoder, row: Row): Promise<number[][]> {
  const memory = encoder.outputs.map(({ dtype, shape }) =>
    dtype === 'float32' ? new Float32Array(shape[0]!) : new Int32Array(shape[0]!),
  )
  await encoder.encode(row, memory)
  return memory.map((values) => [...values])
}

const rows: readonly Row[] = [['a b a'], ['a c'], ['a b']]
const word = { kind: 'word', minimumCount: 1 }

describe('ids of a text', () => {
  it('are padded, masked and numbered by frequency', async () => {
    const encoder = await prepared({ tokenizer: word, length: 5 }, rows)
    expect(encoder.outputs).toEqual([
      { suffix: '', dtype: 'int32', shape: [5], ids: 7 },
      { suffix: 'attention_mask', dtype: 'int32', shape: [5], ids: 2 },
    ])
    // 0 padding, 1 unknown, 2 [CLS], 3 [SEP], then a (4 times), b (twice), c.
    expect(await encoded(encoder, ['C a z'])).toEqual([
      [6, 4, 1, 0, 0],
      [1, 1, 1, 0, 0],
    ])
  })

  it.each([
    ['right', 'right', [4, 5, 6]],
    ['right', 'left', [5, 6, 4]],
    ['left', 'right', [4, 5, 6]],
  ])('are cut and padded at the sides that are asked for: %s, %s', async (pad, cut, expected) => {
    const options = { tokenizer: word, paddingSide: pad, truncationSide: cut }
    const long = await prepared({ ...options, length: 3 }, rows)
    expect((await encoded(long, ['a b c a']))[0]).toEqual(expected)
    const short = await prepared({ ...options, length: 2 }, rows)
    expect((await encoded(short, ['a']))[0]).toEqual(pad === 'left' ? [0, 4] : [4, 0])
  })

  it('stand between special tokens, two texts with types', async () => {
    const columns: Columns = { one: 'text', two: 'text' }
    const encoder = await prepared(
      { tokenizer: word, columns: ['one', 'two'], length: 8 },
      [['a b', 'c']],
      { columns },
    )
    expect(await encoded(encoder, ['a', 'b c'])).toEqual([
      [2, 4, 3, 5, 6, 3, 0, 0],
      [1, 1, 1, 1, 1, 1, 0, 0],
      [0, 0, 0, 1, 1, 1, 0, 0],
    ])
    // Three special tokens leave five: the longer text gives way.
    expect((await encoded(encoder, ['a', 'b b b b b b']))[0]).toEqual([2, 4, 3, 5, 5, 5, 5, 3])
  })

  it.each([
    ['an empty text', '', [2, 3, 0, 0]],
    ['nothing but spaces', ' \t\n', [2, 3, 0, 0]],
    ['nothing but unknown characters', '東 Ж', [2, 1, 1, 3]],
    ['half a surrogate pair', '\ud800', [2, 3, 0, 0]],
    ['a megabyte', 'a '.repeat(500_000), [2, 4, 4, 3]],
    ['a word of a megabyte', 'a'.repeat(1_000_000), [2, 1, 3, 0]],
    ['a number', 7, [2, 1, 3, 0]],
  ])('of %s are well defined', async (_name, cell, ids) => {
    const encoder = await prepared(
      { tokenizer: { kind: 'wordpiece', size: 16, minimumCount: 1 }, length: 4 },
      [['a a']],
    )
    expect((await encoded(encoder, [cell]))[0]).toEqual(ids)
  })

  it('of a missing cell are an error, or those of an empty text', async () => {
    const refusing = await prepared({ tokenizer: word, length: 2 }, rows)
    await expect(encoded(refusing, [null])).rejects.toThrow(DamagedError)
    await expect(encoded(refusing, [null])).rejects.toThrow(/column 'text': a missing text/)
    const empty = await prepared({ tokenizer: word, length: 2, missing: 'empty' }, rows)
    expect(await encoded(empty, [null])).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  it('need no training text where nothing is learned', async () => {
    const bytes = await prepared({ tokenizer: { kind: 'byte' }, length: 4 }, [])
    expect((await encoded(bytes, ['hi']))[0]).toEqual([105, 106, 0, 0])
    const hashed = await prepared({ tokenizer: { kind: 'hashed', buckets: 50 }, length: 2 }, [])
    const [ids] = await encoded(hashed, ['foobar'])
    expect(ids).toEqual([4 + (0xbf9cf968 % 46), 0])
  })

  itWithShared('of banking77 are learned and made in seconds', async () => {
    const lines = readFileSync(join(sharedData, 'banking77/train.csv'), 'utf8').split('\n').slice(1)
    const encoder = await prepared(
      { length: 32 },
      lines.map((line) => [line]),
    )
    expect(encoder.outputs[0]!.ids).toBeGreaterThan(2000)
    expect(encoder.outputs[0]!.ids).toBeLessThanOrEqual(8000)
    const [ids, mask] = await encoded(encoder, ['I am still waiting on my card?'])
    expect(ids![0]).toBe(2)
    expect(ids).not.toContain(1)
    expect(mask!.reduce((sum, one) => sum + one)).toBe(10)
  })
})

describe('words of a list', () => {
  const columns: Columns = { words: 'list', label: 'list' }

  it('are aligned with the first piece of each', async () => {
    const tokenizer = { kind: 'wordpiece', size: 40, minimumCount: 1 }
    const encoder = await prepared(
      { column: 'words', tokenizer, length: 10 },
      [[['ab', 'abc'], []]],
      {
        columns,
      },
    )
    const row: Row = [['ab', 'cab', '', 'c-a', 'ab', 'ab'], []]
    const aligned = [...encoder.align!(row)]
    const [ids] = await encoded(encoder, row)
    // [CLS] ab c ##a ##b (nothing) c - a ab [SEP]; the last word is cut off.
    expect(ids).toHaveLength(10)
    expect(aligned).toEqual([-1, 0, 1, -1, -1, 3, -1, -1, 4, -1])
  })

  it('are aligned when the beginning is cut and padding comes first', async () => {
    const options = { column: 'words', tokenizer: word, length: 3 }
    const cut = await prepared({ ...options, truncationSide: 'left' }, [], { columns })
    expect([...cut.align!([['a', 'b', 'c', 'd'], []])]).toEqual([1, 2, 3])
    const padded = await prepared({ ...options, paddingSide: 'left' }, [], { columns })
    expect([...padded.align!([['a'], []])]).toEqual([-1, -1, 0])
  })
})

describe('a bag of words', () => {
  it.each([
    ['count', [0, 0, 0, 0, 2, 1, 0]],
    ['binary', [0, 0, 0, 0, 1, 1, 0]],
  ])('holds %s', async (weights, expected) => {
    const encoder = await prepared({ tokenizer: word, output: 'bag', weights }, rows)
    expect(encoder.outputs).toEqual([{ suffix: '', dtype: 'float32', shape: [7] }])
    expect(await encoded(encoder, ['a b a z'])).toEqual([expected])
  })

  it('holds tf-idf as scikit-learn does', async () => {
    const encoder = await prepared({ tokenizer: word, output: 'bag', weights: 'tfidf' }, rows)
    // By hand: idf = ln(4 / (1 + df)) + 1 with df 3, 2, 1; then length 1.
    const raw = [2 * 1, Math.log(4 / 3) + 1, 0]
    const norm = Math.hypot(...raw)
    const [bag] = await encoded(encoder, ['a b a z'])
    for (const [at, value] of raw.entries()) expect(bag![4 + at]).toBeCloseTo(value / norm, 6)
    expect((await encoded(encoder, ['']))[0]).toEqual([0, 0, 0, 0, 0, 0, 0])
  })

  it('of hashed words learns its weights too', async () => {
    const tokenizer = { kind: 'hashed', buckets: 64 }
    const encoder = await prepared({ tokenizer, output: 'bag', weights: 'tfidf' }, rows)
    const [bag] = await encoded(encoder, ['a c'])
    expect(Math.hypot(...bag!)).toBeCloseTo(1, 6)
    expect(bag!.filter((value) => value > 0)).toHaveLength(2)
  })

  it('of pieces that are still to be learned has no tf-idf', async () => {
    const options = { tokenizer: { kind: 'wordpiece' }, output: 'bag', weights: 'tfidf' }
    await expect(prepared(options, rows)).rejects.toThrow(/weights: .* 'tfidf' — use/)
  })
})

describe('a tokenizer from a file', () => {
  const fixtures = JSON.parse(
    readFileSync(join(import.meta.dirname, '../text/tokenizers.json'), 'utf8'),
  )
  const folder = mkdtempSync(join(tmpdir(), 'text-'))
  mkdirSync(join(folder, 'model'))
  const file = join(folder, 'model', 'tokenizer.json')
  writeFileSync(file, JSON.stringify(fixtures[0].tokenizer))

  it.each([
    ['by its path', { file }, undefined],
    ['beside the model', 'model', join(folder, 'model')],
  ])('is found %s', async (_name, tokenizer, modelFolder) => {
    const encoder = await prepared({ tokenizer, length: 12 }, [], { modelFolder })
    expect(encoder.outputs.map(({ suffix }) => suffix)).toEqual([
      '',
      'attention_mask',
      'token_type_ids',
    ])
    expect(encoder.outputs[0]!.ids).toBe(230)
    const [ids] = await encoded(encoder, ['The quick transfer'])
    const expected = fixtures[0].cases[0].ids
    expect(ids).toEqual([...expected, ...new Array(12 - expected.length).fill(0)])
  })

  it('may be left without special tokens, and fill a bag', async () => {
    const bare = await prepared({ tokenizer: { file }, specialTokens: false, length: 1 }, [])
    expect((await encoded(bare, ['']))[0]).toEqual([0])
    const bag = await prepared({ tokenizer: { file }, output: 'bag' }, [])
    const [counts] = await encoded(bag, ['The quick transfer'])
    expect(counts!.reduce((sum, one) => sum + one)).toBe(fixtures[0].cases[0].ids.length - 2)
  })

  it('is named as what the records depend on', () => {
    const options = textOptions.parse({ kind: 'text', tokenizer: { file } })
    expect(text.files!(options, contextOf({ text: 'text' }))).toEqual([
      file,
      join(folder, 'model', 'tokenizer_config.json'),
    ])
  })

  it('must be the one that the data were prepared with', async () => {
    const options = textOptions.parse({ kind: 'text', tokenizer: { file } })
    const learned = { tokenizer: '00' }
    await expect(text.prepare(options, learned, contextOf({ text: 'text' }))).rejects.toThrow(
      /not the file that the data were prepared with/,
    )
  })

  it('needs a folder where it is the model’s', async () => {
    await expect(prepared({ tokenizer: 'model' }, [])).rejects.toThrow(/lies in no folder/)
  })
})

describe('options of text', () => {
  const columns: Columns = {
    id: 'number',
    text: 'text',
    label: 'text',
    words: 'list',
    pixels: 'tensor',
  }

  it('find the only column that is text and no target', () => {
    const options = textOptions.parse({ kind: 'text' })
    expect(text.columns(options, contextOf(columns))).toEqual(['text'])
  })

  it.each([
    [{ column: 'txet' }, /no column 'txet' — did you mean 'text'/],
    [{ column: 'pixels' }, /column 'pixels' holds tensor cells/],
    [{ columns: ['text', 'words'] }, /column 'words' holds list cells, not text or number/],
    [{ column: 'text', columns: ['text', 'label'] }, /both column and columns/],
  ])('that do not fit the table are refused: %j', (options, message) => {
    const parsed = textOptions.parse({ kind: 'text', ...options })
    expect(() => text.columns(parsed, contextOf(columns))).toThrow(message)
  })

  it('say which columns could be meant', () => {
    const options = textOptions.parse({ kind: 'text' })
    expect(() => text.columns(options, contextOf({ one: 'text', two: 'text' }))).toThrow(
      /which column is meant: one, two/,
    )
  })

  it('leave room beside special tokens', async () => {
    await expect(prepared({ length: 2 }, rows)).rejects.toThrow(/no room beside 2 special tokens/)
  })

  it.each([{ lenght: 3 }, { tokenizer: { kind: 'wordpiece', sise: 3 } }, { tokenizer: 'other' }])(
    'with unknown keys are refused: %j',
    (options) => {
      expect(textOptions.safeParse({ kind: 'text', ...options }).success).toBe(false)
    },
  )
})
