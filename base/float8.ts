// The 8-bit floats of ONNX (since opset 19). Source: Micikevicius et al. 2022, "FP8 Formats for Deep Learning", and Noune
// et al. 2022, "8-bit Numerical Formats for Deep Neural Networks" for the two without negative zero.

/** What tells one 8-bit float from another. */
export interface Float8Format {
  /** Bits of the fraction. */
  readonly fraction: number
  /** What is added to the exponent. */
  readonly bias: number
  /** The bit pattern of the largest finite number; that of a NaN. */
  readonly largest: number
  readonly nan: number
  /** The bit pattern of infinity, where there is one. */
  readonly infinity?: number
  /** Whether zero has a sign. */
  readonly signedZero: boolean
}

/** The formats by their name among ONNX's element types. */
export const float8Formats = {
  float8e4m3fn: { fraction: 3, bias: 7, largest: 0x7e, nan: 0x7f, signedZero: true },
  float8e4m3fnuz: { fraction: 3, bias: 8, largest: 0x7f, nan: 0x80, signedZero: false },
  float8e5m2: {
    fraction: 2,
    bias: 15,
    largest: 0x7b,
    nan: 0x7f,
    infinity: 0x7c,
    signedZero: true,
  },
  float8e5m2fnuz: { fraction: 2, bias: 16, largest: 0x7f, nan: 0x80, signedZero: false },
} as const satisfies Record<string, Float8Format>

/** The name of an 8-bit float. */
export type Float8Name = keyof typeof float8Formats

/** The largest finite number of a format: 448, 240 or 57344. */
export const largestFloat8 = (name: Float8Name): number => {
  const format: Float8Format = float8Formats[name]
  return magnitude(format.largest, format)
}

/** The number of a bit pattern without its sign. */
function magnitude(pattern: number, { fraction, bias }: Float8Format): number {
  const exponent = pattern >> fraction
  const rest = pattern & ((1 << fraction) - 1)
  // Exponent 0 has subnormal numbers, which lack the leading one.
  return exponent === 0
    ? rest * 2 ** (1 - bias - fraction)
    : (rest + (1 << fraction)) * 2 ** (exponent - bias - fraction)
}

/**
 * Writes numbers as 8-bit floats as ONNX's Cast does with `saturate`: rounded to nearest, ties to even; what is larger
 * than the largest finite number, infinity included, becomes that; NaN stays NaN.
 */
export function toFloat8(values: Float32Array, name: Float8Name, into: Uint8Array): void {
  const format: Float8Format = float8Formats[name]
  const { fraction, bias, largest, nan, signedZero } = format
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (const [index, value] of values.entries()) {
    const sign = bits[index]! >>> 31
    const size = Math.abs(value)
    if (Number.isNaN(value)) {
      into[index] = signedZero ? nan | (sign << 7) : nan
      continue
    }
    const exponent = Math.max(((bits[index]! >>> 23) & 0xff) - 127, 1 - bias)
    // Numbers of one exponent are multiples of one step; a carry leads to the next exponent by itself.
    const steps =
      size === Number.POSITIVE_INFINITY ? 2 ** 9 : toEven(size / 2 ** (exponent - fraction))
    const pattern = Math.min(largest, ((exponent + bias - 1) << fraction) + steps)
    into[index] = pattern === 0 && !signedZero ? 0 : pattern | (sign << 7)
  }
}

/** Rounds a positive number below 2^52 to nearest, ties to even. */
function toEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

/** Writes the numbers that bit patterns stand for. */
export function fromFloat8(patterns: Uint8Array, name: Float8Name, into: Float32Array): void {
  const format: Float8Format = float8Formats[name]
  for (const [index, pattern] of patterns.entries()) into[index] = numberOf(pattern, format)
}

function numberOf(pattern: number, format: Float8Format): number {
  const { infinity, largest, signedZero } = format
  const rest = pattern & 0x7f
  if (!signedZero && pattern === 0x80) return Number.NaN
  const sign = pattern & 0x80 ? -1 : 1
  if (rest === infinity) return sign * Number.POSITIVE_INFINITY
  return rest > largest ? Number.NaN : sign * magnitude(rest, format)
}
