// bfloat16: the upper half of a float32, so that it reaches as far, with 8 bits of precision.

/** The largest finite bfloat16. */
export const largestBfloat16: number = (2 - 2 ** -7) * 2 ** 127

/**
 * Writes numbers as bfloat16, rounded to nearest, ties to even, as ONNX's Cast does; what rounds beyond the largest
 * finite one becomes infinite.
 */
export function toBfloat16(values: Float32Array, into: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (const [index, each] of bits.entries()) {
    const isNumber = (each & 0x7fffffff) <= 0x7f800000
    into[index] = isNumber ? (each + 0x7fff + ((each >>> 16) & 1)) >>> 16 : 0x7fc0
  }
}

/** Writes the numbers that bfloat16 bit patterns stand for. */
export function fromBfloat16(patterns: Uint16Array, into: Float32Array): void {
  const bits = new Uint32Array(into.buffer, into.byteOffset, patterns.length)
  for (const [index, pattern] of patterns.entries()) bits[index] = pattern << 16
}
