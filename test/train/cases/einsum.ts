// Cases of Einsum.
import { type GradientCase, one, x } from './case.ts'

const equation = (text: string, ...shapes: readonly (readonly number[])[]): GradientCase =>
  one(
    shapes.map((shape) => x(...shape)),
    { equation: text },
  )

/** Cases by operator. */
export const einsumCases: Readonly<Record<string, readonly GradientCase[]>> = {
  Einsum: [
    equation('ij,jk->ik', [2, 3], [3, 4]),
    equation('bij,bjk->bik', [2, 2, 3], [2, 3, 2]),
    equation('bhid,bhjd->bhij', [2, 2, 3, 2], [2, 2, 2, 2]),
    equation('ij,jk', [2, 3], [3, 2]),
    equation('ba', [2, 3]),
    equation('ij->ji', [2, 3]),
    equation('ij->i', [2, 3]),
    equation('ij->', [2, 3]),
    equation('i,j->ij', [2], [3]),
    equation('i,i->', [3], [3]),
    equation('ij,jk,kl->il', [2, 3], [3, 2], [2, 2]),
    equation('ij,ij->j', [2, 3], [2, 3]),
    // Summed out within one operand.
    equation('ijk,j->j', [2, 3, 2], [3]),
    // Ellipses, broadcast and not.
    equation('...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]),
    equation('...ij,...jk->...ik', [2, 1, 2, 3], [1, 2, 3, 2]),
    equation('...ij,jk->...ik', [2, 2, 3], [3, 2]),
    equation('...i->...', [2, 3]),
    equation('i...,i...', [2, 3], [2, 3]),
    // Diagonals.
    equation('ii->i', [3, 3]),
    equation('ii', [3, 3]),
    equation('iji->j', [2, 3, 2]),
    equation('ii,ij->j', [2, 2], [2, 3]),
    // A 1 that is broadcast (where it comes first, ONNX Runtime infers a wrong shape).
    equation('ij,ij->ij', [2, 3], [2, 1]),
    equation('ij,jk->ik', [2, 3], [1, 2]),
  ],
}
