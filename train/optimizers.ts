// The optimizers: each one update of a flat vector of all weights, written into the training graph.
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import type { OptimizerOptions } from './options.ts'

/** What an update reads; vectors have one element a weight. */
interface UpdateContext {
  readonly weights: Value
  readonly gradient: Value
  /** The optimizer's memory, one vector a name of `state`. */
  readonly state: readonly Value[]
  /** 1 where weight decay applies, 0 for norms and biases. */
  readonly decays: Value
  /** The inputs named by `hyper`, scalars. */
  readonly hyper: readonly Value[]
}

type OptimizerName = OptimizerOptions['name']
type OptionsOf<Name extends OptimizerName> = Extract<OptimizerOptions, { name: Name }>

/** An optimizer: what it remembers, what changes from step to step, and the update. */
export interface Optimizer<Name extends OptimizerName> {
  /** Names of its state vectors. */
  readonly state: readonly string[]
  /** Scalars of step 1, 2, …, given the learning rate of that step; fed, so that a schedule rebuilds nothing. */
  readonly hyper: (step: number, rate: number, options: OptionsOf<Name>) => readonly number[]
  readonly update: (
    g: Builder,
    context: UpdateContext,
    options: OptionsOf<Name>,
  ) => { readonly weights: Value; readonly state: readonly Value[] }
}

/** The optimizers by name. */
export const optimizers: { readonly [Name in OptimizerName]: Optimizer<Name> } = {
  // v ← μv + g, w ← w - ηv (Sutskever et al. 2013; Nesterov: w ← w - η(g + μv))
  sgd: {
    state: ['velocity'],
    hyper: (_step, rate) => [rate],
    update: (
      g,
      { weights, gradient, state, decays, hyper },
      { momentum, nesterov, weightDecay },
    ) => {
      const [rate] = hyper
      const decayed =
        weightDecay === 0 ? gradient : g.Add(gradient, g.Mul(g.Mul(decays, weightDecay), weights))
      const velocity = g.Add(g.Mul(state[0], momentum), decayed)
      const direction = nesterov ? g.Add(decayed, g.Mul(velocity, momentum)) : velocity
      return { weights: g.Sub(weights, g.Mul(direction, rate)), state: [velocity] }
    },
  },
  // Kingma and Ba 2015, algorithm 1, in the form of section 2's last paragraph; decay as in Loshchilov and Hutter 2019
  adamw: {
    state: ['mean', 'square'],
    hyper: (step, rate, { betas }) => [
      rate / (1 - betas[0] ** step),
      1 / Math.sqrt(1 - betas[1] ** step),
      rate,
    ],
    update: (g, { weights, gradient, state, decays, hyper }, { betas, epsilon, weightDecay }) => {
      const [first, second, rate] = hyper
      const mean = g.Add(g.Mul(state[0], betas[0]), g.Mul(gradient, 1 - betas[0]))
      const square = g.Add(
        g.Mul(state[1], betas[1]),
        g.Mul(g.Mul(gradient, gradient), 1 - betas[1]),
      )
      const root = g.Add(g.Mul(g.Sqrt(square), second), epsilon)
      const moved = g.Sub(weights, g.Div(g.Mul(mean, first), root))
      if (weightDecay === 0) return { weights: moved, state: [mean, square] }
      const decay = g.Mul(g.Mul(g.Mul(decays, weightDecay), rate), weights)
      return { weights: g.Sub(moved, decay), state: [mean, square] }
    },
  },
}

/** The optimizer of the options, with the type of the options forgotten. */
export function optimizerOf(options: OptimizerOptions): Optimizer<OptimizerName> {
  // The row and the options have the same name, which the compiler cannot tie together over a union.
  return optimizers[options.name] as Optimizer<OptimizerName>
}
