// Recurrent layers, unrolled over the length of the sequence.
import {
  type Operator,
  type OperatorContext,
  type Operators,
  refuse,
  unstacked,
} from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'

/** What one direction of a layer computes with; weights are turned, so that rows of inputs multiply them. */
interface Cell {
  readonly tf: Tf
  /** [inputs, gates · hidden] and [hidden, gates · hidden] */
  readonly weight: TfTensor
  readonly recurrence: TfTensor
  /** [gates · hidden] each. */
  readonly biases: readonly [TfTensor, TfTensor] | undefined
  /** [3 · hidden] */
  readonly peepholes: TfTensor | undefined
  readonly activations: readonly ((x: TfTensor) => TfTensor)[]
  readonly linearBeforeReset: boolean
}

/** From the inputs of a moment, already multiplied, and the state to the next state; its first part is the output. */
type Step = (cell: Cell, x: TfTensor, state: readonly TfTensor[]) => TfTensor[]

const gatesOf = ({ tf }: Cell, x: TfTensor, count: number): TfTensor[] => tf.split(x, count, -1)

const recurrent = (cell: Cell, h: TfTensor): TfTensor => {
  const product = cell.tf.matMul(h, cell.recurrence)
  return cell.biases ? cell.tf.add(product, cell.biases[1]) : product
}

// Hochreiter and Schmidhuber 1997, with peepholes of Gers and Schmidhuber 2000
const lstm: Step = (cell, x, [h, c]) => {
  const { tf, peepholes } = cell
  const [f, g, k] = cell.activations as [Activation, Activation, Activation]
  const [i0, o0, f0, c0] = gatesOf(cell, tf.add(x, recurrent(cell, h!)), 4)
  const [pi, po, pf] = peepholes ? tf.split(peepholes, 3) : []
  const peep = (gate: TfTensor, p: TfTensor | undefined, state: TfTensor) =>
    f(p ? tf.add(gate, tf.mul(p, state)) : gate)
  const kept = tf.mul(peep(f0!, pf, c!), c!)
  const next = tf.add(kept, tf.mul(peep(i0!, pi, c!), g(c0!)))
  return [tf.mul(peep(o0!, po, next), k(next)), next]
}

// Cho et al. 2014
const gru: Step = (cell, x, [h]) => {
  const { tf, linearBeforeReset } = cell
  const [f, g] = cell.activations as [Activation, Activation]
  const [xz, xr, xh] = gatesOf(cell, x, 3)
  const [hz, hr, hh] = gatesOf(cell, recurrent(cell, h!), 3)
  const z = f(tf.add(xz!, hz!))
  const r = f(tf.add(xr!, hr!))
  const inner = () => {
    if (linearBeforeReset) return tf.mul(r, hh!)
    const last = gatesOf(cell, cell.recurrence, 3)[2]!
    const product = tf.matMul(tf.mul(r, h!), last)
    return cell.biases ? tf.add(product, gatesOf(cell, cell.biases[1], 3)[2]!) : product
  }
  const candidate = g(tf.add(xh!, inner()))
  return [tf.add(tf.mul(tf.sub(1, z), candidate), tf.mul(z, h!))]
}

// Elman 1990
const rnn: Step = (cell, x, [h]) => [cell.activations[0]!(cell.tf.add(x, recurrent(cell, h!)))]

type Activation = (x: TfTensor) => TfTensor

const activations = (tf: Tf): Record<string, Activation> => ({
  relu: (x) => tf.relu(x),
  sigmoid: (x) => tf.sigmoid(x),
  softplus: (x) => tf.softplus(x),
  tanh: (x) => tf.tanh(x),
})

/** A layer whose state has `states` parts. */
const layer =
  (step: Step, states: number, defaults: readonly string[]): Operator =>
  (context) => {
    const { tf, node, inputs } = context
    const batchFirst = node.number('layout', 0) === 1
    const turn = (x: TfTensor) => (batchFirst ? swapped(tf, x) : x)
    const [x, weights, recurrences, biases, lengths, ...given] = inputs
    const moments = unstacked(tf, turn(x!))
    const hidden = node.number('hidden_size', recurrences!.shape.at(-1)!)
    const batch = moments[0]!.shape[0]!
    const direction = node.string('direction', 'forward')
    const reversals = direction === 'bidirectional' ? [false, true] : [direction === 'reverse']
    const functions = functionsOf(context, defaults, reversals.length)
    const masks = lengths && masksOf(tf, lengths, moments.length)
    const results = reversals.map((reversed, index) => {
      const part = (tensor: TfTensor | undefined) => tensor && unstacked(tf, tensor)[index]!
      const bias = part(biases)
      const cell: Cell = {
        tf,
        weight: tf.transpose(part(weights)!),
        recurrence: tf.transpose(part(recurrences)!),
        biases: bias && (tf.split(bias, 2) as [TfTensor, TfTensor]),
        peepholes: part(given[2]),
        activations: functions.slice(index * defaults.length, (index + 1) * defaults.length),
        linearBeforeReset: node.number('linear_before_reset', 0) === 1,
      }
      const initial = Array.from(
        { length: states },
        (_, state) => part(given[state] && turn(given[state])) ?? tf.zeros([batch, hidden]),
      )
      return unroll(cell, step, moments, initial, { reversed, masks })
    })
    const y = tf.stack(
      moments.map((_, time) => tf.stack(results.map((result) => result.outputs[time]!))),
    )
    const last = Array.from({ length: states }, (_, state) =>
      turn(tf.stack(results.map((result) => result.state[state]!))),
    )
    // [length, directions, batch, hidden], or [batch, length, directions, hidden]
    return [batchFirst ? tf.transpose(y, [2, 0, 1, 3]) : y, ...last]
  }

function unroll(
  cell: Cell,
  step: Step,
  moments: readonly TfTensor[],
  initial: TfTensor[],
  { reversed, masks }: { reversed: boolean; masks: readonly TfTensor[] | undefined },
): { outputs: TfTensor[]; state: TfTensor[] } {
  const { tf } = cell
  const outputs: TfTensor[] = []
  let state = initial
  const times = [...moments.keys()]
  for (const time of reversed ? times.reverse() : times) {
    const product = tf.matMul(moments[time]!, cell.weight)
    const next = step(cell, cell.biases ? tf.add(product, cell.biases[0]) : product, state)
    const mask = masks?.[time]
    // Behind the end of a sequence the state stays as it is and the output is 0.
    state = mask
      ? next.map((now, part) => tf.add(tf.mul(mask, now), tf.mul(tf.sub(1, mask), state[part]!)))
      : next
    outputs[time] = mask ? tf.mul(mask, next[0]!) : next[0]!
  }
  return { outputs, state }
}

/** For every moment 1 where a sequence lasts, else 0: [batch, 1] each. */
const masksOf = (tf: Tf, lengths: TfTensor, count: number): TfTensor[] =>
  Array.from({ length: count }, (_, time) =>
    tf.reshape(tf.cast(tf.greater(lengths, time), 'float32'), [lengths.size, 1]),
  )

const swapped = (tf: Tf, x: TfTensor): TfTensor =>
  tf.transpose(
    x,
    [...x.shape.keys()].map((axis) => (axis < 2 ? 1 - axis : axis)),
  )

function functionsOf(
  context: OperatorContext,
  defaults: readonly string[],
  directions: number,
): Activation[] {
  const { tf, node } = context
  if (node.attributes.has('clip')) return refuse(context, 'with clip')
  if (node.number('input_forget', 0) === 1) return refuse(context, 'with input_forget')
  const attribute = node.attributes.get('activations')
  const names =
    attribute?.type === 'strings'
      ? attribute.value
      : Array.from({ length: directions }, () => defaults).flat()
  const table = activations(tf)
  return names.map((name) => table[name.toLowerCase()] ?? refuse(context, `with '${name}'`))
}

/** Recurrent layers. */
export const recurrence: Operators = {
  GRU: layer(gru, 1, ['Sigmoid', 'Tanh']),
  LSTM: layer(lstm, 2, ['Sigmoid', 'Tanh', 'Tanh']),
  RNN: layer(rnn, 1, ['Tanh']),
}
