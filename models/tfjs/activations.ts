// Activations by TensorFlow's names, in snake case.
import { binary, clip, unary } from './arithmetic.ts'
import type { Term } from './term.ts'
import type { Writer } from './writer.ts'

/** Writes one activation. */
export type Activation = (w: Writer, x: Term) => Term

const simple =
  (opType: string, attributes = {}): Activation =>
  (w, x) =>
    unary(w, opType, x, attributes)

/** The activations that layers and fused operators name. */
export const activations: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ['linear', (_, x) => x],
  ['elu', simple('Elu')],
  ['selu', simple('Selu')],
  ['relu', simple('Relu')],
  ['relu6', (w, x) => clip(w, x, 0, 6)],
  ['sigmoid', simple('Sigmoid')],
  ['hard_sigmoid', simple('HardSigmoid', { alpha: 0.2, beta: 0.5 })],
  ['softplus', simple('Softplus')],
  ['softsign', simple('Softsign')],
  ['tanh', simple('Tanh')],
  ['softmax', simple('Softmax', { axis: -1 })],
  ['log_softmax', simple('LogSoftmax', { axis: -1 })],
  ['gelu', simple('Gelu')],
  ['gelu_new', simple('Gelu', { approximate: 'tanh' })],
  ['mish', (w, x) => binary(w, 'Mul', x, unary(w, 'Tanh', unary(w, 'Softplus', x)))],
  ['swish', (w, x) => binary(w, 'Mul', x, unary(w, 'Sigmoid', x))],
  ['silu', (w, x) => binary(w, 'Mul', x, unary(w, 'Sigmoid', x))],
  ['exponential', simple('Exp')],
])
