// The arithmetic of 8-bit quantization as ONNX defines it: q = saturate(roundHalfEven(x / scale) + zeroPoint), with
// scales in float32. Activations have one asymmetric scale a tensor, weights symmetric ones. Jacob et al., "Quantization
// and training of neural networks for integer-arithmetic-only inference" (2018), eq. 1 and 12.
import { sizeOf } from '../../onnx/tensor.ts'

/** The 8-bit types of activations. */
export type ActivationType = 'uint8' | 'int8'

/** Between which values something lies. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** How the numbers of one tensor are stored in 8 bits. */
export interface Quantization {
  readonly dtype: ActivationType
  /** What one step is worth; a positive float32. */
  readonly scale: number
  /** The integer that means 0. */
  readonly zeroPoint: number
}

/** The lowest and highest integer of each type. */
export const limits: Readonly<Record<ActivationType, readonly [lowest: number, highest: number]>> =
  { uint8: [0, 255], int8: [-128, 127] }

/** The smallest normal float32: scales below it would be flushed to zero by some processors. */
const smallestScale = 2 ** -126

/** The largest bias in steps; it leaves half of int32 to the sum of products that it is added to. */
const largestBias = 2 ** 30

/** Rounds to the nearest integer, halves to the even one, as QuantizeLinear does. */
export function roundHalfEven(value: number): number {
  const rounded = Math.round(value)
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

/**
 * The quantization that covers a range; 0 is always in it and exactly representable.
 *
 * A range without extent has the scale 1.
 */
export function quantizationOf(range: Range, dtype: ActivationType): Quantization {
  const [lowest, highest] = limits[dtype]
  const min = Math.min(range.min, 0)
  const max = Math.max(range.max, 0)
  const scale = Math.fround((max - min) / (highest - lowest))
  if (scale < smallestScale) return { dtype, scale: 1, zeroPoint: lowest }
  const zeroPoint = roundHalfEven(lowest - min / scale)
  return { dtype, scale, zeroPoint: Math.min(highest, Math.max(lowest, zeroPoint)) }
}

/** Quantizes numbers with one scale, as QuantizeLinear does. */
export function quantizeValues(
  values: Float32Array,
  { dtype, scale, zeroPoint }: Quantization,
): Uint8Array | Int8Array {
  const [lowest, highest] = limits[dtype]
  const quantized = dtype === 'uint8' ? new Uint8Array(values.length) : new Int8Array(values.length)
  for (let index = 0; index < values.length; index++) {
    const steps = roundHalfEven(Math.fround(values[index]! / scale)) + zeroPoint
    quantized[index] = Math.min(highest, Math.max(lowest, steps))
  }
  return quantized
}

/** Symmetrically quantized weights: w ≈ values * scale of its channel. */
export interface QuantizedWeights {
  readonly values: Int8Array
  /** One a channel, or a single one. */
  readonly scales: Float32Array
}

/** The smallest scale that a channel may have, told its index and its largest magnitude. */
export type LeastScale = (channel: number, largest: number) => number

/**
 * Quantizes weights symmetrically, per channel along an axis or (axis undefined) with one scale for all.
 *
 * `bits` is 8 for ±127 or 7 for ±63. A channel of zeros has the least scale that it may have, or 1.
 */
export function quantizeWeights(
  weights: Float32Array,
  dims: readonly number[],
  axis: number | undefined,
  bits: 7 | 8,
  least: LeastScale = () => 0,
): QuantizedWeights {
  const highest = bits === 8 ? 127 : 63
  const channels = axis === undefined ? 1 : (dims[axis] ?? 1)
  const stride = axis === undefined ? weights.length || 1 : sizeOf(dims.slice(axis + 1))
  const channelOf = (index: number) => Math.floor(index / stride) % channels
  const largest = new Float32Array(channels)
  for (let index = 0; index < weights.length; index++) {
    const channel = channelOf(index)
    largest[channel] = Math.max(largest[channel]!, Math.abs(weights[index]!))
  }
  const scales = largest.map((value, channel) => {
    const scale = Math.max(Math.fround(value / highest), least(channel, value))
    return scale < smallestScale ? 1 : scale
  })
  const values = new Int8Array(weights.length)
  for (let index = 0; index < weights.length; index++) {
    const steps = roundHalfEven(Math.fround(weights[index]! / scales[channelOf(index)]!))
    values[index] = Math.min(highest, Math.max(-highest, steps))
  }
  return { values, scales }
}

/**
 * Keeps weight scales so large that the bias, in units of input scale times weight scale, fits int32.
 *
 * A channel of zeros is nothing but its bias, so it gets a scale at which that has 20 bits. `bias` is one number a
 * channel, or the largest magnitude where all channels share a scale.
 */
export const leastScaleFor =
  (bias: ArrayLike<number>, inputScale: number): LeastScale =>
  (channel, largest) =>
    Math.fround(Math.abs(bias[channel]!) / (inputScale * (largest === 0 ? 2 ** 20 : largestBias)))

/** A bias in int32, in units of input scale times weight scale. */
export interface QuantizedBias {
  readonly values: Int32Array
  readonly scales: Float32Array
}

/** Quantizes a bias to the accumulator's units; `weightScales` has one scale a channel or a single one. */
export function quantizeBias(
  bias: Float32Array,
  inputScale: number,
  weightScales: Float32Array,
): QuantizedBias {
  const scales = weightScales.map((scale) => inputScale * scale)
  const values = Int32Array.from(bias, (value, channel) => {
    const steps = roundHalfEven(value / scales[scales.length === 1 ? 0 : channel]!)
    return Math.min(largestBias, Math.max(-largestBias, steps))
  })
  return { values, scales }
}
