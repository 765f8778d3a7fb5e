// Activations as formulas.
import type { Decomposition } from '../decompose.ts'

/** x·Φ(x), with Φ the normal distribution, exactly or by tanh (Hendrycks and Gimpel 2016). */
export const gelu: Decomposition = ({ g, node, x }) => {
  if (node.string('approximate', 'none') === 'tanh') {
    const cubic = g.Add(x, g.Mul(g.Mul(g.Mul(x, x), x), 0.044715))
    const tanh = g.Tanh(g.Mul(cubic, Math.sqrt(2 / Math.PI)))
    return [g.Mul(g.Mul(x, 0.5), g.Add(tanh, 1))]
  }
  const erf = g.node('Erf', [g.Mul(x, Math.SQRT1_2)])[0]!
  return [g.Mul(g.Mul(x, 0.5), g.Add(erf, 1))]
}
