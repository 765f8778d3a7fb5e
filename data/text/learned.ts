// Tokenizers that need no file: pieces and words learned from the training split, hashed words, bytes.
import { basicWords, wellFormed } from './basic.ts'
import { fnv1a } from './hash.ts'
import { characterNgrams, wordNgrams } from './ngrams.ts'
import { bareSlots, bertSlots, type TextTokenizer } from './tokenizer.ts'
import { maximumWordCharacters, pieceNumbers } from './wordpiece.ts'

/** The special tokens of learned vocabularies, numbered 0, 1, 2, 3. */
export const specialTokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'] as const
const [pad, unknown, cls, sep] = [0, 1, 2, 3]

const sides = { paddingSide: 'right', truncationSide: 'right' } as const
const slots = (special: boolean) => (special ? bertSlots(cls, sep) : bareSlots)

/** A tokenizer of learned pieces, the special tokens first; a word that has an unknown character is [UNK]. */
export function wordPieceTokenizer(
  vocabulary: readonly string[],
  { lowercase, special }: { lowercase: boolean; special: boolean },
): TextTokenizer {
  const numbers = new Map(vocabulary.map((piece, number) => [piece, number]))
  const longest = vocabulary.reduce((most, piece) => Math.max(most, piece.length), 0)
  // Words come again and again; what is remembered of them is bounded.
  const known = new Map<string, readonly number[]>()
  const ofWord = (word: string) => {
    const remembered = known.get(word)
    if (remembered !== undefined) return remembered
    const found = pieceNumbers(word, numbers, longest, unknown)
    if (known.size >= 1 << 15) known.clear()
    if (word.length <= maximumWordCharacters) known.set(word, found)
    return found
  }
  return {
    size: vocabulary.length,
    pad,
    unknown,
    ids: (text) => basicWords(text, lowercase).flatMap(ofWord),
    ...slots(special),
    typed: false,
    ...sides,
  }
}

/** A tokenizer of learned words and n-grams of words, the special tokens first. */
export function wordTokenizer(
  vocabulary: readonly string[],
  options: { lowercase: boolean; ngrams: readonly number[]; special: boolean },
): TextTokenizer {
  const numbers = new Map(vocabulary.map((word, number) => [word, number]))
  return {
    size: vocabulary.length,
    pad,
    unknown,
    ids: (text) =>
      wordNgrams(basicWords(text, options.lowercase), options.ngrams).map(
        (word) => numbers.get(word) ?? unknown,
      ),
    ...slots(options.special),
    typed: false,
    ...sides,
  }
}

/** Ids of hashed words that stand before the buckets: padding, an unused one, [CLS] and [SEP]. */
export const reservedIds = specialTokens.length

/** A tokenizer without a vocabulary: id = 4 + FNV-1a(term) mod (buckets - 4); the first four are the special ones. */
export function hashedTokenizer(options: {
  buckets: number
  lowercase: boolean
  characters: boolean
  ngrams: readonly number[]
  special: boolean
}): TextTokenizer {
  const terms = options.characters ? characterNgrams : wordNgrams
  return {
    size: options.buckets,
    pad,
    ids: (text) =>
      terms(basicWords(text, options.lowercase), options.ngrams).map(
        (term) => reservedIds + (fnv1a(term) % (options.buckets - reservedIds)),
      ),
    ...slots(options.special),
    typed: false,
    ...sides,
  }
}

/** A tokenizer of UTF-8 bytes: id = byte + 1, 0 is padding; 257 and 258 stand around texts where that is wanted. */
export function byteTokenizer({ special }: { special: boolean }): TextTokenizer {
  return {
    size: special ? 259 : 257,
    pad: 0,
    ids: (text) => Array.from(Buffer.from(wellFormed(text), 'utf8'), (byte) => byte + 1),
    ...(special ? bertSlots(257, 258) : bareSlots),
    typed: false,
    ...sides,
  }
}
