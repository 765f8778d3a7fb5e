// Cases of quantization: no level lies near where the range begins to clip.
import { type DataType, tensorOf } from '../../../onnx/tensor.ts'
import { type Drawn, type GradientCase, one, x } from './case.ts'

const bytes = (dims: readonly number[], ...values: readonly number[]) =>
  tensorOf('uint8', dims, Uint8Array.from(values))

const scale = (...dims: readonly number[]): Drawn => ({ dims, low: 0.02, high: 0.021, kinks: [] })
/** With scales from 0.02 to 0.021 and a zero point of 0, levels from 0.1 to 241 and some below 0. */
const level = (...dims: readonly number[]): Drawn => ({
  ...x(...dims),
  low: -1,
  high: 5,
  kinks: [0],
})

const levels = [3, 200, 17, 255, 0, 90, 128, 41, 77, 5, 250, 31]
const signed: DataType = 'int8'

/** Cases by operator. */
export const quantizationCases: Readonly<Record<string, readonly GradientCase[]>> = {
  DequantizeLinear: [
    one([bytes([3, 4], ...levels), scale(), bytes([], 128)]),
    one([bytes([3, 4], ...levels), scale(4)]),
    one([bytes([3, 4], ...levels), scale(3), bytes([3], 1, 2, 3)], { axis: 0 }),
    one([bytes([3, 4], ...levels), scale(3, 2)], { axis: 1, block_size: 2 }),
    one([tensorOf(signed, [2, 3], Int8Array.from([-3, 100, 0, 7, -128, 9])), scale()]),
  ],
  QuantizeLinear: [
    one([level(4, 5), scale()]),
    one([level(4, 5), scale(), bytes([], 0)]),
    one([level(3, 4), scale(4), bytes([4], 0, 0, 0, 0)]),
    one([level(3, 4), scale(3), bytes([3], 0, 0, 0)], { axis: 0 }),
    one([level(2, 4), scale(2, 2)], { axis: 1, block_size: 2 }),
    // Half of them too large.
    one([{ ...level(4, 5), low: 0, high: 10, kinks: [5, 5.2] }, scale()]),
  ].map((each) => ({ ...each, castBack: true })),
}
