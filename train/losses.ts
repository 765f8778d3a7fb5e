// The losses: one row each, a scalar written into the graph from the student's logits.
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import type { LossOptions } from './options.ts'

/** What a loss may look at; every matrix is `[batch, classes]`. */
export interface LossContext {
  readonly logits: Value
  /** One-hot labels. */
  readonly targets: Value
  /** The teacher's logits; present where a loss needs them. */
  readonly teacher: Value | undefined
  readonly batch: number
  readonly classes: number
}

type LossName = LossOptions['loss']
type OptionsOf<Name extends LossName> = Extract<LossOptions, { loss: Name }>

/** A loss: the mean over the batch as a scalar, and whether it needs a teacher. */
interface Loss<Name extends LossName> {
  readonly needsTeacher: boolean
  readonly write: (g: Builder, context: LossContext, options: OptionsOf<Name>) => Value
}

/** The losses by name. */
export const losses: { readonly [Name in LossName]: Loss<Name> } = {
  // -Σ q log softmax(z) with q = (1-ε)·onehot + ε/K (Szegedy et al. 2016, section 7)
  'cross-entropy': {
    needsTeacher: false,
    write: (g, { logits, targets, batch, classes }, { labelSmoothing }) => {
      const smooth =
        labelSmoothing === 0
          ? targets
          : g.Add(g.Mul(targets, 1 - labelSmoothing), labelSmoothing / classes)
      return g.Mul(total(g, g.Mul(smooth, g.LogSoftmax(logits, { axis: -1 }))), -1 / batch)
    },
  },
  // T² Σ p (log p - log q), p = softmax(teacher/T), q = softmax(student/T) (Hinton et al. 2015, section 2.1)
  kl: {
    needsTeacher: true,
    write: (g, { logits, teacher, batch }, { temperature }) => {
      const student = g.LogSoftmax(g.Mul(logits, 1 / temperature), { axis: -1 })
      const taught = g.LogSoftmax(g.Mul(required(teacher), 1 / temperature), { axis: -1 })
      const divergence = total(g, g.Mul(g.Exp(taught), g.Sub(taught, student)))
      return g.Mul(divergence, temperature ** 2 / batch)
    },
  },
  // mean (z - t)² (Ba and Caruana 2014, equation 1)
  mse: {
    needsTeacher: true,
    write: (g, { logits, teacher, batch, classes }) => {
      const difference = g.Sub(logits, required(teacher))
      return g.Mul(total(g, g.Mul(difference, difference)), 1 / (batch * classes))
    },
  },
}

/** Writes the weighted sum of several losses. */
export function writeLoss(g: Builder, context: LossContext, terms: readonly LossOptions[]): Value {
  const written = terms.map((options) => {
    // The row and the options have the same name, which the compiler cannot tie together over a union.
    const { write } = losses[options.loss] as Loss<LossName>
    const value = write(g, context, options as OptionsOf<LossName>)
    return options.weight === 1 ? value : g.Mul(value, options.weight)
  })
  return written.reduce((sum, term) => g.Add(sum, term))
}

/** True where any of the losses compares with a teacher. */
export const needsTeacher = (terms: readonly LossOptions[]): boolean =>
  terms.some(({ loss }) => losses[loss].needsTeacher)

const total = (g: Builder, value: Value): Value => g.ReduceSum(value, [0, 1], { keepdims: 0 })

function required(teacher: Value | undefined): Value {
  if (!teacher) throw new Error('internal: a loss without its teacher')
  return teacher
}
