// Neighbouring words or characters as terms of their own.

/**
 * The n-grams of words, joined by a space: all of the first length, then all of the next.
 *
 * @example wordNgrams(['a', 'b', 'c'], [1, 2]) // ['a', 'b', 'c', 'a b', 'b c']
 */
export function wordNgrams(
  words: readonly string[],
  lengths: readonly number[],
): readonly string[] {
  if (lengths.length === 1 && lengths[0] === 1) return words
  return lengths.flatMap((length) =>
    words.slice(length - 1).map((_, at) => words.slice(at, at + length).join(' ')),
  )
}

/**
 * The n-grams of the characters of each word between the marks `<` and `>` (Bojanowski et al. 2017).
 *
 * @example characterNgrams(['was'], [3]) // ['<wa', 'was', 'as>']
 */
export function characterNgrams(words: readonly string[], lengths: readonly number[]): string[] {
  return words.flatMap((word) => {
    const characters = ['<', ...word, '>']
    return lengths.flatMap((length) =>
      characters.slice(length - 1).map((_, at) => characters.slice(at, at + length).join('')),
    )
  })
}
