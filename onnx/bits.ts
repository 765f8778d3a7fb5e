// Integers of 2, 4 or 8 bits in bytes, the first in the lowest bits, as ONNX and ONNX Runtime have them.

/** Bits of an integer that shares a byte with others, or has one of its own. */
export type Bits = 2 | 4 | 8

/** Puts integers into bytes; of 8 bits they are these already. */
export function packBits(codes: Uint8Array, bits: Bits): Uint8Array {
  if (bits === 8) return codes
  const each = 8 / bits
  const bytes = new Uint8Array(Math.ceil(codes.length / each))
  for (let at = 0; at < codes.length; at++)
    bytes[Math.floor(at / each)]! |= codes[at]! << (bits * (at % each))
  return bytes
}

/** Takes so many integers out of bytes, without their sign. */
export function unpackBits(bytes: Uint8Array, bits: Bits, count: number): Uint8Array {
  if (bits === 8) return bytes.subarray(0, count)
  const each = 8 / bits
  const codes = new Uint8Array(count)
  for (let at = 0; at < count; at++)
    codes[at] = (bytes[Math.floor(at / each)]! >> (bits * (at % each))) & (2 ** bits - 1)
  return codes
}
