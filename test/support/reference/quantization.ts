// Reference evaluators of quantization to 8 bits.
import { at, axisOf, type Evaluator, fill, type NdArray, numberOf, required } from './nd.ts'

/** The scale (or zero point) at a position: one for all, one an index of the axis, or one a block along it. */
function along(
  table: NdArray | undefined,
  x: NdArray,
  attributes: Parameters<Evaluator>[1],
): (position: readonly number[]) => number {
  if (!table) return () => 0
  const axis = axisOf(numberOf(attributes, 'axis', 1), x.dims.length)
  const block = numberOf(attributes, 'block_size', 0)
  if (block)
    return (position) => at(table, position.with(axis, Math.floor(position[axis]! / block)))
  if (table.data.length === 1) return () => table.data[0]!
  return (position) => table.data[position[axis]!]!
}

const dequantize: Evaluator = ([input, scales, zeros], attributes) => {
  const x = required(input)
  const [scale, zero] = [along(scales, x, attributes), along(zeros, x, attributes)]
  return fill(x.dims, (position) => (at(x, position) - zero(position)) * scale(position))
}

/** All zero points of the cases are unsigned. */
const quantize =
  (round: (x: number) => number): Evaluator =>
  ([input, scales, zeros], attributes) => {
    const x = required(input)
    const [scale, zero] = [along(scales, x, attributes), along(zeros, x, attributes)]
    return fill(x.dims, (position) => {
      const level = round(at(x, position) / scale(position)) + zero(position)
      return Math.min(Math.max(level, 0), 255)
    })
  }

/** Evaluators by operator. */
export const quantizations: Readonly<Record<string, Evaluator>> = {
  DequantizeLinear: dequantize,
  QuantizeLinear: quantize(Math.round),
}

/** What takes the place of an operator that rounds, where its gradient passes straight through the rounding. */
export const straightThrough: Readonly<Record<string, Evaluator>> = {
  QuantizeLinear: quantize((x) => x),
}
