// A convolution to few channels, then a pointwise one: Denton et al. 2014; Zhang et al. 2015.
import { dense, transposed } from '../../../base/linear-algebra.ts'
import { sizeOf } from '../../../onnx/tensor.ts'
import { type ConvScheme, convMethod, type GroupTensor } from '../convolution.ts'
import { lowRank, lowRankOutputs } from '../low-rank.ts'

/** The links of a convolution with the whole kernel to `rank` channels, and of a pointwise one to all outputs. */
export const channelLinks: ConvScheme['links'] = ({ outputs, inputs, kernel }, [rank = 0]) => [
  { suffix: 'reduce', outputs: rank, inputs, kernel, axes: kernel.map(() => true) },
  {
    ...{ suffix: 'expand', outputs, inputs: rank },
    kernel: kernel.map(() => 1),
    axes: kernel.map(() => false),
  },
]

/** The weights with a row for each tap of each input channel: `[inputs · kernel, outputs]`. */
export const channelMatrix = ({ outputs, inputs, kernel, values }: GroupTensor) =>
  transposed(dense(outputs, inputs * sizeOf(kernel), values))

/** The least squared error that a chain of this shape can have. */
export const channelSvd = convMethod({
  summary: 'Conv: the kernel to few channels, then a 1×1 convolution',
  fitsOutputs: true,
  refuses: () => undefined,
  links: channelLinks,
  open(tensor, _, outputs) {
    const matrix = channelMatrix(tensor)
    const found = outputs ? lowRankOutputs(matrix, outputs) : lowRank(matrix)
    return {
      full: [found.full],
      energy: found.energy,
      error: ([rank = 0]) => found.error(rank),
      significant: () => [found.significant()],
      build([rank = 0]) {
        const { left, right, shift } = found.factors(rank)
        const weights = [transposed(left).values, transposed(right).values]
        return { weights, error: found.error(rank), shift }
      },
    }
  },
})
