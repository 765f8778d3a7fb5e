// The losses: one row each, a scalar written into the graph from the student's outputs.
import { UserError } from '../base/errors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { sizeOf, tensorOf } from '../onnx/tensor.ts'
import type { LossContext } from './loss-context.ts'
import type { LossOptions } from './options.ts'
import { shapeOf } from './rule.ts'

type LossName = LossOptions['loss']
type OptionsOf<Name extends LossName> = Extract<LossOptions, { loss: Name }>

/** What a loss compares the outputs with: what must be fed besides the model's inputs. */
export type Reference = 'labels' | 'values' | 'teacher' | 'input'

/** A loss: the mean over the batch as a scalar, and what it compares with. */
interface Loss<Name extends LossName> {
  readonly comparesWith: Reference
  readonly write: (g: Builder, context: LossContext, options: OptionsOf<Name>) => Value
}

/** The losses by name. */
export const losses: { readonly [Name in LossName]: Loss<Name> } = {
  // -Σ w q log softmax(z) with q = (1-ε)·onehot + ε/K (Szegedy et al. 2016, section 7), w the weight of a class
  'cross-entropy': {
    comparesWith: 'labels',
    write: (g, { logits, targets, positions, batch, classWeights }, { labelSmoothing }) => {
      const z = logits()
      const classes = shapeOf(z)[1]!
      const several = positions() > 1
      const spread = labelSmoothing / classes
      const smooth =
        labelSmoothing === 0
          ? targets()
          : g.Add(
              g.Mul(targets(), 1 - labelSmoothing),
              // A position that does not count gets nothing either.
              several ? g.Mul(counting(g, targets()), spread) : spread,
            )
      const weighted = classWeights
        ? g.Mul(smooth, tensorOf('float32', [classes], classWeights))
        : smooth
      const sum = total(g, g.Mul(weighted, g.LogSoftmax(z, { axis: -1 })))
      return several
        ? g.Neg(g.Div(sum, atLeastOne(g, total(g, targets()))))
        : g.Mul(sum, -1 / batch)
    },
  },
  // T² Σ p (log p - log q), p = softmax(teacher/T), q = softmax(student/T) (Hinton et al. 2015, section 2.1)
  kl: {
    comparesWith: 'teacher',
    write: (g, { logits, targets, teacher, positions, labelled, batch }, { temperature }) => {
      const student = g.LogSoftmax(g.Mul(logits(), 1 / temperature), { axis: -1 })
      const theirs = g.Reshape(teacher(0), shapeOf(logits()))
      const taught = g.LogSoftmax(g.Mul(theirs, 1 / temperature), { axis: -1 })
      const divergence = g.Mul(g.Exp(taught), g.Sub(taught, student))
      if (positions() === 1 || !labelled)
        return g.Mul(total(g, divergence), temperature ** 2 / (batch * positions()))
      const counts = counting(g, targets())
      const mean = g.Div(total(g, g.Mul(divergence, counts)), atLeastOne(g, total(g, counts)))
      return g.Mul(mean, temperature ** 2)
    },
  },
  // mean of -w y log σ(z) - (1-y) log σ(-z), with log σ(z) = -softplus(-z)
  'binary-cross-entropy': {
    comparesWith: 'values',
    write: (g, { binaryLogits, values, classWeights }, { positiveWeight }) => {
      const z = binaryLogits()
      const width = shapeOf(z)[1]!
      const known = g.Cast(g.GreaterOrEqual(values(), 0), { to: float32 })
      const y = g.Mul(values(), known)
      const yes = g.Mul(y, g.Softplus(g.Neg(z)))
      const no = g.Mul(g.Sub(known, y), g.Softplus(z))
      const both = g.Add(positiveWeight === 1 ? yes : g.Mul(yes, positiveWeight), no)
      const weighted =
        classWeights?.length === width
          ? g.Mul(both, tensorOf('float32', [width], classWeights))
          : both
      return g.Div(total(g, weighted), atLeastOne(g, total(g, known)))
    },
  },
  // T² mean of p (log p - log q) + (1-p) (log (1-p) - log (1-q)), p and q the sigmoids of the logits over T
  'kl-binary': {
    comparesWith: 'teacher',
    write: (g, { binaryLogits, teacher }, { temperature }) => {
      const z = binaryLogits()
      const s = g.Mul(z, 1 / temperature)
      const t = g.Mul(g.Reshape(teacher(0), shapeOf(z)), 1 / temperature)
      const yes = g.Sub(g.Softplus(g.Neg(s)), g.Softplus(g.Neg(t)))
      const no = g.Sub(g.Softplus(s), g.Softplus(t))
      const divergence = g.Add(g.Mul(g.Sigmoid(t), yes), g.Mul(g.Sigmoid(g.Neg(t)), no))
      return g.Mul(total(g, divergence), temperature ** 2 / sizeOf(shapeOf(z)))
    },
  },
  // mean (y - t)²
  'squared-error': {
    comparesWith: 'values',
    write: (g, context) => {
      const difference = differenceToValues(g, context)
      return g.Mul(squares(g, difference), 1 / sizeOf(shapeOf(context.predictions())))
    },
  },
  // mean |y - t|
  'absolute-error': {
    comparesWith: 'values',
    write: (g, context) => {
      const sum = total(g, g.Abs(differenceToValues(g, context)))
      return g.Mul(sum, 1 / sizeOf(shapeOf(context.predictions())))
    },
  },
  // mean of d²/2 where d = |y - t| ≤ δ, else δ (d - δ/2) (Huber 1964); with q = min(d, δ) both are q (d - q/2)
  huber: {
    comparesWith: 'values',
    write: (g, context, { delta }) => {
      const distance = g.Abs(differenceToValues(g, context))
      const near = g.Min(distance, delta)
      const sum = total(g, g.Mul(near, g.Sub(distance, g.Mul(near, 0.5))))
      return g.Mul(sum, 1 / sizeOf(shapeOf(context.predictions())))
    },
  },
  // mean over pairs of (cos(a, b) - t)² (Reimers and Gurevych 2019, section 3)
  'cosine-pairs': {
    comparesWith: 'values',
    write: (g, { predictions, values, batch, where }) => {
      if (batch % 2 !== 0)
        throw new UserError(
          `${where}: 'cosine-pairs' takes samples in pairs: a batch of ${batch} — use an even one`,
        )
      const pairs = batch / 2
      const embeddings = g.Reshape(predictions(), [pairs, 2, -1])
      const [one, other] = [0, 1].map((at) => g.Slice(embeddings, [at], [at + 1], [1]))
      const wanted = g.Slice(g.Reshape(values(1), [pairs, 2, 1]), [0], [1], [1])
      return g.Mul(squares(g, g.Sub(cosine(g, one!, other!), wanted)), 1 / pairs)
    },
  },
  // mean of 1 - cos(y, t)
  embedding: {
    comparesWith: 'teacher',
    write: (g, { predictions, teacher, batch }) => {
      const own = predictions()
      const cosines = cosine(g, own, g.Reshape(teacher(0), shapeOf(own)))
      return g.Sub(1, g.Mul(total(g, cosines), 1 / batch))
    },
  },
  // mean over pairs of a group, weighted by how much more relevant one is, of -log σ(z_more - z_less) (Burges et al. 2005;
  // with relevances of 0 and 1 that of Rendle et al. 2009)
  pairwise: {
    comparesWith: 'values',
    write: (g, { predictions, binaryLogits, values, batch, group, where }) => {
      if (group < 2 || batch % group !== 0 || shapeOf(predictions())[1] !== 1)
        throw new UserError(
          `${where}: 'pairwise' takes one score for each of a group's candidates: groups of ${group}, a batch of ${batch}, ${shapeOf(predictions())[1]} outputs — use 'binary-cross-entropy', or whole groups`,
        )
      const against = (value: Value) => {
        const groups = batch / group
        return g.Sub(g.Reshape(value, [groups, group, 1]), g.Reshape(value, [groups, 1, group]))
      }
      const more = g.Max(against(g.Max(values(1), 0)), 0)
      const lost = g.Mul(more, g.Softplus(g.Neg(against(binaryLogits()))))
      return g.Div(total(g, lost), g.Add(total(g, more), 1e-12))
    },
  },
  // mean (y - x)²
  reconstruction: {
    comparesWith: 'input',
    write: (g, { predictions, input }) => {
      const own = predictions()
      return g.Mul(squares(g, g.Sub(own, input())), 1 / sizeOf(shapeOf(own)))
    },
  },
  // Σ over outputs of mean (y - t)² / mean t², so that outputs of different scale count alike
  match: {
    comparesWith: 'teacher',
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
    comparesWith: 'teacher',
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

/** True where any of the losses compares with this. */
export const comparesWith = (terms: readonly LossOptions[], reference: Reference): boolean =>
  terms.some(({ loss }) => losses[loss].comparesWith === reference)

/** True where any of the losses compares with a teacher. */
export const needsTeacher = (terms: readonly LossOptions[]): boolean =>
  comparesWith(terms, 'teacher')

/** ONNX's number of the type. */
const float32 = 1

const total = (g: Builder, value: Value): Value => g.ReduceSum(value, { keepdims: 0 })

const squares = (g: Builder, value: Value): Value => total(g, g.Mul(value, value))

/** 1 for each row of targets that counts, 0 for one of zeros: `[rows, 1]`. */
const counting = (g: Builder, targets: Value): Value => g.ReduceSum(targets, [1], { keepdims: 1 })

/** The divisor of a mean over what may be nothing. */
const atLeastOne = (g: Builder, count: Value): Value => g.Max(count, 1)

const differenceToValues = (g: Builder, { predictions, values }: LossContext): Value =>
  g.Sub(predictions(), values())

/** The cosine of vectors along the last axis, which stays with length 1; finite, with its gradient, for zeros too. */
function cosine(g: Builder, one: Value, other: Value): Value {
  const along = (a: Value, b: Value) => g.ReduceSum(g.Mul(a, b), [-1], { keepdims: 1 })
  const length = (value: Value) => g.Sqrt(g.Add(along(value, value), 1e-8))
  return g.Div(along(one, other), g.Mul(length(one), length(other)))
}
