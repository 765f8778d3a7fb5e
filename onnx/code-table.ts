// Codes for what comes again and again: each new key gets the next number.

/** Codes by key, in order of appearance. */
export interface CodeTable<Key> {
  /** Where the key of each code was first seen. */
  readonly firsts: readonly number[]
  /** The code of a key that is seen at a place; undefined where the table has no room for one more. */
  codeOf(key: Key, place: number): number | undefined
}

/** An empty table with room for fewer than `most + 1` codes. */
export function codeTable<Key>(most: number): CodeTable<Key> {
  const codes = new Map<Key, number>()
  const firsts: number[] = []
  return {
    firsts,
    codeOf(key, place) {
      const known = codes.get(key)
      if (known !== undefined || firsts.length >= most) return known
      codes.set(key, firsts.length)
      return firsts.push(place) - 1
    },
  }
}
