// Seeded random numbers: the same seed and labels give the same sequence on every machine.

import { createHash } from 'node:crypto'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** A seeded source of random numbers. */
export interface Random {
  /** A number in [0, 1). */
  uniform(): number
  /** A number from the standard normal distribution (Box and Muller 1958). */
  normal(): number
  /** A whole number in [0, limit). */
  integer(limit: number): number
  /** The numbers 0 … count-1 in random order (Fisher and Yates 1938). */
  permutation(count: number): Uint32Array
}

/**
 * Starts a random sequence that depends on the seed and the labels alone.
 *
 * Labels (a stage's id, an epoch) keep the sequences of different uses independent of each other.
 */
export function random(seed: number, ...labels: readonly (string | number)[]): Random {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...labels]))
    .digest()
  const generator = xoroshiro128plus(digest.readInt32LE(0))
  const uniform = () => {
    // 53 random bits, as Math.random has.
    const high = (generator.next() >>> 0) >>> 5
    const low = (generator.next() >>> 0) >>> 6
    return (high * 67108864 + low) / 9007199254740992
  }
  let spare: number | undefined
  const normal = () => {
    if (spare !== undefined) {
      const value = spare
      spare = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()))
    const angle = 2 * Math.PI * uniform()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
  const integer = (limit: number) => Math.floor(uniform() * limit)
  const permutation = (count: number) => {
    const order = Uint32Array.from({ length: count }, (_, index) => index)
    for (let last = count - 1; last > 0; last--) {
      const other = integer(last + 1)
      const kept = order[last]!
      order[last] = order[other]!
      order[other] = kept
    }
    return order
  }
  return { uniform, normal, integer, permutation }
}
