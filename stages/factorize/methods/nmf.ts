// Factors without negative numbers, for weights that have none: Lee and Seung 2001.
import {
  balanced,
  type Dense,
  dense,
  energyOf,
  gram,
  product,
  transposed,
} from '../../../base/linear-algebra.ts'
import type { Random } from '../../../base/random.ts'
import { elements } from '../../../onnx/tensor.ts'
import { convMethod } from '../convolution.ts'
import { squaredDistance } from '../low-rank.ts'
import { pairCost, pairFactors, writePair } from '../matrix-pair.ts'
import { coarse, type Method } from '../method.ts'
import { matrixOf, type Unit } from '../units.ts'
import { channelLinks, channelMatrix } from './channel-svd.ts'

/** Updates of both factors at most. */
const mostUpdates = 200

/** Updates that together lower the error by less than this share of the energy are the last. */
const enough = 1e-5

/** Updates between two looks at the error. */
const interval = 10

const convolutions = convMethod({
  summary: '',
  iterative: true,
  refuses: () => undefined,
  links: channelLinks,
  open(tensor, { random }) {
    const found = nonNegative(channelMatrix(tensor), random)
    return {
      full: [found.full],
      energy: found.energy,
      error: ([rank = 0]) => found.at(rank).error,
      build([rank = 0]) {
        const { left, right, error } = found.at(rank)
        return { weights: [transposed(left).values, transposed(right).values], error }
      },
    }
  },
})

/** W ≈ D·E with D, E ≥ 0: the parts add up and never cancel. */
export const nmf: Method = {
  summary: 'layers whose weights have no negative number: two factors that have none',
  iterative: true,
  fitsOutputs: false,
  refuses: (unit) =>
    elements(unit.weight.tensor!, 'float32').some((weight) => weight < 0)
      ? 'it has negative weights'
      : undefined,
  open: (unit: Unit, evidence) => {
    if (unit.kind === 'conv') return convolutions.open(unit, evidence)
    const found = nonNegative(matrixOf(unit), evidence.random)
    const share = (error: number) => (found.energy === 0 ? 0 : error / found.energy)
    const { inputs, outputs } = unit
    return {
      full: [found.full],
      cost: pairCost(unit),
      error: ([rank = 0]) => share(found.at(rank).error),
      ladder: () =>
        coarse(
          Math.max(1, Math.min(found.full, Math.floor((inputs * outputs) / (inputs + outputs)))),
        ),
      build([rank = 0]) {
        const { left, right, error } = found.at(rank)
        return { factors: pairFactors(unit, left, right), error: share(error) }
      },
      write: writePair(unit),
    }
  },
}

/** Opens a matrix without negative numbers. */
function nonNegative(matrix: Dense, random: Random) {
  const full = Math.min(matrix.rows, matrix.columns)
  const known = new Map<number, ReturnType<typeof update>>()
  return {
    full,
    energy: energyOf(matrix.values),
    at(rank: number) {
      const found = known.get(rank) ?? (rank >= full ? whole(matrix) : update(matrix, rank, random))
      known.set(rank, found)
      return found
    },
  }
}

/** At full rank one of the factors is the matrix itself. */
function whole(matrix: Dense): { left: Dense; right: Dense; error: number } {
  const size = Math.min(matrix.rows, matrix.columns)
  const identity = dense(size, size)
  for (let index = 0; index < size; index++) identity.values[index * size + index] = 1
  const [left, right] = matrix.columns === size ? [matrix, identity] : [identity, matrix]
  return { left, right, error: 0 }
}

/** Multiplicative updates for the squared error (Lee and Seung 2001, theorem 1), from a random start. */
function update(
  matrix: Dense,
  rank: number,
  { uniform }: Random,
): { left: Dense; right: Dense; error: number } {
  const mean = matrix.values.reduce((sum, value) => sum + value, 0) / matrix.values.length
  const fill = (rows: number, columns: number): Dense => {
    const result = dense(rows, columns)
    for (let index = 0; index < result.values.length; index++)
      result.values[index] = (0.5 + uniform()) * Math.sqrt(mean / rank)
    return result
  }
  const [left, right] = [fill(matrix.rows, rank), fill(rank, matrix.columns)]
  const energy = energyOf(matrix.values)
  let error = squaredDistance(matrix, left, right)
  for (let step = 1; step <= mostUpdates; step++) {
    const turned = transposed(left)
    multiply(right, product(turned, matrix), product(gram(left), right))
    const back = transposed(right)
    multiply(left, product(matrix, back), product(left, gram(back)))
    if (step % interval > 0) continue
    const now = squaredDistance(matrix, left, right)
    const gain = error - now
    error = now
    if (gain < enough * energy) break
  }
  return { ...balanced(left, right), error }
}

function multiply(factor: Dense, above: Dense, below: Dense): void {
  for (let index = 0; index < factor.values.length; index++)
    factor.values[index]! *= above.values[index]! / Math.max(below.values[index]!, 1e-300)
}
