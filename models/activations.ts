// The activations that architectures offer: one row each.
import { z } from 'zod'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'

/** Activation by name, as an expression. */
const activations = {
  relu: (g: Builder, x: Value) => g.Relu(x),
  /** min(max(x, 0), 6) (Krizhevsky 2010; of MobileNet v2). */
  relu6: (g: Builder, x: Value) => g.Clip(x, 0, 6),
  /** x·min(max(x + 3, 0), 6)/6 (Howard et al. 2019, section 5.2). */
  'hard-swish': (g: Builder, x: Value) => g.HardSwish(x),
  /** x·Sigmoid(x) (Elfwing et al. 2018). */
  silu: (g: Builder, x: Value) => g.Mul(x, g.Sigmoid(x)),
  /** x·Φ(x) (Hendrycks and Gimpel 2016). */
  gelu: (g: Builder, x: Value) => g.node('Gelu', [x])[0]!,
  tanh: (g: Builder, x: Value) => g.Tanh(x),
} as const

/** What an activation is called. */
export type Activation = keyof typeof activations

/** Schema of an activation's name. */
export const activationName = z.enum(Object.keys(activations) as [Activation, ...Activation[]])

/** Writes an activation. */
export const activate = (g: Builder, kind: Activation, x: Value): Value => activations[kind](g, x)
