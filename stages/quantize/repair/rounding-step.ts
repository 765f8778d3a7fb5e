// One step of learning roundings, as a graph of ordinary operators with its gradient written out: a product of matrices
// and Adam.
import { newModel } from '../../../onnx/build.ts'
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { openSession, type Session } from '../../../runtime/session.ts'
import type { MatrixForm } from '../../prune/matrix-layers.ts'

/** A layer whose roundings are to be learned. */
export interface RoundingProblem {
  readonly form: MatrixForm
  /** Σ x̂ x̂ᵀ, `[groups, columns, columns]`. */
  readonly inputs: Float32Array
  /** Σ (y - ŷ) x̂ᵀ of unrounded weights, `[groups, rows, columns]`. */
  readonly residuals: Float32Array
  /** Σ |y - ŷ|² of these. */
  readonly constant: number
  /** How far weights are above their lower neighbours, in steps (0..1 but for clipped ones), `[groups, rows, columns]`. */
  readonly rests: Float32Array
  /** What a step is worth, `[groups, rows]`. */
  readonly steps: Float32Array
}

/** A problem that is open for learning. */
export interface Rounding {
  /** Σ |y - ŷ|² with weights rounded up (1) or down (0). */
  errorOf(ups: Float32Array): Promise<number>
  /** Learns in so many steps; gives 1 for weights that are rounded up and 0 for the others. */
  learn(steps: number, beforeSome: () => Promise<void>): Promise<Float32Array>
  dispose(): Promise<void>
}

/** The sigmoid is stretched to ζ and γ and cut off at 0 and 1 (equation 23 of Nagel et al. 2020). */
const stretch = { low: -0.1, high: 1.1 } as const

/** Adam (Kingma and Ba 2015). */
const adam = { rate: 0.03, mean: 0.9, square: 0.99, epsilon: 1e-8 } as const

/** Far beyond the ends of the sigmoid, where roundings are exact and do not change. */
const decidedLogit = 20

/** How much it costs not to be decided, in units of what a weight's own error costs on average. */
const decisiveness = 1

/** β goes from the first to the last, over what comes after a share of the steps without that cost. */
const annealing = { first: 20, last: 2, after: 0.2 } as const

/** Steps between two calls to let others have their turn. */
const between = 16

/** Opens a problem; it has to be disposed of. */
export async function openRounding(problem: RoundingProblem, threads: number): Promise<Rounding> {
  const session = await openSession(stepModel(problem), { threads, where: 'rounding' })
  const { rests, form, constant } = problem
  const dims = [form.groups, form.rows, form.columns]
  const unit = unitOf(problem)
  return {
    async errorOf(ups) {
      const decided = ups.map((up) => (up > 0.5 ? decidedLogit : -decidedLogit))
      const state = { ...newState(dims, decided), ...scalars(0, 2, 1) }
      const { loss } = await session.run(state, ['loss'])
      return constant + elements(loss!, 'float32')[0]! * unit
    },
    async learn(steps, beforeSome) {
      const start = rests.map((rest) => {
        // Zeros that pruning has made, and other weights that need no rounding, stay.
        if (rest <= 0) return -decidedLogit
        const soft = (Math.min(1, Math.max(0, rest)) - stretch.low) / (stretch.high - stretch.low)
        return Math.log(soft / (1 - soft))
      })
      const learned = await descend(session, dims, start, steps, beforeSome)
      return learned.map((logit) => Number(logit > 0))
    },
    dispose: () => session.dispose(),
  }
}

/** The mean cost of rounding a weight by a step. */
function unitOf({ form, inputs, steps }: RoundingProblem): number {
  const { groups, rows, columns } = form
  let sum = 0
  for (let group = 0; group < groups; group++) {
    let trace = 0
    for (let column = 0; column < columns; column++)
      trace += inputs[(group * columns + column) * columns + column]!
    for (let row = 0; row < rows; row++) sum += steps[group * rows + row]! ** 2 * trace
  }
  const mean = sum / (groups * rows * columns)
  return mean > 0 ? mean : 1
}

/** Adam over all steps, to and fro between two sets of memory; gives the logits of the roundings. */
async function descend(
  session: Session,
  dims: readonly number[],
  start: Float32Array,
  steps: number,
  beforeSome: () => Promise<void>,
): Promise<Float32Array> {
  const sets = [newState(dims, start), newState(dims, start)] as const
  const numbers = scalars(0, 2, 1)
  const loss = tensorOf('float32', [], [0])
  const runs = [0, 1].map((at) => {
    const [from, to] = [sets[at]!, sets[1 - at]!]
    const made = { nextLogits: to.logits, nextMeans: to.means, nextSquares: to.squares, loss }
    return session.prepare({ ...from, ...numbers }, made)
  })
  for (let step = 0; step < steps; step++) {
    if (step % between === 0) await beforeSome()
    const part = step / steps
    const warm = part < annealing.after
    const along = (part - annealing.after) / (1 - annealing.after)
    const beta =
      annealing.last + ((annealing.first - annealing.last) * (1 + Math.cos(along * Math.PI))) / 2
    set(numbers.weight, warm ? 0 : decisiveness)
    set(numbers.beta, warm ? annealing.first : beta)
    set(numbers.time, step + 1)
    await runs[step % 2]!()
  }
  return elements(sets[steps % 2]!.logits, 'float32')
}

const newState = (dims: readonly number[], logits: Float32Array) => ({
  logits: tensorOf('float32', dims, logits.slice()),
  means: tensorOf('float32', dims, new Float32Array(logits.length)),
  squares: tensorOf('float32', dims, new Float32Array(logits.length)),
})

const scalars = (weight: number, beta: number, time: number) => ({
  weight: tensorOf('float32', [], [weight]),
  beta: tensorOf('float32', [], [beta]),
  time: tensorOf('float32', [], [time]),
})

/** Writes into the memory of a scalar that is bound to a session. */
function set(scalar: Tensor, value: number): void {
  elements(scalar, 'float32')[0] = value
}

/** Logits and Adam's moments in, those after one step out, with the error (less its constant part, in units). */
function stepModel(problem: RoundingProblem) {
  const { form, inputs, residuals, rests, steps } = problem
  const { groups, rows, columns } = form
  const { model, g } = newModel('rounding', 18)
  const shape = [groups, rows, columns]
  const stateOf = (name: string) => g.input(name, { dtype: 'float32', shape })
  const scalarOf = (name: string) => g.input(name, { dtype: 'float32', shape: [] })
  const [logits, means, squares] = [stateOf('logits'), stateOf('means'), stateOf('squares')]
  const [weight, beta, time] = [scalarOf('weight'), scalarOf('beta'), scalarOf('time')]
  const constant = (dims: readonly number[], values: Float32Array) =>
    g.constant(tensorOf('float32', dims, values))
  const unit = unitOf(problem)

  const soft = g.Sigmoid(logits)
  const stretched = g.Add(g.Mul(soft, stretch.high - stretch.low), stretch.low)
  const ups = g.Max(g.Min(stretched, 1), 0)
  // D, the weights' change: in steps, and as it is.
  const changes = g.Mul(g.Sub(ups, constant(shape, rests)), constant([groups, rows, 1], steps))
  // ½ ∂/∂D (tr D H Dᵀ - 2 tr D Rᵀ) = D H - R
  const squared = constant([groups, columns, columns], scaled(inputs, unit))
  const linear = constant(shape, scaled(residuals, unit))
  const products = g.MatMul(changes, squared)
  const slopes = g.Sub(products, linear)
  const loss = g.ReduceSum(g.Mul(changes, g.Sub(slopes, linear)), { keepdims: 0 })

  const byChange = g.Mul(g.Mul(slopes, 2), constant([groups, rows, 1], steps))
  // Σ 1 - |2h - 1|^β (equation 24)
  const sides = g.Sub(g.Mul(ups, 2), 1)
  const power = g.Pow(g.Max(g.Abs(sides), 1e-6), g.Sub(beta, 1))
  const decisive = g.Mul(g.Mul(g.node('Sign', [sides])[0]!, power), g.Mul(beta, g.Mul(weight, -2)))
  // Where the sigmoid is cut off nothing changes any more.
  const isInside = g.Cast(g.node('And', [g.Greater(stretched, 0), g.Less(stretched, 1)])[0]!, {
    to: 1,
  })
  const byLogit = g.Mul(g.Mul(g.Mul(soft, g.Sub(1, soft)), stretch.high - stretch.low), isInside)
  const gradient = g.Mul(g.Add(byChange, decisive), byLogit)

  const nextMeans = g.Add(g.Mul(means, adam.mean), g.Mul(gradient, 1 - adam.mean))
  const nextSquares = g.Add(
    g.Mul(squares, adam.square),
    g.Mul(g.Mul(gradient, gradient), 1 - adam.square),
  )
  const mean = g.Div(nextMeans, g.Sub(1, g.Pow(adam.mean, time)))
  const square = g.Div(nextSquares, g.Sub(1, g.Pow(adam.square, time)))
  const update = g.Div(mean, g.Add(g.Sqrt(square), adam.epsilon))
  g.output('nextLogits', g.Sub(logits, g.Mul(update, adam.rate)))
  g.output('nextMeans', nextMeans)
  g.output('nextSquares', nextSquares)
  g.output('loss', loss)
  return model
}

const scaled = (values: Float32Array, unit: number): Float32Array =>
  values.map((value) => value / unit)
