// Figures: tokenizers.json was made with Hugging Face's own library in Rust (Python package tokenizers 0.23.2): ten
// tokenizers were trained on eleven sentences, and encoded awkward texts, pairs and lists of words.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { fileTokenizer, readTokenizer } from '../../../data/text/file.ts'
import { layOut, type Side } from '../../../data/text/tokenizer.ts'

interface Fixture {
  readonly name: string
  readonly tokenizer: Record<string, unknown>
  readonly config: Record<string, unknown>
  readonly cases: readonly {
    readonly texts?: readonly string[]
    readonly words?: readonly string[]
    readonly length: number | null
    readonly side?: Side
    readonly ids: readonly number[]
    readonly types?: readonly number[]
    readonly mask?: readonly number[]
  }[]
}

const fixtures: readonly Fixture[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'tokenizers.json'), 'utf8'),
)
const bert = fixtures[0]!

describe('a tokenizer.json', () => {
  it.each(fixtures)(
    'gives the ids, types and padding of the original library: $name',
    (fixture) => {
      const tokenizer = fileTokenizer(fixture.tokenizer, fixture.config, 'tokenizer.json')
      expect(fixture.cases.length).toBeGreaterThan(30)
      for (const { texts, words, length, side = 'right', ids, types, mask } of fixture.cases) {
        const lists = words
          ? [words.flatMap((word) => tokenizer.ids(word))]
          : texts!.map((text) => tokenizer.ids(text))
        const laid = layOut(lists.length === 2 ? tokenizer.pair : tokenizer.single, lists, {
          length: length ?? 10_000,
          paddingSide: side,
          truncationSide: side,
        })
        const whole = new Array<number>(ids.length).fill(tokenizer.pad)
        whole.splice(laid.start * (length === null ? 0 : 1), laid.ids.length, ...laid.ids)
        expect({ texts, words, side, ids: whole }).toEqual({ texts, words, side, ids })
        if (mask !== undefined) expect(laid.ids.length).toBe(mask.filter(Boolean).length)
        if (types !== undefined)
          expect(laid.types).toEqual(types.filter((_, at) => mask === undefined || mask[at] === 1))
      }
    },
  )

  it('knows the size of its vocabulary, added tokens among it', () => {
    const added = [{ id: 400, content: '[NEW]', special: true }]
    const grown = { ...bert.tokenizer, added_tokens: added }
    const tokenizer = fileTokenizer(grown, bert.config, 'tokenizer.json')
    expect(tokenizer.size).toBe(401)
    expect(tokenizer.ids('[NEW]')).toEqual([400])
  })

  it('takes sides and token types from tokenizer_config.json', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tokenizer-'))
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(bert.tokenizer))
    const plain = await readTokenizer(join(folder, 'tokenizer.json'))
    expect(plain.tokenizer).toMatchObject({ paddingSide: 'right', typed: true, pad: 0 })
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({
        padding_side: 'left',
        truncation_side: 'left',
        pad_token: '[SEP]',
        model_input_names: ['input_ids'],
      }),
    )
    const told = await readTokenizer(join(folder, 'tokenizer.json'))
    expect(told.tokenizer).toMatchObject({
      paddingSide: 'left',
      truncationSide: 'left',
      typed: false,
      pad: 3,
    })
    expect(told.sha256).not.toBe(plain.sha256)
  })

  const broken = (change: Record<string, unknown>) => ({ ...bert.tokenizer, ...change })
  const model = (change: Record<string, unknown>) =>
    broken({ model: { ...(bert.tokenizer.model as object), ...change } })
  const nested = JSON.parse(
    `${'{"type":"Sequence","normalizers":['.repeat(5000)}{"type":"NFC"}${']}'.repeat(5000)}`,
  )
  it.each([
    ['a list', [], /for tokenizer: \[\]/],
    ['nothing', null, /for tokenizer: null/],
    ['no model', broken({ model: undefined }), /for model: missing/],
    ['an unknown model', model({ type: 'Magic' }), /a model that Condense cannot run: Magic/],
    ['an unknown normalizer', broken({ normalizer: { type: 'Nmt' } }), /a normalizer .*: Nmt/],
    [
      'an unknown pre-tokenizer',
      broken({ pre_tokenizer: { type: 'UnicodeScripts' } }),
      /a pre_tokenizer .*: UnicodeScripts/,
    ],
    [
      'a split that the library gets wrong',
      broken({
        pre_tokenizer: { type: 'Split', pattern: { String: 'a' }, behavior: 'MergedWithNext' },
      }),
      /Split MergedWithNext/,
    ],
    [
      'a pattern that is none',
      broken({ pre_tokenizer: { type: 'Split', pattern: { Regex: '(((' }, behavior: 'Isolated' } }),
      /cannot be built/,
    ],
    [
      'an endless pattern',
      broken({ normalizer: { type: 'Replace', pattern: { Regex: 'a'.repeat(20_000) } } }),
      /pattern of Replace/,
    ],
    ['a huge id', model({ vocab: { a: 4_000_000_000 } }), /an id in model.vocab: 4000000000/],
    ['an id that is no number', model({ vocab: { a: '1' } }), /an id in model.vocab: "1"/],
    [
      'a negative added id',
      broken({ added_tokens: [{ id: -1, content: 'a' }] }),
      /added_tokens: -1/,
    ],
    [
      'an empty added token',
      broken({ added_tokens: [{ id: 1, content: '' }] }),
      /for added_tokens/,
    ],
    ['parts nested without end', broken({ normalizer: nested }), /nested too deeply/],
    [
      'merges of three',
      broken({ model: { type: 'BPE', vocab: {}, merges: ['a b c'] } }),
      /model.merges/,
    ],
  ])('is refused in one line with %s', (_name, content, message) => {
    const make = () => fileTokenizer(content, {}, 'tokenizer.json')
    expect(make).toThrow(message)
    expect(make).toThrow(/^tokenizer\.json: [^\n]* — [^\n]*$/)
  })

  it.each([
    ['not JSON', '{'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
  ])('is refused when it is %s', async (_name, content) => {
    const path = join(mkdtempSync(join(tmpdir(), 'tokenizer-')), 'tokenizer.json')
    writeFileSync(path, content)
    await expect(readTokenizer(path)).rejects.toThrow(/not JSON in UTF-8/)
  })

  it('is refused when it is not there', async () => {
    await expect(readTokenizer(join(tmpdir(), 'none', 'tokenizer.json'))).rejects.toThrow(
      /tokenizer\.json/,
    )
  })

  it('keeps tokens named like properties of objects apart', () => {
    const vocab = JSON.parse('{"[UNK]":0,"__proto__":1,"constructor":2,"tostring":3}')
    const tokenizer = fileTokenizer(
      {
        model: { type: 'WordLevel', vocab, unk_token: '[UNK]' },
        pre_tokenizer: { type: 'WhitespaceSplit' },
      },
      {},
      'tokenizer.json',
    )
    expect(tokenizer.ids('constructor __proto__ hasOwnProperty tostring')).toEqual([2, 1, 0, 3])
  })
})
