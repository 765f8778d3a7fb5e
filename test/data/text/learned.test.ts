import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { basicWords } from '../../../data/text/basic.ts'
import { wordCounter } from '../../../data/text/counts.ts'
import { fnv1a } from '../../../data/text/hash.ts'
import {
  byteTokenizer,
  hashedTokenizer,
  specialTokens,
  wordPieceTokenizer,
  wordTokenizer,
} from '../../../data/text/learned.ts'
import { characterNgrams, wordNgrams } from '../../../data/text/ngrams.ts'
import { learnWordPiece } from '../../../data/text/wordpiece.ts'

/** Sentences of made-up words over a small alphabet, so that pairs tie and overlap often. */
function sentences(seed: number, count: number): string[] {
  const chance = random(seed, 'sentences')
  const word = () =>
    Array.from({ length: 1 + chance.integer(7) }, () => 'aabcdé'[chance.integer(6)]).join('')
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + chance.integer(6) }, word).join(' '),
  )
}

function learned(texts: readonly string[], size: number, minimumCount = 2): string[] {
  const counter = wordCounter()
  for (const text of texts) counter.add(basicWords(text, true))
  return learnWordPiece(counter.sorted(1), specialTokens, { size, minimumCount })
}

/** The same merges, found by counting everything anew each time. */
function slowlyLearned(texts: readonly string[], size: number, minimumCount: number): string[] {
  const counter = wordCounter()
  for (const text of texts) counter.add(basicWords(text, true))
  const counts = counter.sorted(1)
  const alphabet = [...new Set(counts.flatMap(({ word }) => [...word]))].sort()
  const pieces: string[] = [...specialTokens, ...alphabet, ...alphabet.map((one) => `##${one}`)]
  const words = counts.map(({ word, count }) => ({
    count,
    parts: [...word].map((one, at) => (at === 0 ? one : `##${one}`)),
  }))
  while (pieces.length < size) {
    const pairs = new Map<string, number>()
    for (const { parts, count } of words)
      for (let at = 1; at < parts.length; at++) {
        const pair = `${parts[at - 1]} ${parts[at]}`
        pairs.set(pair, (pairs.get(pair) ?? 0) + count)
      }
    const [best] = [...pairs].sort(([a, countA], [b, countB]) => {
      if (countA !== countB) return countB - countA
      const [left, right] = [a.split(' '), b.split(' ')]
      return (left[0] === right[0] ? left[1]! < right[1]! : left[0]! < right[0]!) ? -1 : 1
    })
    if (best === undefined || best[1] < minimumCount) break
    const [first, second] = best[0].split(' ') as [string, string]
    const piece = first + second.slice(2)
    if (!pieces.includes(piece)) pieces.push(piece)
    for (const word of words)
      for (let at = 1; at < word.parts.length; at++)
        if (word.parts[at - 1] === first && word.parts[at] === second)
          word.parts.splice(at - 1, 2, piece)
  }
  return pieces
}

describe('basic words', () => {
  it.each([
    ['Hello, World!', ['hello', ',', 'world', '!']],
    ['Ärger über Straßenbahnen', ['arger', 'uber', 'straßenbahnen']],
    ['東京 is北京', ['東', '京', 'is', '北', '京']],
    ['a\tb\nc\u00a0d', ['a', 'b', 'c', 'd']],
    ['zero\u200bwidth \u0000\ufffd', ['zerowidth']],
    ['ΟΔΥΣΣΕΥΣ', ['οδυσσευσ']],
    ["I'd say $5 [CLS]", ['i', "'", 'd', 'say', '$', '5', '[', 'cls', ']']],
    ['lone \ud800 half', ['lone', 'half']],
    ['', []],
  ])('of %j', (text, words) => {
    expect(basicWords(text, true)).toEqual(words)
  })

  it('keep case and accents where they are wanted', () => {
    expect(basicWords('Déjà Vu', false)).toEqual(['Déjà', 'Vu'])
  })
})

describe('counting words', () => {
  it('is bounded and keeps the frequent ones', () => {
    const counter = wordCounter(100)
    for (let text = 0; text < 5000; text++) counter.add([`rare${text}`, 'often', 'often'])
    const counts = counter.sorted(1)
    expect(counts.length).toBeLessThanOrEqual(100)
    expect(counts[0]).toEqual({ word: 'often', count: 10_000, documents: 5000 })
  })
})

describe('learned WordPiece', () => {
  it.each([1, 2, 3, 4])('equals merges that are counted anew each time (seed %i)', (seed) => {
    const texts = sentences(seed, 60)
    expect(learned(texts, 90, 1)).toEqual(slowlyLearned(texts, 90, 1))
  })

  it.each([5, 6, 7])('does not depend on the order of the texts (seed %i)', (seed) => {
    const texts = sentences(seed, 80)
    const order = random(seed, 'order').permutation(texts.length)
    expect(
      learned(
        Array.from(order, (at) => texts[at]!),
        120,
      ),
    ).toEqual(learned(texts, 120))
  })

  it.each([8, 9, 10])('gives pieces that put together are the words again (seed %i)', (seed) => {
    const vocabulary = learned(sentences(seed, 50), 60)
    const tokenizer = wordPieceTokenizer(vocabulary, { lowercase: true, special: true })
    for (const text of sentences(seed + 100, 50)) {
      const back = tokenizer
        .ids(text)
        .map((id) => vocabulary[id])
        .join(' ')
        .replaceAll(' ##', '')
      expect(back).toBe(basicWords(text, true).join(' '))
    }
  })

  it('learns the pieces of the textbook example', () => {
    // The words of Sennrich et al. 2016, section 3.2, without their end-of-word mark: e s, es t, then o w and l o tie.
    const texts = ['low '.repeat(5), 'lower '.repeat(2), 'newest '.repeat(6), 'widest '.repeat(3)]
    const alphabet = 4 + 2 * 10
    expect(learned(texts, alphabet + 4).slice(alphabet)).toEqual(['##es', '##est', '##ow', 'low'])
  })

  it('never exceeds its size and ends when nothing is left to join', () => {
    expect(learned(sentences(1, 50), 20).length).toBe(20 - (20 % 2))
    expect(learned(['ab ab'], 1000)).toEqual([...specialTokens, 'a', 'b', '##a', '##b', 'ab'])
    expect(learned([], 1000)).toEqual([...specialTokens])
  })

  it('calls words with unknown characters, and endless ones, unknown', () => {
    const tokenizer = wordPieceTokenizer(learned(['ab ab ba'], 30), {
      lowercase: true,
      special: false,
    })
    expect(tokenizer.ids('xyz')).toEqual([1])
    expect(tokenizer.ids('a'.repeat(101))).toEqual([1])
    expect(tokenizer.ids('a'.repeat(100))).toHaveLength(100)
  })
})

describe('tokenizers without pieces', () => {
  it('number learned words, unknown ones 1', () => {
    const tokenizer = wordTokenizer([...specialTokens, 'a', 'b', 'a b'], {
      lowercase: true,
      ngrams: [1, 2],
      special: false,
    })
    expect(tokenizer.ids('A b c')).toEqual([4, 5, 1, 6, 1])
  })

  it('hash terms by FNV-1a, whose published figures come out', () => {
    // Test vectors of the authors (isthe.com/chongo/tech/comp/fnv).
    expect(fnv1a('')).toBe(0x811c9dc5)
    expect(fnv1a('a')).toBe(0xe40c292c)
    expect(fnv1a('foobar')).toBe(0xbf9cf968)
    const tokenizer = hashedTokenizer({
      buckets: 100,
      lowercase: true,
      characters: false,
      ngrams: [1],
      special: false,
    })
    expect(tokenizer.ids('foobar')).toEqual([4 + (0xbf9cf968 % 96)])
  })

  it('take bytes as they are, halves of surrogate pairs as U+FFFD', () => {
    const tokenizer = byteTokenizer({ special: false })
    expect(tokenizer.size).toBe(257)
    expect(tokenizer.ids('Aé\u0000')).toEqual([0x42, 0xc4, 0xaa, 1])
    expect(tokenizer.ids('\ud800')).toEqual([0xf0, 0xc0, 0xbe])
  })

  it('make n-grams', () => {
    expect(wordNgrams(['a', 'b', 'c'], [1, 2])).toEqual(['a', 'b', 'c', 'a b', 'b c'])
    expect(wordNgrams(['a'], [2])).toEqual([])
    expect(characterNgrams(['was'], [3])).toEqual(['<wa', 'was', 'as>'])
  })
})
