// The arithmetic of quantization as ONNX defines it: q = saturate(roundHalfEven(x / scale) + zeroPoint), with scales in
// float32. Activations have one scale a tensor, weights one a channel or a tensor. Jacob et al., "Quantization and
// training of neural networks for integer-arithmetic-only inference" (2018), eq. 1 and 12.
import { sizeOf } from '../../onnx/tensor.ts'

/** The types that ONNX quantizes to. */
export type IntegerType =
  | 'int2'
  | 'uint2'
  | 'int4'
  | 'uint4'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'

/** Between which values something lies. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** How the numbers of one tensor, or of one channel, are stored as integers. */
export interface Quantization {
  readonly dtype: IntegerType
  /** What one step is worth; a positive float32. */
  readonly scale: number
  /** The integer that means 0. */
  readonly zeroPoint: number
}

/** The lowest and highest integer of each type. */
export const limits: Readonly<Record<IntegerType, readonly [lowest: number, highest: number]>> = {
  int2: [-2, 1],
  uint2: [0, 3],
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
}

/** Arrays that hold the integers of each type, one an element: those below 8 bits are not packed. */
const arrays = {
  int2: Int8Array,
  uint2: Uint8Array,
  int4: Int8Array,
  uint4: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
} as const

/** Integers of one of the types, one an element. */
export type Integers<Type extends IntegerType = IntegerType> = InstanceType<(typeof arrays)[Type]>

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
 * `symmetric` puts 0 in the middle of the type, and leaves the lowest integer of signed types unused, so that x and -x
 * are opposite. A range without extent has the scale 1.
 */
export const quantizationOf = (range: Range, dtype: IntegerType, symmetric = false): Quantization =>
  covering(range, dtype, limits[dtype], symmetric, 0)

/**
 * As {@link quantizationOf} says, with some of the type's integers only, and a scale that is not below `least`.
 *
 * Each step is rounded to float32, as ONNX defines DynamicQuantizeLinear.
 */
function covering(
  range: Range,
  dtype: IntegerType,
  [low, highest]: readonly [number, number],
  symmetric: boolean,
  least: number,
): Quantization {
  const { fround } = Math
  const lowest = symmetric && low < 0 ? -highest : low
  const extent = fround(Math.max(-range.min, range.max, 0))
  const min = symmetric ? -extent : fround(Math.min(range.min, 0))
  const max = symmetric ? extent : fround(Math.max(range.max, 0))
  const steps = highest - lowest
  // What is larger than half of all float32 would overflow before it is divided.
  const width = fround(max - min)
  const whole = Number.isFinite(width) ? fround(width / steps) : fround((max - min) / steps)
  const scale = Math.max(whole, fround(least))
  const middle = roundHalfEven((lowest + highest) / 2)
  if (scale < smallestScale) return { dtype, scale: 1, zeroPoint: symmetric ? middle : lowest }
  const zeroPoint = symmetric ? middle : roundHalfEven(fround(lowest - fround(min / scale)))
  // Adding 0 makes 0 of -0, which rounding gives.
  return { dtype, scale, zeroPoint: Math.min(highest, Math.max(lowest, zeroPoint)) + 0 }
}

/** Quantizes numbers with one scale, as QuantizeLinear does; types below 8 bits are not packed. */
export function quantizeValues<Type extends IntegerType>(
  values: Float32Array,
  { dtype, scale, zeroPoint }: Quantization & { readonly dtype: Type },
): Integers<Type> {
  const [lowest, highest] = limits[dtype]
  const quantized = new arrays[dtype](values.length)
  for (let index = 0; index < values.length; index++) {
    const steps = roundHalfEven(Math.fround(values[index]! / scale)) + zeroPoint
    quantized[index] = Math.min(highest, Math.max(lowest, steps))
  }
  return quantized as Integers<Type>
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
 * `bits` of 2..8 give integers up to ±(2^(bits - 1) - 1): ±127 for 8, ±63 for 7, ±1 for 2. A channel of zeros has the
 * least scale that it may have, or 1.
 */
export function quantizeWeights(
  weights: Float32Array,
  dims: readonly number[],
  axis: number | undefined,
  bits: number,
  least: LeastScale = () => 0,
): QuantizedWeights {
  const highest = 2 ** (bits - 1) - 1
  const { channels, channelOf } = channelsAlong(weights, dims, axis)
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

/** How the weights of a layer are stored. */
export interface WeightForm {
  readonly dtype: 'int8' | 'uint8'
  /** Whether 0 lies in the middle of the integers; otherwise each channel has the zero point that suits it best. */
  readonly symmetric: boolean
  /** 8, or 7 to use half of the integers only. */
  readonly bits: 7 | 8
}

/** Weights of a form: w ≈ (values - zero point of its channel) * scale of its channel. */
export interface StoredWeights {
  readonly values: Int8Array | Uint8Array
  /** One a channel, or a single one. */
  readonly scales: Float32Array
  readonly zeroPoints: Int8Array | Uint8Array
}

/** Quantizes weights in a form, per channel along an axis or (axis undefined) with one scale for all. */
export function storeWeights(
  weights: Float32Array,
  dims: readonly number[],
  axis: number | undefined,
  { dtype, symmetric, bits }: WeightForm,
  least: LeastScale = () => 0,
): StoredWeights {
  const Integers = arrays[dtype]
  const middle = dtype === 'uint8' ? 128 : 0
  if (symmetric) {
    const { values, scales } = quantizeWeights(weights, dims, axis, bits, least)
    return {
      values: middle === 0 ? values : new Integers(Array.from(values, (value) => value + middle)),
      scales,
      zeroPoints: new Integers(scales.length).fill(middle),
    }
  }
  const { channels, channelOf } = channelsAlong(weights, dims, axis)
  const ranges = Array.from({ length: channels }, () => ({ min: 0, max: 0 }))
  for (let index = 0; index < weights.length; index++) {
    const range = ranges[channelOf(index)]!
    const weight = weights[index]!
    if (weight < range.min) range.min = weight
    if (weight > range.max) range.max = weight
  }
  const steps = 2 ** (bits - 1)
  const quantizations = ranges.map((range, channel) => {
    const scale = least(channel, Math.max(-range.min, range.max))
    return covering(range, dtype, [middle - steps, middle + steps - 1], false, scale)
  })
  const values = new Integers(weights.length)
  for (let index = 0; index < weights.length; index++) {
    const { scale, zeroPoint } = quantizations[channelOf(index)]!
    const integer = roundHalfEven(Math.fround(weights[index]! / scale)) + zeroPoint
    values[index] = Math.min(middle + steps - 1, Math.max(middle - steps, integer))
  }
  return {
    values,
    scales: Float32Array.from(quantizations, ({ scale }) => scale),
    zeroPoints: new Integers(quantizations.map(({ zeroPoint }) => zeroPoint)),
  }
}

/** How many channels there are along an axis, and in which one an element lies. */
function channelsAlong(
  weights: Float32Array,
  dims: readonly number[],
  axis: number | undefined,
): { readonly channels: number; readonly channelOf: (index: number) => number } {
  const channels = axis === undefined ? 1 : (dims[axis] ?? 1)
  const stride = axis === undefined ? weights.length || 1 : sizeOf(dims.slice(axis + 1))
  return { channels, channelOf: (index) => Math.floor(index / stride) % channels }
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
