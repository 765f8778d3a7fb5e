// Block-diagonal matrices: inputs and outputs fall into as many parts, and only like numbers are connected.
import { UserError } from '../../../base/errors.ts'
import type { Masked, MaskStructure } from './mask.ts'
import { eachPair, type Matrices } from './matrix.ts'

/**
 * Keeps the fewest diagonal blocks, as equal in size as can be, that leave the sparsity to every matrix
 * [outputs, inputs]; of a convolution that is a grouped one.
 *
 * On the way there, what lies farthest from the blocks goes first. Scores do not matter.
 */
export const blockDiagonal: MaskStructure = {
  fits: ({ rows, columns }) => rows > 1 && columns > 1,
  masks: (weights, { sparsity, progress }) =>
    weights.map((weight) => maskOf(weight, sparsity, progress)),
}

function maskOf({ layer, matrices, scores }: Masked, sparsity: number, progress: number) {
  const blocks = blocksFor(matrices, sparsity)
  if (blocks === undefined) {
    const { rows, columns } = matrices
    const most = Math.min(rows, columns)
    throw new UserError(
      `target.sparsity: cannot be reached: ${sparsity} — layer '${layer.name}' of ${rows} x ${columns} has at most ${most} diagonal blocks; lower it, or exclude the layer`,
    )
  }
  const outside: { readonly elements: readonly number[]; readonly distance: number }[] = []
  const { rows, columns } = matrices
  eachPair(matrices, (_, row, column, elements) => {
    if (blockOf(row, rows, blocks) === blockOf(column, columns, blocks)) return
    const distance = Math.abs((row + 0.5) / rows - (column + 0.5) / columns)
    outside.push({ elements: [...elements], distance })
  })
  outside.sort((a, b) => b.distance - a.distance || a.elements[0]! - b.elements[0]!)
  const mask = new Float32Array(scores.length).fill(1)
  for (const { elements } of outside.slice(0, Math.round(progress * outside.length)))
    for (const element of elements) mask[element] = 0
  return mask
}

/** In which of so many parts of a line an index lies. */
const blockOf = (index: number, length: number, blocks: number): number =>
  Math.floor((index * blocks) / length)

/** The fewest blocks that make a matrix as sparse; undefined where it has too few rows or columns. */
function blocksFor({ rows, columns }: Matrices, sparsity: number): number | undefined {
  for (let blocks = 1; blocks <= Math.min(rows, columns); blocks++) {
    const sizes = (length: number) => {
      const counts = new Array<number>(blocks).fill(0)
      for (let index = 0; index < length; index++) counts[blockOf(index, length, blocks)]!++
      return counts
    }
    const [tall, wide] = [sizes(rows), sizes(columns)]
    const kept = tall.reduce((sum, size, block) => sum + size * wide[block]!, 0)
    if (1 - kept / (rows * columns) >= sparsity - 1e-9) return blocks
  }
  return undefined
}
