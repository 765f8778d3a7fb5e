// Long short-term memory (Hochreiter and Schmidhuber 1997; peepholes: Gers and Schmidhuber 2000).
import type { Value } from '../../onnx/graph.ts'
import type { Decomposition } from '../decompose.ts'
import { type CellContext, pieces, type State, summedBias, unrolled } from './recurrent.ts'

/**
 * i = f(X·Wiᵀ + h·Riᵀ + Pi∘c + b), likewise o and f; c′ = f∘c + i∘g(X·Wcᵀ + h·Rcᵀ + b); h′ = o∘h(c′).
 *
 * W and R hold the blocks i, o, f, c; the peephole of o sees c′. With `input_forget` f is 1 - i.
 */
export const lstm: Decomposition = unrolled({
  activations: ['Sigmoid', 'Tanh', 'Tanh'],
  memory: true,
  start: (context) => {
    const { g, node, weight, vector, projected } = context
    const shares = projected(0, 4, summedBias(context, 0, 4))
    const recurrent = weight(2, 0, 4)
    const coupled = node.number('input_forget', 0) === 1
    const peepholes = [0, 1, 2].flatMap((block) => vector(7, block, block + 1) ?? [])
    const gates =
      peepholes.length > 0 ? peeping(context, coupled, peepholes) : plain(context, coupled)
    return (place, before) =>
      gates(g.Gemm(before.h, recurrent, shares[place], { transB: 1 }), before.c!)
  },
})

/** From the sums that enter the activations, [batch, 4 · hidden], and c to the next state. */
type Gates = (sums: Value, c: Value) => State

/** Three gates in one pass. */
function plain({ g, hidden, activations, clip }: CellContext, coupled: boolean): Gates {
  const [f, squash, h] = activations
  return (sums, c) => {
    const [open, candidate] = g.node('Split', [clip(sums), [3 * hidden, hidden]], {
      attributes: { axis: 1 },
      outputs: 2,
    })
    const [input, output, forget] = pieces(g, f!(g, open!), 3, hidden, 1)
    const kept = g.Mul(coupled ? g.Sub(1, input) : forget, c)
    const next = g.Add(kept, g.Mul(input, squash!(g, candidate!)))
    return { h: g.Mul(output, h!(g, next)), c: next }
  }
}

/** Gates that see the cell state. */
function peeping(
  { g, hidden, activations, clip }: CellContext,
  coupled: boolean,
  peepholes: readonly Value[],
): Gates {
  const [f, squash, h] = activations
  const [pi, po, pf] = peepholes
  return (sums, c) => {
    const [input, output, forget, candidate] = pieces(g, sums, 4, hidden, 1)
    const gate = (sum: Value, peephole: Value, seen: Value) =>
      f!(g, clip(g.Add(sum, g.Mul(peephole, seen))))
    const i = gate(input!, pi!, c)
    const kept = g.Mul(coupled ? g.Sub(1, i) : gate(forget!, pf!, c), c)
    const next = g.Add(kept, g.Mul(i, squash!(g, clip(candidate!))))
    return { h: g.Mul(gate(output!, po!, next), h!(g, next)), c: next }
  }
}
