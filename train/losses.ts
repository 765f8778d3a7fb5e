// The losses: one row each, a scalar written into the graph from the student's outputs.
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { sizeOf, tensorOf } from '../onnx/tensor.ts'
import type { LossContext } from './loss-context.ts'
import type { LossOptions } from './options.ts'
import { shapeOf } from './rule.ts'

type LossName = LossOptions['loss']
type OptionsOf<Name extends LossName> = Extract<LossOptions, { loss: Name }>

/** A loss: the mean over the batch as a scalar, and whether it needs a teacher. */
interface Loss<Name extends LossName> {
  readonly needsTeacher: boolean
  readonly write: (g: Builder, context: LossContext, options: OptionsOf<Name>) => Value
}

/** The losses by name. */
export const losses: { readonly [Name in LossName]: Loss<Name> } = {
  // -Σ w q log softmax(z) with q = (1-ε)·onehot + ε/K (Szegedy et al. 2016, section 7), w the weight of a class
  'cross-entropy': {
    needsTeacher: false,
    write: (g, { logits, targets, batch, classWeights }, { labelSmoothing }) => {
      const z = logits()
      const classes = shapeOf(z)[1]!
      const smooth =
        labelSmoothing === 0
          ? targets()
          : g.Add(g.Mul(targets(), 1 - labelSmoothing), labelSmoothing / classes)
      const weighted = classWeights
        ? g.Mul(smooth, tensorOf('float32', [classes], classWeights))
        : smooth
      return g.Mul(total(g, g.Mul(weighted, g.LogSoftmax(z, { axis: -1 }))), -1 / batch)
    },
  },
  // T² Σ p (log p - log q), p = softmax(teacher/T), q = softmax(student/T) (Hinton et al. 2015, section 2.1)
  kl: {
    needsTeacher: true,
    write: (g, { logits, teacher, batch }, { temperature }) => {
      const student = g.LogSoftmax(g.Mul(logits(), 1 / temperature), { axis: -1 })
      const theirs = g.Reshape(teacher(0), shapeOf(logits()))
      const taught = g.LogSoftmax(g.Mul(theirs, 1 / temperature), { axis: -1 })
      const divergence = total(g, g.Mul(g.Exp(taught), g.Sub(taught, student)))
      return g.Mul(divergence, temperature ** 2 / batch)
    },
  },
  // Σ over outputs of mean (y - t)² / mean t², so that outputs of different scale count alike
  match: {
    needsTeacher: true,
    write: (g, { outputs, teacher }) => {
      const terms = outputs.map((output, index) => {
        const theirs = teacher(index)
        const error = squares(g, g.Sub(output, theirs))
        return g.Div(error, g.Add(squares(g, theirs), 1e-12 * sizeOf(shapeOf(output))))
      })
      return terms.reduce((sum, term) => g.Add(sum, term))
    },
  },
  // mean (z - t)² (Ba and Caruana 2014, equation 1)
  mse: {
    needsTeacher: true,
    write: (g, { logits, teacher }) => {
      const z = logits()
      const difference = g.Sub(z, g.Reshape(teacher(0), shapeOf(z)))
      return g.Mul(squares(g, difference), 1 / sizeOf(shapeOf(z)))
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

const total = (g: Builder, value: Value): Value => g.ReduceSum(value, { keepdims: 0 })

const squares = (g: Builder, value: Value): Value => total(g, g.Mul(value, value))
