// How weights are rounded to integers, one row an algorithm. Where inputs count, they do so by their second moments: the
// squared error of a layer's outputs is δᵀ H δ for a change δ of the weights of one output, H being the sum of x xᵀ.
import { awq } from './awq.ts'
import { type BlockFormat, type BlockWeights, roundToNearest, type WeightMatrix } from './blocks.ts'
import { gptq, type InputOrder } from './gptq.ts'
import { hqq } from './hqq.ts'

/** A layer that is to be quantized. */
export interface WeightLayer {
  /** One, or one for each group of a convolution. */
  readonly matrices: readonly WeightMatrix[]
  /** H of each matrix, `[columns * columns]`; undefined where the algorithm asks for none, or could not use it. */
  readonly moments: readonly Float64Array[] | undefined
  /** Channels of the input. */
  readonly channels: number
  /** The channel that a column takes part of. */
  channelOf(group: number, column: number): number
}

/** A layer in integers. */
export interface QuantizedLayer {
  readonly weights: readonly BlockWeights[]
  /** What the weights were multiplied with, and inputs have to be divided by, one a channel. */
  readonly inputScales?: Float32Array | undefined
}

interface Algorithm {
  readonly summary: string
  readonly needsInputs: boolean
  /** `order` is that of {@link gptq}. */
  quantize(layer: WeightLayer, format: BlockFormat, order?: InputOrder): QuantizedLayer
}

/** All algorithms by name. */
export const algorithms = {
  rtn: {
    summary: 'rounds to nearest',
    needsInputs: false,
    quantize: ({ matrices }, format) => ({
      weights: matrices.map((matrix) => roundToNearest(matrix, format)),
    }),
  },
  gptq: {
    summary: 'each input makes up for the errors of those before',
    needsInputs: true,
    quantize: ({ matrices, moments }, format, order) => ({
      weights: matrices.map((matrix, group) => gptq(matrix, moments?.[group], format, order)),
    }),
  },
  awq: {
    summary: 'scales inputs such that those which matter are rounded finely',
    needsInputs: true,
    quantize: awq,
  },
  hqq: {
    summary: 'chooses ranges for many small errors and few large ones, without data',
    needsInputs: false,
    quantize: ({ matrices }, format) => ({
      weights: matrices.map((matrix) => hqq(matrix, format)),
    }),
  },
} as const satisfies Record<string, Algorithm>

/** The name of an algorithm. */
export type AlgorithmName = keyof typeof algorithms

/** The row of an algorithm. */
export const algorithmNamed = (name: AlgorithmName): Algorithm => algorithms[name]
