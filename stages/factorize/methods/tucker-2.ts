// Tucker decomposition along the channels alone: Kim et al. 2016, started by HOSVD (De Lathauwer et al. 2000a) and
// improved by higher-order orthogonal iteration (2000b).
import {
  type Dense,
  dense,
  energyOf,
  firstColumns,
  gram,
  leadingBasis,
  product,
  symmetricEigen,
  transposed,
} from '../../../base/linear-algebra.ts'
import { sizeOf } from '../../../onnx/tensor.ts'
import { convMethod, type GroupTensor, type OpenedGroup } from '../convolution.ts'
import { significantRank } from '../vbmf.ts'

/** Iterations at most: most of the gain is in the first. */
const mostIterations = 8

/** An iteration that lowers the error by less than this share of the energy is the last. */
const enough = 1e-6

/** W[m,c,k] ≈ Σₐᵦ A[m,a] · G[a,b,k] · B[c,b]: 1×1 to b channels, the kernel to a channels, 1×1 to all. */
export const tucker2 = convMethod({
  summary: 'Conv: 1×1, a smaller kernel, 1×1',
  refuses: ({ kernel }) =>
    sizeOf(kernel) === 1 ? 'its kernel is a single tap: channel-svd says the same' : undefined,
  links: ({ outputs, inputs, kernel }, [first = 0, second = 0]) => {
    const pointwise = { kernel: kernel.map(() => 1), axes: kernel.map(() => false) }
    return [
      { suffix: 'reduce', outputs: second, inputs, ...pointwise },
      { suffix: 'core', outputs: first, inputs: second, kernel, axes: kernel.map(() => true) },
      { suffix: 'expand', outputs, inputs: first, ...pointwise },
    ]
  },
  open: (tensor) => openTucker(tensor),
})

function openTucker({ outputs, inputs, kernel, values }: GroupTensor): OpenedGroup {
  const taps = sizeOf(kernel)
  const byOutput = dense(outputs, inputs * taps, values)
  const byInput = exchanged(byOutput, inputs, taps)
  const [left, right] = [byOutput, byInput].map((matrix) =>
    symmetricEigen(gram(transposed(matrix))),
  ) as [ReturnType<typeof symmetricEigen>, ReturnType<typeof symmetricEigen>]
  const energy = energyOf(values)
  // The squares of the whole core, summed up from its first corner: what any corner of it keeps.
  const core = coreOf(byOutput, left.vectors, right.vectors, taps)
  const kept = cornerSums(core, outputs, inputs, taps)
  const full = [Math.min(outputs, inputs * taps), Math.min(inputs, outputs * taps)]
  return {
    full,
    energy,
    error: ([first = 0, second = 0]) => Math.max(0, energy - kept[first * (inputs + 1) + second]!),
    significant: () =>
      [
        [left.eigenvalues, byOutput],
        [right.eigenvalues, byInput],
      ].map(([eigenvalues, matrix], index) => {
        const { rows, columns } = matrix as Dense
        const singular = (eigenvalues as Float64Array)
          .subarray(0, Math.min(rows, columns))
          .map((value) => Math.sqrt(Math.max(0, value)))
        return Math.min(full[index]!, significantRank(singular, rows, columns))
      }),
    build([first = 0, second = 0]) {
      let a = firstColumns(left.vectors, first)
      let b = firstColumns(right.vectors, second)
      let small = coreOf(byOutput, a, b, taps)
      let lost = energy - energyOf(small.values)
      for (let iteration = 0; iteration < mostIterations && lost > 0; iteration++) {
        a = leadingBasis(exchanged(product(transposed(b), byInput), outputs, taps), first)
        b = leadingBasis(exchanged(product(transposed(a), byOutput), inputs, taps), second)
        small = coreOf(byOutput, a, b, taps)
        const now = energy - energyOf(small.values)
        const gain = lost - now
        lost = now
        if (gain < enough * energy) break
      }
      return {
        weights: [transposed(b).values, small.values, a.values],
        error: Math.max(0, lost),
      }
    },
  }
}

/** From `[p, q · taps]` to `[q, p · taps]`. */
function exchanged({ rows, values }: Dense, second: number, taps: number): Dense {
  const result = dense(second, rows * taps)
  for (let row = 0; row < rows; row++)
    for (let other = 0; other < second; other++)
      for (let tap = 0; tap < taps; tap++)
        result.values[(other * rows + row) * taps + tap] =
          values[(row * second + other) * taps + tap]!
  return result
}

/** The core `[a, b · taps]`: the weights `[outputs, inputs · taps]` in the coordinates of both bases. */
function coreOf(byOutput: Dense, a: Dense, b: Dense, taps: number): Dense {
  const half = product(transposed(a), byOutput)
  const turned = product(transposed(b), exchanged(half, b.rows, taps))
  return exchanged(turned, a.columns, taps)
}

/** Sums of squares over all corners of the core, `[outputs + 1, inputs + 1]`. */
function cornerSums(core: Dense, outputs: number, inputs: number, taps: number): Float64Array {
  const sums = new Float64Array((outputs + 1) * (inputs + 1))
  for (let row = 0; row < outputs; row++) {
    let along = 0
    for (let column = 0; column < inputs; column++) {
      const start = (row * inputs + column) * taps
      along += energyOf(core.values.subarray(start, start + taps))
      sums[(row + 1) * (inputs + 1) + column + 1] = sums[row * (inputs + 1) + column + 1]! + along
    }
  }
  return sums
}
