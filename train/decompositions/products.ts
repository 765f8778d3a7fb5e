// com.microsoft's products with something before or behind them.
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Node, Value } from '../../onnx/graph.ts'
import type { Decomposition } from '../decompose.ts'
import { shapeOf } from '../rule.ts'

/** FusedMatMul: α·A′B′, where ′ swaps the last two axes if asked to. */
export const fusedMatMul: Decomposition = ({ g, node, where }) => {
  if (node.number('transBatchA', 0) || node.number('transBatchB', 0))
    throw new UserError(
      `${where}: no gradient for FusedMatMul '${node.name}' with transBatchA or transBatchB — export the model without ONNX Runtime's optimizations`,
    )
  const a = node.number('transA', 0) ? swapped(g, node.input(0)) : node.input(0)
  const b = node.number('transB', 0) ? swapped(g, node.input(1)) : node.input(1)
  const alpha = node.number('alpha', 1)
  const y = g.MatMul(a, b)
  return [alpha === 1 ? y : g.Mul(y, alpha)]
}

function swapped(g: Builder, value: Value): Value {
  const rank = shapeOf(value).length
  // A vector has nothing to swap.
  if (rank < 2) return value
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return g.Transpose(value, { perm: [...axes.slice(0, -2), rank - 1, rank - 2] })
}

/** FusedGemm: an activation behind a Gemm. */
export const fusedGemm: Decomposition = ({ g, node, where }) => {
  const [transA, transB] = [node.number('transA', 0), node.number('transB', 0)]
  const [alpha, beta] = [node.number('alpha', 1), node.number('beta', 1)]
  const y = g.Gemm(...node.inputs, { transA, transB, alpha, beta })
  const name = node.string('activation', '')
  const activation = activations[name]
  if (!activation)
    throw new UserError(
      `${where}: no gradient for FusedGemm '${node.name}' with activation '${name}' — export the model without ONNX Runtime's optimizations`,
    )
  return [activation(g, y, node)]
}

const activations: Readonly<Record<string, (g: Builder, x: Value, node: Node) => Value>> = {
  '': (_, x) => x,
  LeakyRelu: (g, x, node) =>
    g.LeakyRelu(x, { alpha: node.number('activation_alpha', Math.fround(0.01)) }),
  Relu: (g, x) => g.Relu(x),
  Sigmoid: (g, x) => g.Sigmoid(x),
  Tanh: (g, x) => g.Tanh(x),
}
