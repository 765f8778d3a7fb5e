// The optimizers: each one update of a flat vector of all weights, written into the training graph.
//
// Every node is one pass over memory, so the formulas are arranged for few of them: moments are kept without their
// factor 1 - β, that factor, the bias corrections and the rate come together in scalars, and what is multiplied with a
// constant anyway is kept multiplied. Passes over the whole vector: sgd 4 (Nesterov 5), adam and adamw 10, rmsprop 8
// (momentum 10, centred 14); 2 more for decay as a term of the loss, 3 for decoupled decay, 1 for factors of the rate.
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { pack, type Slot } from './flat.ts'
import type { OptimizerOptions } from './options.ts'

/** What an update reads; vectors have one element a weight. */
interface UpdateContext {
  readonly weights: Value
  readonly gradient: Value
  /** The optimizer's memory, one vector a name of `state`. */
  readonly state: readonly Value[]
  /** 1 where weight decay applies, 0 for norms and biases. */
  readonly decays: Value
  /** What each weight's learning rate is multiplied with, decoupled decay included; undefined where all are 1. */
  readonly rates?: Value | undefined
  /** Where each tensor lies in the vectors. */
  readonly slots: readonly Slot[]
  /** The inputs named by `hyper`, scalars. */
  readonly hyper: readonly Value[]
}

type OptimizerName = OptimizerOptions['name']
type OptionsOf<Name extends OptimizerName> = Extract<OptimizerOptions, { name: Name }>

/** An optimizer: what it remembers, what changes from step to step, and the update. */
interface Row<Name extends OptimizerName> {
  /** Names of its state vectors. */
  readonly state: (options: OptionsOf<Name>) => readonly string[]
  /** Scalars of step 1, 2, …, given the learning rate of that step; fed, so that a schedule rebuilds nothing. */
  readonly hyper: (step: number, rate: number, options: OptionsOf<Name>) => readonly number[]
  readonly update: (
    g: Builder,
    context: UpdateContext,
    options: OptionsOf<Name>,
  ) => { readonly weights: Value; readonly state: readonly Value[] }
}

/** An optimizer with the state that its options ask for. */
export interface Optimizer extends Omit<Row<OptimizerName>, 'state'> {
  /** Names of its state vectors. */
  readonly state: readonly string[]
}

/** The optimizers by name. */
export const optimizers: { readonly [Name in OptimizerName]: Row<Name> } = {
  // v ← μv + g, w ← w - ηv (Sutskever et al. 2013; Nesterov: w ← w - η(g + μv)); the state is μv.
  sgd: {
    state: ({ momentum }) => (momentum === 0 ? [] : ['velocity']),
    hyper: (_step, rate) => [rate],
    update: (g, context, { momentum, nesterov, weightDecay }) => {
      const gradient = withDecay(g, context, weightDecay)
      const [rate] = context.hyper
      const [kept] = context.state
      if (!kept) return { weights: descend(g, context, gradient, rate), state: [] }
      const velocity = g.Add(kept, gradient)
      const next = g.Mul(velocity, momentum)
      const direction = nesterov ? g.Add(gradient, next) : velocity
      return { weights: descend(g, context, direction, rate), state: [next] }
    },
  },
  // Kingma and Ba 2015, algorithm 1, with the decay as a term of the loss
  adam: {
    state: () => ['mean', 'square'],
    hyper: (step, rate, options) => {
      const { ratio, epsilon } = corrections(step, options)
      return [rate * ratio, epsilon]
    },
    update: (g, context, { betas, weightDecay }) => {
      const [rate, epsilon] = context.hyper
      const gradient = withDecay(g, context, weightDecay)
      const { direction, state } = adaptive(g, { ...context, gradient }, betas, epsilon)
      return { weights: descend(g, context, direction, rate), state }
    },
  },
  // Loshchilov and Hutter 2019, algorithm 2: w ← w - η(m̂ / (√v̂ + ε) + λw), with λ a share of the rate
  adamw: {
    state: () => ['mean', 'square'],
    hyper: (step, rate, options) => {
      const { ratio, epsilon } = corrections(step, options)
      return [rate * ratio, epsilon, rate]
    },
    update: (g, context, { betas, weightDecay }) => {
      const [adaptiveRate, epsilon, rate] = context.hyper
      const { direction, state } = adaptive(g, context, betas, epsilon)
      if (weightDecay === 0) return { weights: descend(g, context, direction, adaptiveRate), state }
      const { decays, rates, weights } = context
      const shares = rates ? g.Mul(decays, rates) : decays
      const lost = g.Mul(decay(g, { ...context, decays: shares }, weightDecay), rate)
      const kept = { ...context, weights: g.Sub(weights, lost) }
      return { weights: descend(g, kept, direction, adaptiveRate), state }
    },
  },
  // Tieleman and Hinton 2012: s ← αs + (1 - α)g², w ← w - ηg / (√s + ε). With momentum (Sutskever et al. 2013) that
  // direction drives a velocity; centred (Graves 2013, equation 40), the square of a running mean is taken off s.
  rmsprop: {
    state: ({ momentum, centred }) => [
      'square',
      ...(centred ? ['mean'] : []),
      ...(momentum === 0 ? [] : ['velocity']),
    ],
    hyper: (_step, rate, { alpha }) => [rate / Math.sqrt(1 - Math.fround(alpha))],
    update: (g, context, { alpha, epsilon, momentum, centred, weightDecay }) => {
      const [rate] = context.hyper
      const rest = 1 - Math.fround(alpha)
      const gradient = withDecay(g, context, weightDecay)
      const square = g.Add(g.Mul(context.state[0], alpha), g.Mul(gradient, gradient))
      const mean = centred ? g.Add(g.Mul(context.state[1], alpha), gradient) : undefined
      const root = g.Sqrt(mean ? variance(g, square, mean, rest) : square)
      const adapted = g.Div(gradient, g.Add(root, epsilon / Math.sqrt(rest)))
      const moments = mean ? [square, mean] : [square]
      if (momentum === 0) return { weights: descend(g, context, adapted, rate), state: moments }
      const velocity = g.Add(g.Mul(context.state.at(-1), momentum), adapted)
      return { weights: descend(g, context, velocity, rate), state: [...moments, velocity] }
    },
  },
  // You et al. 2020, algorithm 2, with φ the identity: w ← w - η ‖w‖/‖u‖ u for u = m̂ / (√v̂ + ε) + λw, tensor by
  // tensor. Norms and biases move by u itself, as is usual: a bias starts at 0, where the ratio would all but hold it.
  lamb: {
    state: () => ['mean', 'square'],
    hyper: (step, rate, options) => {
      const { ratio, epsilon } = corrections(step, options)
      return [ratio, epsilon, rate]
    },
    update: (g, context, { betas, weightDecay }) => {
      const [ratio, epsilon, rate] = context.hyper
      const { direction, state } = adaptive(g, context, betas, epsilon)
      const adapted = g.Mul(direction, ratio)
      const update = weightDecay === 0 ? adapted : g.Add(adapted, decay(g, context, weightDecay))
      const trusted = trustedRates(g, context, update, rate!)
      return { weights: descend(g, context, update, trusted), state }
    },
  },
}

/** The optimizer of the options, with the type of the options forgotten. */
export function optimizerOf(options: OptimizerOptions): Optimizer {
  // The row and the options have the same name, which the compiler cannot tie together over a union.
  const row = optimizers[options.name] as Row<OptimizerName>
  return { ...row, state: row.state(options) }
}

/** True for matrices and kernels, false for biases, norms and other vectors. */
export const isMatrix = ({ dims }: Slot): boolean => dims.filter((dim) => dim > 1).length > 1

/** λw where decay applies. */
function decay(g: Builder, { decays, weights }: UpdateContext, weightDecay: number): Value {
  // What the weights are multiplied with is constant: the runtime computes it once.
  return g.Mul(g.Mul(decays, weightDecay), weights)
}

/** g + λw, the gradient of the loss with the term λ‖w‖²/2. */
function withDecay(g: Builder, context: UpdateContext, weightDecay: number): Value {
  const { gradient } = context
  return weightDecay === 0 ? gradient : g.Add(gradient, decay(g, context, weightDecay))
}

/** w - ηd, with the factors of the rate where there are any. */
function descend(
  g: Builder,
  { weights, rates }: UpdateContext,
  direction: Value,
  rate: Value | undefined,
): Value {
  const step = g.Mul(direction, rate)
  return g.Sub(weights, rates ? g.Mul(step, rates) : step)
}

type Betas = readonly [number, number]

/**
 * The scalars that make up for what {@link adaptive} leaves out: m̂ / (√v̂ + ε) = `ratio` · M / (√S + `epsilon`).
 *
 * With M = m/(1-β₁) and S = v/(1-β₂) the corrected moments are m̂ = M(1-β₁)/(1-β₁ᵗ) and v̂ = S(1-β₂)/(1-β₂ᵗ).
 */
function corrections(step: number, { betas, epsilon }: { betas: Betas; epsilon: number }) {
  // As the graph has them: 1 - β is small, and what float32 rounds off β is a larger share of it.
  const [first, second] = [Math.fround(betas[0]), Math.fround(betas[1])]
  const mean = (1 - first) / (1 - first ** step)
  const root = Math.sqrt((1 - second) / (1 - second ** step))
  return { ratio: mean / root, epsilon: epsilon / root }
}

/** M ← β₁M + g, S ← β₂S + g², and M / (√S + ε). */
function adaptive(
  g: Builder,
  { gradient, state }: UpdateContext,
  betas: Betas,
  epsilon: Value | undefined,
): { direction: Value; state: readonly Value[] } {
  const mean = g.Add(g.Mul(state[0], betas[0]), gradient)
  const square = g.Add(g.Mul(state[1], betas[1]), g.Mul(gradient, gradient))
  return { direction: g.Div(mean, g.Add(g.Sqrt(square), epsilon)), state: [mean, square] }
}

/** s - m² by moments that lack their factor `rest`, over that factor; not below 0, where rounding may lead. */
const variance = (g: Builder, square: Value, mean: Value, rest: number): Value =>
  g.Relu(g.Sub(square, g.Mul(g.Mul(mean, mean), rest)))

/** η ‖w‖/‖u‖ for every weight of a matrix, η for all others and where a norm is 0. */
function trustedRates(
  g: Builder,
  { weights, slots }: UpdateContext,
  update: Value,
  rate: Value,
): Value {
  const matrices = slots.filter(isMatrix)
  if (matrices.length === 0) return rate
  // Weights and update lie one above the other, so that one sum a tensor does for both. A sum of its own for each
  // keeps the precision that differences of running sums would lose.
  const rows = g.Concat(g.Reshape(weights, [1, -1]), g.Reshape(update, [1, -1]), { axis: 0 })
  const squares = g.Mul(rows, rows)
  const sums = matrices.map(({ offset, size }) =>
    g.ReduceSum(g.Slice(squares, [offset], [offset + size], [1]), [1], { keepdims: 1 }),
  )
  const norms = g.Sqrt(g.Concat(...sums, { axis: 1 }))
  const [ofWeights, ofUpdate] = [g.Slice(norms, [0], [1], [0]), g.Slice(norms, [1], [2], [0])]
  const positive = g.Greater(g.Min(ofWeights, ofUpdate), 0)
  const trust = g.Mul(g.Where(positive, g.Div(ofWeights, ofUpdate), 1), rate)
  let place = 0
  const spread = slots.map((slot) => {
    const one = isMatrix(slot) ? g.Slice(trust, [place], [++place], [1]) : rate
    return g.Expand(one, [1, slot.size])
  })
  return pack(g, spread)
}
