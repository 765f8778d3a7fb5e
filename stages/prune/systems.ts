// The linear systems behind pruning: least squares of weights that remain, from second moments of inputs and outputs.
import { CHO, Matrix } from 'ml-matrix'
import { dense, solveSymmetric } from '../../base/linear-algebra.ts'

/** Second moments of a layer's inputs with themselves and with the outputs that are wanted. */
export interface Normal {
  /** How many inputs. */
  readonly columns: number
  /** How many outputs. */
  readonly rows: number
  /** xᵀx `[columns, columns]`. */
  readonly inputs: Float64Array
  /** xᵀy `[columns, rows]`. */
  readonly cross: Float64Array
  /** Σ y² of each output. */
  readonly energies: Float64Array
}

/** The squared error Σ (y - x w)² of weights `[rows, columns]`. */
export function errorOf(
  { columns, rows, inputs, cross, energies }: Normal,
  weights: Float64Array,
): number {
  let total = 0
  for (let row = 0; row < rows; row++) {
    const own = weights.subarray(row * columns, (row + 1) * columns)
    let error = energies[row]!
    for (let one = 0; one < columns; one++) {
      if (own[one] === 0) continue
      let sum = 0
      for (let other = 0; other < columns; other++)
        sum += inputs[one * columns + other]! * own[other]!
      error += own[one]! * (sum - 2 * cross[one * rows + row]!)
    }
    total += error
  }
  // Rounding can bring what vanishes below zero.
  return Math.max(0, total)
}

/** xᵀ(y - x w) as `[rows, columns]`: what weights are still wrong by. */
function residual({ columns, rows, inputs, cross }: Normal, weights: Float64Array): Float64Array {
  const left = new Float64Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    const own = left.subarray(row * columns, (row + 1) * columns)
    for (let at = 0; at < columns; at++) own[at] = cross[at * rows + row]!
    for (let other = 0; other < columns; other++) {
      const weight = weights[row * columns + other]!
      if (weight === 0) continue
      // The moments are symmetric: a row is a column.
      const start = other * columns
      for (let at = 0; at < columns; at++) own[at]! -= inputs[start + at]! * weight
    }
  }
  return left
}

/**
 * Weights `[rows, columns]` of the least squared error, near to the given ones.
 *
 * Their distance counts as much as `ridge` says, in shares of each input's own moment, so that the error is never larger
 * than before, and a singular system changes nothing that it says nothing of. With `kept`, 1 or 0 for each weight,
 * only those with 1 change.
 */
export function fitted(
  normal: Normal,
  weights: Float64Array,
  ridge: number,
  kept?: Uint8Array,
): Float64Array {
  const { columns, rows } = normal
  const left = residual(normal, weights)
  const result = weights.slice()
  for (const { members, alive } of alike(columns, rows, kept)) {
    if (alive.length === 0) continue
    // Inputs have very different sizes: the system is brought to a diagonal of ones.
    const scales = Float64Array.from(alive, (at) => scaleOf(normal, at))
    const matrix = dense(alive.length, alive.length)
    for (const [i, one] of alive.entries())
      for (const [j, other] of alive.entries())
        matrix.values[i * alive.length + j] =
          normal.inputs[one * columns + other]! * scales[i]! * scales[j]! + (i === j ? ridge : 0)
    symmetrise(matrix.values, alive.length)
    const right = dense(alive.length, members.length)
    for (const [i, one] of alive.entries())
      for (const [j, row] of members.entries())
        right.values[i * members.length + j] = left[row * columns + one]! * scales[i]!
    const change = solveSymmetric(matrix, right)
    for (const [i, one] of alive.entries())
      for (const [j, row] of members.entries())
        result[row * columns + one]! += change.values[i * members.length + j]! * scales[i]!
  }
  return result
}

/** One over the root of an input's own moment; 0 for an input that is always zero, whose weights stay. */
function scaleOf({ columns, inputs }: Normal, at: number): number {
  const moment = inputs[at * columns + at]!
  return moment > 0 ? 1 / Math.sqrt(moment) : 0
}

/** Rows that keep the same weights, which have one system. */
function alike(
  columns: number,
  rows: number,
  kept: Uint8Array | undefined,
): { readonly members: readonly number[]; readonly alive: readonly number[] }[] {
  const found = new Map<string, { members: number[]; alive: number[] }>()
  for (let row = 0; row < rows; row++) {
    const own = kept?.subarray(row * columns, (row + 1) * columns)
    const key = own ? own.join('') : ''
    const known = found.get(key)
    if (known) known.members.push(row)
    else
      found.set(key, {
        members: [row],
        alive: Array.from({ length: columns }, (_, at) => at).filter((at) => !own || own[at] === 1),
      })
  }
  return [...found.values()]
}

/** The multiplications that {@link fitted} takes, roughly. */
export function costOfFitting(columns: number, rows: number, kept?: Uint8Array): number {
  let cost = 0
  for (const { members, alive } of alike(columns, rows, kept))
    cost += alive.length ** 3 / 3 + 2 * members.length * alive.length ** 2
  return cost
}

/**
 * The same for large layers, column after column: what a weight that goes had to say, and what those before could not
 * make up for, is made up for by those that are still to come (Frantar and Alistarh 2023, section 3.2).
 *
 * Rows that it would make worse stay as they were.
 */
export function swept(
  normal: Normal,
  weights: Float64Array,
  ridge: number,
  kept: Uint8Array,
): Float64Array {
  const { columns, rows } = normal
  const factor = sweepFactor(normal.inputs, columns, ridge)
  // With its best weights a layer would have no need of them: the sweep starts there.
  const best = fitted(normal, weights, ridge)
  const result = weights.slice()
  const change = new Float64Array(columns)
  for (let row = 0; row < rows; row++) {
    const start = row * columns
    for (let at = 0; at < columns; at++) {
      if (kept[start + at] === 0) {
        change[at] = -best[start + at]!
        continue
      }
      let sum = 0
      for (let before = 0; before < at; before++)
        sum += factor[at * columns + before]! * change[before]!
      change[at] = -sum / factor[at * columns + at]!
    }
    const own = change.map((value, at) => (kept[start + at] ? best[start + at]! + value : 0))
    const alone = rowOf(normal, row)
    if (errorOf(alone, own) < errorOf(alone, weights.subarray(start, start + columns)))
      result.set(own, start)
  }
  return result
}

const rowOf = ({ columns, rows, inputs, cross, energies }: Normal, row: number): Normal => ({
  columns,
  rows: 1,
  inputs,
  cross: Float64Array.from({ length: columns }, (_, at) => cross[at * rows + row]!),
  energies: energies.subarray(row, row + 1),
})

/**
 * The lower triangular L of H = Lᵀ L, H being second moments with a part of the mean diagonal added.
 *
 * What a change δ of the weights costs is Σⱼ (Σᵢ≤ⱼ Lⱼᵢ δᵢ)²: each term can be made zero by the last of its changes.
 */
export function sweepFactor(moments: Float64Array, columns: number, ridge: number): Float64Array {
  let trace = 0
  for (let at = 0; at < columns; at++) trace += moments[at * columns + at]!
  const damping = ridge * (trace > 0 ? trace / columns : 1)
  const reversed = new Matrix(columns, columns)
  for (let one = 0; one < columns; one++)
    for (let other = 0; other <= one; other++) {
      const [i, j] = [columns - 1 - one, columns - 1 - other]
      const moment = moments[i * columns + j]! + (i === j ? damping : 0)
      reversed.set(one, other, moment)
      reversed.set(other, one, moment)
    }
  const { lowerTriangularMatrix } = new CHO(reversed)
  const factor = new Float64Array(columns * columns)
  for (let one = 0; one < columns; one++)
    for (let other = 0; other <= one; other++)
      factor[one * columns + other] = lowerTriangularMatrix.get(
        columns - 1 - other,
        columns - 1 - one,
      )
  return factor
}

/** What SparseGPT adds to the diagonal, as a share of its mean. */
const damped = 0.01

/**
 * 1 / [H⁻¹]ⱼⱼ of what remains of H when the inputs before j are done with: what w² counts for each input.
 *
 * An input that is always zero counts nothing.
 */
export function inverseCurvature(moments: Float64Array, columns: number): Float64Array {
  const factor = sweepFactor(moments, columns, damped)
  return Float64Array.from({ length: columns }, (_, at) =>
    moments[at * columns + at] === 0 ? 0 : factor[at * columns + at]! ** 2,
  )
}

function symmetrise(values: Float64Array, size: number): void {
  for (let one = 0; one < size; one++)
    for (let other = 0; other < one; other++) {
      const mean = (values[one * size + other]! + values[other * size + one]!) / 2
      values[one * size + other] = mean
      values[other * size + one] = mean
    }
}
