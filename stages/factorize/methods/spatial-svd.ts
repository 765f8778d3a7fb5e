// A convolution down and one across: Jaderberg, Vedaldi and Zisserman 2014, scheme 2.
import { dense } from '../../../base/linear-algebra.ts'
import { sizeOf } from '../../../onnx/tensor.ts'
import { convMethod } from '../convolution.ts'
import { lowRank } from '../low-rank.ts'

/**
 * W[m,c,i,j] ≈ Σᵣ V[r,c,i] · H[m,r,j]: k×1 to `rank` channels, then 1×k (the first spatial axis, then all others).
 */
export const spatialSvd = convMethod({
  summary: 'Conv: a k×1 and a 1×k convolution',
  refuses: ({ kernel }) =>
    kernel.filter((size) => size > 1).length < 2 || kernel[0] === 1
      ? `its kernel is ${kernel.join('×')}, which has nothing to separate`
      : undefined,
  links: ({ outputs, inputs, kernel: [first = 1, ...rest] }, [rank = 0]) => [
    {
      ...{ suffix: 'vertical', outputs: rank, inputs },
      kernel: [first, ...rest.map(() => 1)],
      axes: [true, ...rest.map(() => false)],
    },
    {
      ...{ suffix: 'horizontal', outputs, inputs: rank },
      kernel: [1, ...rest],
      axes: [false, ...rest.map(() => true)],
    },
  ],
  open({ outputs, inputs, kernel: [first = 1, ...rest], values }) {
    const width = sizeOf(rest)
    const matrix = dense(inputs * first, outputs * width)
    for (let output = 0; output < outputs; output++)
      for (let row = 0; row < inputs * first; row++)
        for (let column = 0; column < width; column++)
          matrix.values[(row * outputs + output) * width + column] =
            values[(output * inputs * first + row) * width + column]!
    const found = lowRank(matrix)
    return {
      full: [found.full],
      energy: found.energy,
      error: ([rank = 0]) => found.error(rank),
      significant: () => [found.significant()],
      build([rank = 0]) {
        const { left, right } = found.factors(rank)
        const vertical = new Float64Array(left.values.length)
        for (let row = 0; row < left.rows; row++)
          for (let at = 0; at < rank; at++)
            vertical[at * left.rows + row] = left.values[row * rank + at]!
        const horizontal = new Float64Array(right.values.length)
        for (let at = 0; at < rank; at++)
          for (let output = 0; output < outputs; output++)
            for (let column = 0; column < width; column++)
              horizontal[(output * rank + at) * width + column] =
                right.values[(at * outputs + output) * width + column]!
        return { weights: [vertical, horizontal], error: found.error(rank) }
      },
    }
  },
})
