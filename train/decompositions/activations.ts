// Activations as formulas.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import type { Decomposition } from '../decompose.ts'

/** Gelu (Hendrycks and Gimpel 2016) by tanh. */
function byTanh(g: Builder, x: Value): Value {
  const cubic = g.Add(x, g.Mul(g.Mul(g.Mul(x, x), x), 0.044715))
  return g.Mul(g.Mul(x, 0.5), g.Add(g.Tanh(g.Mul(cubic, Math.sqrt(2 / Math.PI))), 1))
}

/** Gelu by tanh; the exact one has a rule. */
export const gelu: Decomposition = ({ g, node, x }) =>
  node.string('approximate', 'none') === 'tanh' ? [byTanh(g, x)] : undefined

/** com.microsoft's Gelu, and BiasGelu: exactly, of the sum with a bias. */
export const biasGelu: Decomposition = ({ g, inputs, x }) =>
  g.node('Gelu', [inputs[1] ? g.Add(x, inputs[1]) : x])

/** FastGelu: by tanh, of the sum with a bias if there is one. */
export const fastGelu: Decomposition = ({ g, inputs, x }) => [
  byTanh(g, inputs[1] ? g.Add(x, inputs[1]) : x),
]

/** Swish and QuickGelu: x·σ(αx). */
export const swish =
  (alpha: number): Decomposition =>
  ({ g, node, x }) => {
    const factor = node.number('alpha', alpha)
    return [g.Mul(x, g.Sigmoid(factor === 1 ? x : g.Mul(x, factor)))]
  }

/** x·tanh(ln(1 + eˣ)) (Misra 2019). */
export const mish: Decomposition = ({ g, x }) => [g.Mul(x, g.Tanh(g.Softplus(x)))]
