// The activations that a recurrent node may name, with their alpha and beta.
import type { Builder } from '../../onnx/build.ts'
import type { Node, Value } from '../../onnx/graph.ts'

/** One activation of a recurrent node. */
export type Activation = (g: Builder, x: Value) => Value

/** An activation by name: which numbers it takes, what they are where none is left, and its formula. */
interface Kind {
  readonly alpha?: number
  readonly beta?: number
  readonly write: (g: Builder, x: Value, alpha: number, beta: number) => Value
}

/** By name in lower case, which is how ONNX Runtime compares them; defaults are those that it takes. */
const kinds: Readonly<Record<string, Kind>> = {
  affine: { alpha: 0, beta: 0, write: (g, x, alpha, beta) => g.Add(g.Mul(x, alpha), beta) },
  elu: { alpha: 1, write: (g, x, alpha) => g.Elu(x, { alpha }) },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    write: (g, x, alpha, beta) => g.HardSigmoid(x, { alpha, beta }),
  },
  leakyrelu: { alpha: 0.01, write: (g, x, alpha) => g.LeakyRelu(x, { alpha }) },
  relu: { write: (g, x) => g.Relu(x) },
  scaledtanh: {
    alpha: 0,
    beta: 0,
    write: (g, x, alpha, beta) => g.Mul(g.Tanh(g.Mul(x, beta)), alpha),
  },
  sigmoid: { write: (g, x) => g.Sigmoid(x) },
  softplus: { write: (g, x) => g.node('Softplus', [x])[0]! },
  softsign: { write: (g, x) => g.node('Softsign', [x])[0]! },
  tanh: { write: (g, x) => g.Tanh(x) },
  thresholdedrelu: {
    alpha: 0,
    write: (g, x, alpha) => g.node('ThresholdedRelu', [x], { attributes: { alpha } })[0]!,
  },
}

/**
 * The activations of one direction of a node.
 *
 * The lists of alphas and betas hold numbers for those activations alone that take one, in the order of the names, the
 * forward direction first.
 */
export function activationsOf(
  node: Node,
  usual: readonly string[],
  direction: number,
  directions: number,
): readonly Activation[] {
  const given = node.attributes.get('activations')
  const names =
    given?.type === 'strings' && given.value.length > 0
      ? given.value
      : Array.from({ length: directions }, () => usual).flat()
  const alphas = [...node.numbers('activation_alpha', [])]
  const betas = [...node.numbers('activation_beta', [])]
  const all = names.map((name): Activation => {
    const kind = kinds[name.toLowerCase()]
    if (!kind) throw new Error(`internal: '${node.name}' has an unknown activation '${name}'`)
    const alpha = kind.alpha === undefined ? 0 : (alphas.shift() ?? kind.alpha)
    const beta = kind.beta === undefined ? 0 : (betas.shift() ?? kind.beta)
    return (g, x) => kind.write(g, x, alpha, beta)
  })
  return all.slice(direction * usual.length, (direction + 1) * usual.length)
}
