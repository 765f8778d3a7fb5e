// Reference evaluators of recurrent operators, element by element from ONNX's definitions.
import type { Attributes } from '../../../onnx/build.ts'
import { at, type Evaluator, fill, type NdArray, numberOf, required } from './nd.ts'

type Activation = (x: number) => number

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high)

const activations: Readonly<Record<string, (alpha: number, beta: number) => Activation>> = {
  HardSigmoid: (alpha, beta) => (x) => clamp(alpha * x + beta, 0, 1),
  LeakyRelu: (alpha) => (x) => (x > 0 ? x : alpha * x),
  ScaledTanh: (alpha, beta) => (x) => alpha * Math.tanh(beta * x),
  Sigmoid: () => (x) => 1 / (1 + Math.exp(-x)),
  Softsign: () => (x) => x / (1 + Math.abs(x)),
  Tanh: () => Math.tanh,
}

/** What the cell of one sequence sees: rows of sums by unit, and its functions. */
interface Cell {
  readonly hidden: number
  /** The input's share of a row of W, with its bias, at the present place. */
  readonly input: (row: number) => number
  /** A state's share of a row of R, with its bias. */
  readonly recurrent: (row: number, h: readonly number[]) => number
  readonly peephole: (row: number) => number
  readonly functions: readonly Activation[]
  readonly clip: Activation
  readonly attributes: Attributes
}

interface State {
  readonly h: readonly number[]
  readonly c: readonly number[]
}

type Step = (cell: Cell, before: State) => State

const units = (hidden: number, f: (unit: number) => number): number[] =>
  Array.from({ length: hidden }, (_, unit) => f(unit))

const lstmStep: Step = (
  { hidden, input, recurrent, peephole, functions, clip, attributes },
  before,
) => {
  const [f, g, h] = functions as [Activation, Activation, Activation]
  const sum = (block: number, unit: number) =>
    input(block * hidden + unit) + recurrent(block * hidden + unit, before.h)
  const seen = (block: number, unit: number, c: readonly number[]) =>
    peephole(block * hidden + unit) * c[unit]!
  const i = units(hidden, (unit) => f(clip(sum(0, unit) + seen(0, unit, before.c))))
  const forget = units(hidden, (unit) =>
    numberOf(attributes, 'input_forget', 0)
      ? 1 - i[unit]!
      : f(clip(sum(2, unit) + seen(2, unit, before.c))),
  )
  const c = units(
    hidden,
    (unit) => forget[unit]! * before.c[unit]! + i[unit]! * g(clip(sum(3, unit))),
  )
  const o = units(hidden, (unit) => f(clip(sum(1, unit) + seen(1, unit, c))))
  return { h: units(hidden, (unit) => o[unit]! * h(c[unit]!)), c }
}

const gruStep: Step = ({ hidden, input, recurrent, functions, clip, attributes }, { h, c }) => {
  const [f, g] = functions as [Activation, Activation]
  const gate = (block: number) =>
    units(hidden, (unit) => {
      const row = block * hidden + unit
      return f(clip(input(row) + recurrent(row, h)))
    })
  const [z, r] = [gate(0), gate(1)]
  const late = numberOf(attributes, 'linear_before_reset', 0) !== 0
  const kept = units(hidden, (unit) => r[unit]! * h[unit]!)
  const fresh = units(hidden, (unit) => {
    const row = 2 * hidden + unit
    const share = late ? r[unit]! * recurrent(row, h) : recurrent(row, kept)
    return g(clip(input(row) + share))
  })
  return { h: units(hidden, (unit) => (1 - z[unit]!) * fresh[unit]! + z[unit]! * h[unit]!), c }
}

const rnnStep: Step = ({ hidden, input, recurrent, functions, clip }, { h, c }) => ({
  h: units(hidden, (row) => functions[0]!(clip(input(row) + recurrent(row, h)))),
  c,
})

const recurrent =
  (step: Step, usual: readonly string[], memory: boolean): Evaluator =>
  ([x, w, r, b, lengths, initialH, initialC, p], attributes) => {
    const [sequence, weight, state] = [required(x), required(w), required(r)]
    const [places = 0, batch = 0, width = 0] = sequence.dims
    const [directions = 0, rows = 0, hidden = 0] = state.dims
    const clip = numberOf(attributes, 'clip', 0)
    const bias = (direction: number, row: number) => (b ? at(b, [direction, row]) : 0)
    const hs = new Map<string, readonly number[]>()
    const last: State[][] = []
    for (let d = 0; d < directions; d++) {
      const backwards = d === 1 || attributes.direction === 'reverse'
      const functions = functionsOf(attributes, usual, d, directions)
      last.push([])
      for (let n = 0; n < batch; n++) {
        const begin = (given: NdArray | undefined) =>
          units(hidden, (unit) => (given ? at(given, [d, n, unit]) : 0))
        let now: State = { h: begin(initialH), c: begin(initialC) }
        const length = lengths?.data[n] ?? places
        for (let count = 0; count < length; count++) {
          const place = backwards ? length - 1 - count : count
          const input = (row: number) =>
            units(width, (k) => at(sequence, [place, n, k]) * at(weight, [d, row, k])).reduce(
              (sum, share) => sum + share,
              bias(d, row),
            )
          now = step(
            {
              hidden,
              input,
              recurrent: (row, h) =>
                h.reduce(
                  (sum, value, unit) => sum + value * at(state, [d, row, unit]),
                  bias(d, rows + row),
                ),
              peephole: (row) => (p && row < 3 * hidden ? at(p, [d, row]) : 0),
              functions,
              clip: (sum) => (clip > 0 ? clamp(sum, -clip, clip) : sum),
              attributes,
            },
            now,
          )
          hs.set([place, d, n].join(), now.h)
        }
        last[d]!.push(now)
      }
    }
    const y = fill(
      [places, directions, batch, hidden],
      ([place, d, n, unit]) => hs.get([place, d, n].join())?.[unit!] ?? 0,
    )
    const lastOf = (key: keyof State) =>
      fill([directions, batch, hidden], ([d, n, unit]) => last[d!]![n!]![key][unit!]!)
    return { ...y, more: memory ? [lastOf('h'), lastOf('c')] : [lastOf('h')] }
  }

/** The functions of one direction; alphas and betas go to those that take one, in order. */
function functionsOf(
  attributes: Attributes,
  usual: readonly string[],
  direction: number,
  directions: number,
): Activation[] {
  const names = (attributes.activations ??
    Array.from({ length: directions }, () => usual).flat()) as readonly string[]
  const alphas = [...((attributes.activation_alpha ?? []) as readonly number[])]
  const betas = [...((attributes.activation_beta ?? []) as readonly number[])]
  const all = names.map((name) => {
    const make = activations[name]!
    return make(make.length > 0 ? alphas.shift()! : 0, make.length > 1 ? betas.shift()! : 0)
  })
  return all.slice(direction * usual.length, (direction + 1) * usual.length)
}

/** Evaluators by operator. */
export const recurrents: Readonly<Record<string, Evaluator>> = {
  GRU: recurrent(gruStep, ['Sigmoid', 'Tanh'], false),
  LSTM: recurrent(lstmStep, ['Sigmoid', 'Tanh', 'Tanh'], true),
  RNN: recurrent(rnnStep, ['Tanh'], false),
}
