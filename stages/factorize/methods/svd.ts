// Singular value decomposition of a product with a constant matrix (Denil et al. 2013; Xue et al. 2013).
import { lowRank, lowRankOutputs } from '../low-rank.ts'
import { pairCost, pairFactors, writePair } from '../matrix-pair.ts'
import { type Method, walkDown } from '../method.ts'
import { matrixOf } from '../units.ts'

/** W ≈ D·E at the least squared error there is (Eckart and Young 1936): two products instead of one. */
export const svd: Method = {
  summary: 'Gemm and MatMul: two products, by singular values',
  iterative: false,
  fitsOutputs: true,
  refuses: ({ kind }) => (kind === 'linear' ? undefined : 'it is for Gemm and MatMul'),
  open(unit, { outputs }) {
    if (unit.kind !== 'linear') throw new Error('internal: svd was given a convolution')
    const matrix = matrixOf(unit)
    const found = outputs ? lowRankOutputs(matrix, outputs[0]!) : lowRank(matrix)
    const full = [found.full]
    const cost = pairCost(unit)
    const share = (error: number) => (found.energy === 0 ? 0 : error / found.energy)
    const error = ([rank = 0]: readonly number[]) => share(found.error(rank))
    return {
      full,
      cost,
      error,
      ladder: () => walkDown({ full, cost, error }),
      significant: () => [found.significant()],
      build([rank = 0]) {
        const { left, right, shift } = found.factors(rank)
        return {
          factors: pairFactors(unit, left, right),
          error: error([rank]),
          ...(shift && { shift: Array.from(shift) }),
        }
      },
      write: writePair(unit),
    }
  },
}
