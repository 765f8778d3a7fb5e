// Rules of the recurrent operators: the width of the input, and the hidden units, of both directions together.

import type { Node, Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { Rule } from './rule.ts'
import { type Role, type Slot, slot, type Tie, tie } from './ties.ts'

/**
 * X `[…, input]`, W `[directions, gates * hidden, input]`, R `[directions, gates * hidden, hidden]`, B `[directions, 2 *
 * gates * hidden]`; states and outputs end with the hidden units.
 *
 * `states` are the inputs that hold initial states; `peepholes` the one with a vector for each gate that has one.
 */
const recurrent = (states: readonly number[], peepholes?: number): Rule => ({
  ties(node) {
    const [x, w, r] = [node.input(0), node.input(1), node.input(2)]
    const unit = slot(r, 2)
    const hidden = statedShape(r)?.[2] ?? 0
    /** An axis on which the units lie once for each gate. */
    const byGates = (from: Slot, role: Role): Tie => ({
      ...{ from, to: unit, map: (index) => index % hidden, role, roleOf: 'from' },
    })
    const given = (index: number) => node.inputs[index]
    const ending = (value: Value): Slot => slot(value, -1)
    return {
      ties: [
        tie(slot(x, 2), slot(w, 2), 'in'),
        ...node.outputs.flatMap((output) => (output ? [tie(ending(output), unit, 'in')] : [])),
        byGates(slot(w, 1), 'out'),
        byGates(slot(r, 1), 'out'),
        ...[given(3)].flatMap((bias) => (bias ? [byGates(ending(bias), 'bias')] : [])),
        ...states.flatMap((index) => {
          const state = given(index)
          return state ? [byGates(ending(state), 'other')] : []
        }),
        ...[peepholes === undefined ? undefined : given(peepholes)].flatMap((vector) =>
          vector ? [byGates(ending(vector), 'scale')] : [],
        ),
      ],
      everyOutput: true,
    }
  },
  adjust: (node: Node, { sizeOf }) => {
    node.attributes.set('hidden_size', { type: 'int', value: sizeOf(node.input(2), 2) })
  },
})

/** X, W, R, B, lengths, initial h, initial c, P. */
export const lstm = recurrent([5, 6], 7)

/** X, W, R, B, lengths, initial h. */
export const gru = recurrent([5])

/** X, W, R, B, lengths, initial h. */
export const rnn = recurrent([5])
