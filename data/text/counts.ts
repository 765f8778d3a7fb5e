// How often words occur, in memory that does not grow with the text.

/** A word, how often it occurs, and in how many texts. */
export interface WordCount {
  readonly word: string
  readonly count: number
  readonly documents: number
}

/** Counts words. */
export interface WordCounter {
  /** Counts the words of one text. */
  add(words: readonly string[]): void
  /** How many texts were counted. */
  readonly documents: number
  /** Most frequent first; ties in the order of their UTF-16 codes, whatever the order of the texts. */
  sorted(minimumCount: number): WordCount[]
}

/**
 * Starts counting; at most `capacity` different words are held.
 *
 * Beyond it the rarest are forgotten (lossy counting, Manku and Motwani 2002), so that only then counts depend on the
 * order of the texts, and only those of rare words.
 */
export function wordCounter(capacity = 1 << 20): WordCounter {
  const entries = new Map<string, { count: number; documents: number; last: number }>()
  let documents = 0
  const forget = () => {
    for (let least = 1; entries.size > capacity / 2; least *= 2)
      for (const [word, { count }] of entries) if (count <= least) entries.delete(word)
  }
  return {
    get documents() {
      return documents
    },
    add(words) {
      documents++
      for (const word of words) {
        const entry = entries.get(word)
        if (entry === undefined) {
          entries.set(word, { count: 1, documents: 1, last: documents })
          if (entries.size > capacity) forget()
          continue
        }
        entry.count++
        if (entry.last === documents) continue
        entry.last = documents
        entry.documents++
      }
    },
    sorted: (minimumCount) =>
      [...entries]
        .filter(([, { count }]) => count >= minimumCount)
        .map(([word, { count, documents }]) => ({ word, count, documents }))
        .sort((a, b) => b.count - a.count || (a.word < b.word ? -1 : 1)),
  }
}
