// Half precision: whole arrays of float32 to 16 bits and back. The library converts one number at a time through a proxy,
// which takes a hundred times as long.
import { Float16Array } from '@petamoriken/float16'

/** The largest finite float16. */
export const largestFloat16 = 65504

/**
 * Writes numbers as float16, rounded to nearest, ties to even; what is beyond 65504 by half a unit becomes infinite.
 */
export function toHalves(values: Float32Array, into: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let index = 0; index < values.length; index++) {
    const sign = (bits[index]! >>> 16) & 0x8000
    const size = bits[index]! & 0x7fffffff
    if (size > 0x7f800000) into[index] = sign | 0x7e00
    else if (size >= 0x47800000) into[index] = sign | 0x7c00
    else if (size >= 0x38800000)
      into[index] = sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13)
    else {
      // Below 2^-14 halves are multiples of 2^-24, which are the last bits of float32 numbers from 0.5 on.
      rounded[0] = Math.abs(values[index]!) + 0.5
      into[index] = sign | (roundedBits[0]! - 0x3f000000)
    }
  }
}

const rounded = new Float32Array(1)
const roundedBits = new Uint32Array(rounded.buffer)

/** Writes the numbers that halves stand for from `offset` on. */
export function fromHalves(halves: Uint16Array, into: Float32Array, offset = 0): void {
  table ??= Float32Array.from(new Float16Array(Uint16Array.from({ length: 2 ** 16 }, same).buffer))
  for (let index = 0; index < halves.length; index++) into[offset + index] = table[halves[index]!]!
}

const same = (_: unknown, index: number) => index

/** The number of every half. */
let table: Float32Array | undefined
