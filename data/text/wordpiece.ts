// WordPiece: words in pieces that are learned from a text, the later ones marked `##`.
import type { WordCount } from './counts.ts'

/** What begins a piece that does not begin a word. */
const mark = '##'

/** Longer words are unknown as a whole, as in BERT; nobody reads them anyway. */
export const maximumWordCharacters = 100

const maximumAlphabet = 1000
const maximumWords = 200_000
// Two numbers of pieces in one double.
const keyBase = 2 ** 21

/** How far pieces are learned. */
export interface WordPieceSize {
  /** Pieces in all, those in `special` included; fewer where the text has no more. */
  readonly size: number
  /** Characters and pairs that occur less often are not learned. */
  readonly minimumCount: number
}

/**
 * Learns pieces: begins with characters and joins the most frequent pair of neighbours again and again.
 *
 * That is the merge by frequency (Sennrich et al. 2016), as Hugging Face's WordPiece trainer does it, and not the merge
 * by likelihood of Schuster and Nakajima (2012), which joins rare characters first. Every character is learned as the
 * beginning of a word and as a later one, so that words of known characters are never unknown; of more than 1,000
 * characters (or half the size) the rarest are left out. Learned from the 200,000 most frequent words.
 * Ties are settled by the pieces' UTF-16 codes: the same counts give the same pieces.
 *
 * @param counts most frequent first
 * @returns `special`, then the characters, then joined pieces in the order in which they were found
 */
export function learnWordPiece(
  counts: readonly WordCount[],
  special: readonly string[],
  { size, minimumCount }: WordPieceSize,
): string[] {
  const usable = counts.filter(({ word }) => [...word].length <= maximumWordCharacters)
  const alphabet = frequentCharacters(usable, minimumCount, Math.floor((size - special.length) / 2))
  const pieces = [...special, ...alphabet, ...alphabet.map((character) => mark + character)]
  const numbers = new Map(pieces.map((piece, number) => [piece, number]))
  const words: number[][] = []
  const weights: number[] = []
  for (const { word, count } of usable.slice(0, maximumWords)) {
    const found = [...word].map((character, at) =>
      numbers.get(at === 0 ? character : mark + character),
    )
    if (found.includes(undefined)) continue
    words.push(found as number[])
    weights.push(count)
  }

  const pairs = pairCounts(words, weights)
  const before = (a: Candidate, b: Candidate) => {
    if (a.count !== b.count) return a.count > b.count
    const [left, otherLeft] = [pieces[leftOf(a.key)]!, pieces[leftOf(b.key)]!]
    if (left !== otherLeft) return left < otherLeft
    return pieces[rightOf(a.key)]! < pieces[rightOf(b.key)]!
  }
  const heap: Candidate[] = []
  for (const [key, count] of pairs.counts) push(heap, { key, count }, before)

  while (pieces.length < size) {
    const best = pop(heap, before)
    if (best === undefined || best.count < minimumCount) break
    // Counts change while candidates wait; a newer candidate waits with the newer count.
    if (pairs.counts.get(best.key) !== best.count) continue
    const [left, right] = [leftOf(best.key), rightOf(best.key)]
    const piece = pieces[left]! + pieces[right]!.slice(mark.length)
    // The same piece may be found along two ways.
    const number = numbers.get(piece) ?? pieces.push(piece) - 1
    numbers.set(piece, number)
    for (const key of pairs.join(left, right, number)) {
      const count = pairs.counts.get(key) ?? 0
      if (count >= minimumCount) push(heap, { key, count }, before)
    }
  }
  return pieces
}

/** The numbers of the pieces of a word, the longest first piece first; `unknown` alone where there are none. */
export function pieceNumbers(
  word: string,
  numbers: ReadonlyMap<string, number>,
  longest: number,
  unknown: number,
): number[] {
  const characters = [...word]
  if (characters.length > maximumWordCharacters) return [unknown]
  const found: number[] = []
  for (let start = 0; start < characters.length; ) {
    let end = Math.min(characters.length, start + longest)
    let number: number | undefined
    for (; end > start; end--) {
      const piece = characters.slice(start, end).join('')
      number = numbers.get(start === 0 ? piece : mark + piece)
      if (number !== undefined) break
    }
    if (number === undefined) return [unknown]
    found.push(number)
    start = end
  }
  return found
}

function frequentCharacters(
  counts: readonly WordCount[],
  minimumCount: number,
  limit: number,
): string[] {
  const characters = new Map<string, number>()
  for (const { word, count } of counts)
    for (const character of word)
      characters.set(character, (characters.get(character) ?? 0) + count)
  return [...characters]
    .filter(([, count]) => count >= minimumCount)
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, Math.min(maximumAlphabet, limit))
    .map(([character]) => character)
    .sort()
}

const leftOf = (key: number) => Math.floor(key / keyBase)
const rightOf = (key: number) => key % keyBase

/** Counts neighbouring pieces; `join` keeps the counts right and says which ones changed. */
function pairCounts(words: number[][], weights: readonly number[]) {
  const counts = new Map<number, number>()
  // The words in which a pair stands or once stood.
  const places = new Map<number, number[]>()
  const change = (key: number, by: number) => {
    const count = (counts.get(key) ?? 0) + by
    if (count === 0) counts.delete(key)
    else counts.set(key, count)
  }
  const note = (key: number, place: number) => {
    const known = places.get(key)
    if (known === undefined) places.set(key, [place])
    else if (known.at(-1) !== place) known.push(place)
  }
  const eachPair = (word: readonly number[], visit: (key: number) => void) => {
    for (let at = 1; at < word.length; at++) visit(word[at - 1]! * keyBase + word[at]!)
  }
  for (const [place, word] of words.entries())
    eachPair(word, (key) => {
      change(key, weights[place]!)
      note(key, place)
    })
  const join = (left: number, right: number, joined: number): number[] => {
    const changes = new Map<number, number>()
    const key = left * keyBase + right
    const where = places.get(key) ?? []
    places.delete(key)
    for (const place of where) {
      const word = words[place]!
      const after: number[] = []
      for (let at = 0; at < word.length; at++)
        if (word[at] === left && word[at + 1] === right) {
          after.push(joined)
          at++
        } else after.push(word[at]!)
      if (after.length === word.length) continue
      const weight = weights[place]!
      eachPair(word, (pair) => changes.set(pair, (changes.get(pair) ?? 0) - weight))
      eachPair(after, (pair) => {
        changes.set(pair, (changes.get(pair) ?? 0) + weight)
        if (leftOf(pair) === joined || rightOf(pair) === joined) note(pair, place)
      })
      words[place] = after
    }
    const changed = [...changes].filter(([, by]) => by !== 0)
    for (const [pair, by] of changed) change(pair, by)
    return changed.map(([pair]) => pair)
  }
  return { counts, join }
}

/** A pair of neighbours that may be joined next. */
interface Candidate {
  readonly key: number
  readonly count: number
}

type Before = (a: Candidate, b: Candidate) => boolean

function push(heap: Candidate[], candidate: Candidate, before: Before): void {
  let at = heap.push(candidate) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(candidate, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = candidate
}

function pop(heap: Candidate[], before: Before): Candidate | undefined {
  const first = heap[0]
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return first
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
    if (!before(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return first
}
