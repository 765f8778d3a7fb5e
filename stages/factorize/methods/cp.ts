// Canonical polyadic decomposition: Lebedev et al. 2015, with the kernel kept whole, by alternating least squares.
import {
  type Dense,
  dense,
  energyOf,
  gram,
  leadingBasis,
  product,
  solveSymmetric,
  transposed,
} from '../../../base/linear-algebra.ts'
import type { Random } from '../../../base/random.ts'
import { sizeOf } from '../../../onnx/tensor.ts'
import { convMethod, type GroupTensor } from '../convolution.ts'

/** Rounds of least squares at most. */
const mostRounds = 40

/** A round that lowers the error by less than this share of the energy is the last. */
const enough = 2e-4

/** What keeps components that cancel each other from growing, as a share of the mean of their products. */
const ridge = 1e-8

/** W[m,c,k] ≈ Σᵣ A[m,r] · B[c,r] · K[k,r]: 1×1 to `rank` channels, the kernel on each of them alone, 1×1 to all. */
export const cp = convMethod({
  summary: 'Conv: 1×1, a depthwise kernel, 1×1',
  iterative: true,
  refuses: ({ kernel }) =>
    sizeOf(kernel) === 1 ? 'its kernel is a single tap: channel-svd says the same' : undefined,
  links({ outputs, inputs, kernel }, [rank = 0]) {
    const pointwise = { kernel: kernel.map(() => 1), axes: kernel.map(() => false) }
    const own = { kernel, axes: kernel.map(() => true), depthwise: true }
    return [
      { suffix: 'reduce', outputs: rank, inputs, ...pointwise },
      { suffix: 'depthwise', outputs: rank, inputs: rank, ...own },
      { suffix: 'expand', outputs, inputs: rank, ...pointwise },
    ]
  },
  open(tensor, { random }) {
    const sizes = [tensor.outputs, tensor.inputs, sizeOf(tensor.kernel)]
    const full = sizeOf(sizes) / Math.max(...sizes)
    const known = new Map<number, Components>()
    const at = (rank: number): Components => {
      const found =
        known.get(rank) ?? (rank >= full ? exactly(tensor, sizes) : alternate(tensor, rank, random))
      known.set(rank, found)
      return found
    }
    return {
      full: [full],
      energy: energyOf(tensor.values),
      error: ([rank = 0]) => at(rank).error,
      build([rank = 0]) {
        const { error, modes } = at(rank)
        const [a, b, k] = modes as [Dense, Dense, Dense]
        return { weights: [transposed(b).values, transposed(k).values, a.values], error }
      },
    }
  },
})

/** A sum of outer products. */
interface Components {
  /** For outputs, inputs and taps: `[size, rank]`. */
  readonly modes: readonly Dense[]
  /** The squared error. */
  readonly error: number
}

/** One component for each pair of places along the two shorter modes; the longest one holds the weights. */
function exactly({ values }: GroupTensor, sizes: readonly number[]): Components {
  const long = sizes.indexOf(Math.max(...sizes))
  const [one, two] = [0, 1, 2].filter((mode) => mode !== long) as [number, number]
  const rank = sizes[one]! * sizes[two]!
  const modes = sizes.map((size) => dense(size, rank))
  const place = [0, 0, 0]
  for (const value of values) {
    const component = place[one]! * sizes[two]! + place[two]!
    modes[one]!.values[place[one]! * rank + component] = 1
    modes[two]!.values[place[two]! * rank + component] = 1
    modes[long]!.values[place[long]! * rank + component] = value
    for (let mode = 2; mode >= 0; mode--) {
      place[mode]!++
      if (place[mode]! < sizes[mode]!) break
      place[mode] = 0
    }
  }
  return { modes, error: 0 }
}

/** Solves for one mode after the other while the other two stand still (Carroll and Chang 1970; Harshman 1970). */
function alternate(
  { outputs, inputs, kernel, values }: GroupTensor,
  rank: number,
  random: Random,
): Components {
  const sizes = [outputs, inputs, sizeOf(kernel)]
  const unfolded = sizes.map((_, mode) => unfold(values, sizes, mode))
  const energy = energyOf(values)
  const modes = unfolded.map((matrix, mode) => (mode === 0 ? matrix : start(matrix, rank, random)))
  const grams = modes.map((matrix, mode) => (mode === 0 ? dense(rank, rank) : gram(matrix)))
  let error = energy
  for (let round = 0; round < mostRounds; round++) {
    let [crossed, own] = [0, 0]
    for (const mode of [0, 1, 2]) {
      const [one, two] = [0, 1, 2].filter((other) => other !== mode) as [number, number]
      const both = hadamard(grams[one]!, grams[two]!)
      const right = product(unfolded[mode]!, khatriRao(modes[one]!, modes[two]!))
      modes[mode] = transposed(solveSymmetric(both, transposed(right), ridge))
      grams[mode] = gram(modes[mode]!)
      crossed = dot(right, modes[mode]!)
      own = dot(both, grams[mode]!)
    }
    const now = Math.max(0, energy - 2 * crossed + own)
    const gain = error - now
    error = now
    if (gain < enough * energy) break
  }
  return { modes: even(modes, rank), error }
}

/** The tensor as a matrix with a row for each place along one mode; the others in their order. */
function unfold(values: Float64Array, sizes: readonly number[], mode: number): Dense {
  const [first = 1, second = 1, third = 1] = sizes
  const strides = [second * third, third, 1]
  const [one, two] = [0, 1, 2].filter((other) => other !== mode) as [number, number]
  const result = dense(sizes[mode]!, (first * second * third) / sizes[mode]!)
  let at = 0
  for (let row = 0; row < sizes[mode]!; row++)
    for (let left = 0; left < sizes[one]!; left++)
      for (let right = 0; right < sizes[two]!; right++)
        result.values[at++] =
          values[row * strides[mode]! + left * strides[one]! + right * strides[two]!]!
  return result
}

/** The strongest directions of a mode, and random ones where the rank is larger than the mode is long. */
function start(matrix: Dense, rank: number, { normal }: Random): Dense {
  const known = Math.min(rank, matrix.rows)
  const basis = leadingBasis(matrix, known)
  const result = dense(matrix.rows, rank)
  for (let row = 0; row < matrix.rows; row++)
    for (let component = 0; component < rank; component++)
      result.values[row * rank + component] =
        component < known
          ? basis.values[row * known + component]!
          : normal() / Math.sqrt(matrix.rows)
  return result
}

/** The products of each component's entries: `[rows of one · rows of two, rank]`. */
function khatriRao(one: Dense, two: Dense): Dense {
  const rank = one.columns
  const result = dense(one.rows * two.rows, rank)
  let at = 0
  for (let left = 0; left < one.rows; left++)
    for (let right = 0; right < two.rows; right++)
      for (let component = 0; component < rank; component++)
        result.values[at++] =
          one.values[left * rank + component]! * two.values[right * rank + component]!
  return result
}

const hadamard = (one: Dense, two: Dense): Dense => ({
  ...one,
  values: one.values.map((value, index) => value * two.values[index]!),
})

function dot(one: Dense, two: Dense): number {
  let sum = 0
  for (let index = 0; index < one.values.length; index++)
    sum += one.values[index]! * two.values[index]!
  return sum
}

/** Shares the length of each component evenly among the modes. */
function even(modes: readonly Dense[], rank: number): Dense[] {
  const lengths = modes.map(({ values }) => {
    const sums = new Float64Array(rank)
    for (let index = 0; index < values.length; index++) sums[index % rank]! += values[index]! ** 2
    return sums.map(Math.sqrt)
  })
  return modes.map((mode, which) => ({
    ...mode,
    values: mode.values.map((value, index) => {
      const component = index % rank
      const own = lengths[which]![component]!
      const all = lengths.reduce((size, each) => size * each[component]!, 1)
      return own === 0 ? 0 : (value / own) * Math.cbrt(all)
    }),
  }))
}
