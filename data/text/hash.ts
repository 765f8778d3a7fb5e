// A hash that gives words their numbers where nothing is learned.

/**
 * FNV-1a of the UTF-8 bytes of a text, an unsigned 32-bit number (Fowler, Noll and Vo).
 *
 * Whoever deploys a model with hashed words computes the same.
 */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
