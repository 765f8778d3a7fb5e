// "Did you mean": names near a misspelt one.
import { closest, distance } from 'fastest-levenshtein'

/**
 * Says which names are known, naming the nearest first when it is near enough.
 *
 * @example suggest('quantise', ['prune', 'quantize']) // "did you mean 'quantize'? known: prune, quantize"
 */
export function suggest(name: string, known: readonly string[]): string {
  const list = `known: ${known.join(', ')}`
  if (known.length === 0) return 'none is known'
  const nearest = closest(name, known)
  const near = distance(name, nearest) <= Math.max(2, Math.floor(name.length / 3))
  return near ? `did you mean '${nearest}'? ${list}` : list
}
