// n:m sparsity: of every m neighbouring inputs of an output at most n have a weight.
import type { Masked, MaskStructure } from './mask.ts'
import { smallestElements } from './units.ts'

/**
 * At most `kept` of every `group` weights along the inputs stay (Zhou et al. 2021).
 *
 * The inputs are those that one sum goes over: the last axis of [outputs, inputs], the input channels of a convolution
 * (of its group) at the same position of the kernel. Groups start at the first input. What is left over at the end
 * counts as a group that is filled up with zeros, so that up to `kept` of its weights stay. Layers of so few inputs
 * that nothing would go are left alone.
 */
export const nOfM = (kept: number, group: number): MaskStructure => ({
  sparsity: 1 - kept / group,
  fits: ({ columns }) => columns > kept,
  masks: (weights, { progress }) => {
    const stay = group - Math.round(progress * (group - kept))
    return weights.map((weight) => maskOf(weight, stay, group))
  },
})

function maskOf({ matrices, scores }: Masked, stay: number, group: number): Float32Array {
  const { count, rows, columns, kernel, steps } = matrices
  const mask = new Float32Array(scores.length).fill(1)
  for (let matrix = 0; matrix < count; matrix++)
    for (let row = 0; row < rows; row++)
      for (let position = 0; position < kernel; position++) {
        const start = matrix * steps.matrix + row * steps.row + position * steps.position
        for (let first = 0; first < columns; first += group) {
          const size = Math.min(group, columns - first)
          const elements = Array.from(
            { length: size },
            (_, at) => start + (first + at) * steps.column,
          )
          for (const element of smallestElements(elements, scores, size - stay)) mask[element] = 0
        }
      }
  return mask
}
