// Weights as integers with a scale and a zero point for each block of neighbouring inputs of an output: what every
// weight-only algorithm gives, and every form stores.
import {
  type IntegerType,
  limits,
  type Quantization,
  quantizationOf,
  quantizeValues,
  roundHalfEven,
} from '../arithmetic.ts'

/** Bits that weights may have. */
export type WeightBits = 8 | 4 | 2

/** The type of the integers; unsigned, for that is what MatMulNBits stores. */
export const integerTypes = { 8: 'uint8', 4: 'uint4', 2: 'uint2' } as const satisfies Record<
  WeightBits,
  IntegerType
>

/** The weights of a layer, or of a group of a convolution. */
export interface WeightMatrix {
  /** Outputs. */
  readonly rows: number
  /** Inputs. */
  readonly columns: number
  /** `[rows * columns]` */
  readonly values: Float32Array
}

/** How a matrix is cut into blocks: `block` neighbouring columns of a row share a scale, the last ones may be fewer. */
export interface BlockFormat {
  readonly bits: WeightBits
  readonly block: number
}

/** A matrix in integers. */
export interface BlockWeights extends BlockFormat {
  readonly rows: number
  readonly columns: number
  /** Blocks of a row. */
  readonly blocks: number
  /** `[rows * columns]`, one a byte. */
  readonly codes: Uint8Array
  /** `[rows * blocks]` */
  readonly scales: Float32Array
  /** `[rows * blocks]` */
  readonly zeroPoints: Uint8Array
}

/** The quantization of a block. */
export const quantizationAt = (
  { bits, scales, zeroPoints }: Pick<BlockWeights, 'bits' | 'scales' | 'zeroPoints'>,
  at: number,
): Quantization => ({
  dtype: integerTypes[bits],
  scale: scales[at]!,
  zeroPoint: zeroPoints[at]!,
})

/** The blocks of a matrix: what number each has, and where its elements begin and end. */
export function* blocksOf(
  { rows, columns }: Pick<WeightMatrix, 'rows' | 'columns'>,
  block: number,
): Generator<{ readonly at: number; readonly start: number; readonly end: number }> {
  let at = 0
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += block)
      yield {
        at: at++,
        start: row * columns + column,
        end: row * columns + Math.min(columns, column + block),
      }
}

/** Rounds to nearest: every block covers its weights from the least to the largest, 0 among them. */
export function roundToNearest(matrix: WeightMatrix, { bits, block }: BlockFormat): BlockWeights {
  const { rows, columns, values } = matrix
  const blocks = Math.ceil(columns / block)
  const result: BlockWeights = {
    ...{ bits, block, rows, columns, blocks },
    codes: new Uint8Array(values.length),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  }
  for (const { at, start, end } of blocksOf(matrix, block)) {
    const own = values.subarray(start, end)
    let [min, max] = [0, 0]
    for (const value of own) {
      min = Math.min(min, value)
      max = Math.max(max, value)
    }
    setBlock(result, at, start, own, quantizationOf({ min, max }, integerTypes[bits]))
  }
  return result
}

/** Stores a block of weights, rounded to nearest, in place. */
export function setBlock(
  { codes, scales, zeroPoints }: BlockWeights,
  at: number,
  start: number,
  values: Float32Array,
  quantization: Quantization,
): void {
  scales[at] = quantization.scale
  zeroPoints[at] = quantization.zeroPoint
  codes.set(quantizeValues(values, quantization), start)
}

/** The integer of one weight, as QuantizeLinear gives it. */
export function codeOf(value: number, { dtype, scale, zeroPoint }: Quantization): number {
  const [lowest, highest] = limits[dtype]
  const code = roundHalfEven(Math.fround(value / scale)) + zeroPoint
  return Math.min(highest, Math.max(lowest, code))
}

/** What integers stand for, as DequantizeLinear gives it. */
export function dequantized(weights: BlockWeights): Float32Array {
  const values = new Float32Array(weights.codes.length)
  for (const { at, start, end } of blocksOf(weights, weights.block))
    for (let place = start; place < end; place++)
      values[place] = (weights.codes[place]! - weights.zeroPoints[at]!) * weights.scales[at]!
  return values
}
