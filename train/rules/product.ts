// Gradients of matrix products.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { type Rule, shapeOf, sumTo } from '../rule.ts'

/** Y = α·A′B′ + β·C, where ′ transposes if asked to. */
export const gemm: Rule = {
  gradients: ({ g, node, dy, y }) => {
    const [a, b, c] = [node.input(0), node.input(1), node.inputs[2]]
    const transA = node.number('transA', 0)
    const transB = node.number('transB', 0)
    const alpha = node.number('alpha', 1)
    const beta = node.number('beta', 1)
    const da = transA
      ? g.Gemm(b, dy, { transA: transB, transB: 1, alpha })
      : g.Gemm(dy, b, { transB: 1 - transB, alpha })
    const db = transB
      ? g.Gemm(dy, a, { transA: 1, transB: transA, alpha })
      : g.Gemm(a, dy, { transA: 1 - transA, alpha })
    if (!c) return [da, db]
    const scaled = beta === 1 ? dy : g.Mul(dy, beta)
    return [da, db, sumTo(g, scaled, shapeOf(y), shapeOf(c))]
  },
}

/** Y = AB with numpy's broadcasting: dA = dY Bᵀ, dB = Aᵀ dY, summed over broadcast batch axes. */
export const matMul: Rule = {
  gradients: ({ g, node, dy, y }) => {
    const [a, b] = [node.input(0), node.input(1)]
    const [aShape, bShape] = [shapeOf(a), shapeOf(b)]
    // A vector is a matrix of one row (left) or one column (right).
    const aMatrix = aShape.length === 1 ? [1, ...aShape] : aShape
    const bMatrix = bShape.length === 1 ? [...bShape, 1] : bShape
    const [m, k, n] = [aMatrix.at(-2)!, aMatrix.at(-1)!, bMatrix.at(-1)!]
    const batch = batchOf(shapeOf(y), aShape, bShape)
    const gradient = g.Reshape(dy, [...batch, m, n])
    const left = aShape.length === 1 ? g.Reshape(a, aMatrix) : a
    const right = bShape.length === 1 ? g.Reshape(b, bMatrix) : b

    // The usual layer, a stack of rows times one matrix: two plain products.
    if (bMatrix.length === 2) {
      const rows = sizeOf(batch) * m
      const flat = g.Reshape(gradient, [rows, n])
      const da = g.Gemm(flat, right, { transB: 1 })
      const db = g.Gemm(g.Reshape(left, [rows, k]), flat, { transA: 1 })
      return [g.Reshape(da, aShape), g.Reshape(db, bShape)]
    }
    const da = g.MatMul(gradient, swapLast(g, right, bMatrix.length))
    const db = g.MatMul(swapLast(g, left, aMatrix.length), gradient)
    return [
      g.Reshape(sumTo(g, da, [...batch, m, k], aMatrix), aShape),
      g.Reshape(sumTo(g, db, [...batch, k, n], bMatrix), bShape),
    ]
  },
}

const swapLast = (g: Builder, value: Value, rank: number): Value => {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return g.Transpose(value, { perm: [...axes.slice(0, -2), rank - 1, rank - 2] })
}

function batchOf(
  y: readonly number[],
  a: readonly number[],
  b: readonly number[],
): readonly number[] {
  const matrixAxes = (a.length > 1 ? 1 : 0) + (b.length > 1 ? 1 : 0)
  return y.slice(0, y.length - matrixAxes)
}
