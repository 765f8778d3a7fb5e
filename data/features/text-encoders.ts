// Texts as ids in a fixed length, or as a bag of ids.
import { UserError } from '../../base/errors.ts'
import type { Row } from '../table.ts'
import type { TextOptions } from '../text/options.ts'
import { type Layout, layOut, type Side, type TextTokenizer } from '../text/tokenizer.ts'
import type { Encoder, FeatureContext, FeatureOutput } from './feature.ts'
import { textReader } from './text-cells.ts'

// More characters than this are never looked at for one sample, unless its length asks for them.
const minimumCharacters = 1 << 16
const charactersPerToken = 32

/** The part of a text that is looked at; half a surrogate pair at its end is like any other. */
function clip(whole: string, limit: number, from: Side): string {
  if (whole.length <= limit) return whole
  return from === 'right' ? whole.slice(0, limit) : whole.slice(whole.length - limit)
}

/** The ids of each text of a row, by word where the column is a list of words. */
export function idsOf(
  tokenizer: TextTokenizer,
  texts: readonly (readonly string[])[],
  { length, truncationSide }: TextOptions,
): (readonly number[])[][] {
  const limit = Math.max(minimumCharacters, charactersPerToken * length)
  const cut = truncationSide ?? tokenizer.truncationSide
  return texts.map((words) => words.map((word) => tokenizer.ids(clip(word, limit, cut))))
}

/** Ids in a fixed length, with their mask and types. */
export function idsEncoder(
  options: TextOptions,
  tokenizer: TextTokenizer,
  context: FeatureContext,
): Encoder {
  const read = textReader(options, context)
  const isPair = options.columns !== undefined
  const slots = isPair ? tokenizer.pair : tokenizer.single
  const layout: Layout = {
    length: options.length,
    paddingSide: options.paddingSide ?? tokenizer.paddingSide,
    truncationSide: options.truncationSide ?? tokenizer.truncationSide,
  }
  const specials = slots.filter((slot) => 'special' in slot).length
  if (specials >= options.length)
    throw new UserError(
      `data.features: text: length: no room beside ${specials} special tokens: ${options.length} — allow more tokens`,
    )
  const shape = [options.length]
  const outputs: FeatureOutput[] = [
    { suffix: '', dtype: 'int32', shape, ids: tokenizer.size },
    { suffix: 'attention_mask', dtype: 'int32', shape, ids: 2 },
  ]
  if (isPair || tokenizer.typed)
    outputs.push({ suffix: 'token_type_ids', dtype: 'int32', shape, ids: 2 })
  const lay = (row: Row) => {
    const words = idsOf(tokenizer, read(row), options)
    return {
      words,
      laid: layOut(
        slots,
        words.map((each) => each.flat()),
        layout,
      ),
    }
  }
  return {
    outputs,
    encode(row, [ids, mask, types]) {
      const { laid } = lay(row)
      ids!.fill(tokenizer.pad)
      ids!.set(laid.ids, laid.start)
      mask!.fill(1, laid.start, laid.start + laid.ids.length)
      types?.set(laid.types, laid.start)
    },
    align(row) {
      const { words, laid } = lay(row)
      const firsts = new Map<number, number>()
      let at = 0
      for (const [number, pieces] of words[0]!.entries()) {
        if (pieces.length > 0) firsts.set(at, number)
        at += pieces.length
      }
      const aligned = new Int32Array(options.length).fill(-1)
      for (const [place, source] of laid.sources.entries())
        aligned[laid.start + place] = firsts.get(source) ?? -1
      return aligned
    },
  }
}

/** One number for each id of the vocabulary. */
export function bagEncoder(
  options: TextOptions,
  tokenizer: TextTokenizer,
  idf: readonly number[] | undefined,
  context: FeatureContext,
): Encoder {
  const read = textReader(options, context)
  if (options.weights === 'tfidf' && idf?.length !== tokenizer.size)
    throw new Error('internal: no weights were learned for this vocabulary')
  return {
    outputs: [{ suffix: '', dtype: 'float32', shape: [tokenizer.size] }],
    encode(row, [bag]) {
      for (const id of idsOf(tokenizer, read(row), options).flat(2))
        if (id !== tokenizer.unknown) bag![id]!++
      if (options.weights === 'binary')
        for (const [id, count] of bag!.entries()) bag![id] = Math.min(1, count)
      if (options.weights !== 'tfidf') return
      let squares = 0
      for (const [id, count] of bag!.entries()) {
        const value = count * idf![id]!
        bag![id] = value
        squares += value * value
      }
      if (squares > 0) for (const id of bag!.keys()) bag![id]! /= Math.sqrt(squares)
    },
  }
}
