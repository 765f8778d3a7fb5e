// Gated recurrent unit (Cho et al. 2014).
import type { Decomposition } from '../decompose.ts'
import { inputBias, pieces, recurrentBias, summedBias, unrolled } from './recurrent.ts'

/**
 * z = f(X·Wzᵀ + h·Rzᵀ + b), likewise r; ĥ = g(X·Whᵀ + (r∘h)·Rhᵀ + b); h′ = (1 - z)∘ĥ + z∘h.
 *
 * W and R hold the blocks z, r, h. With `linear_before_reset` ĥ = g(X·Whᵀ + Wb + r∘(h·Rhᵀ + Rb)).
 */
export const gru: Decomposition = unrolled({
  activations: ['Sigmoid', 'Tanh'],
  start: (context) => {
    const { g, node, hidden, activations, weight, projected, clip } = context
    const [f, squash] = activations
    const late = node.number('linear_before_reset', 0) !== 0
    const opening = projected(0, 2, summedBias(context, 0, 2))
    const proposing = projected(2, 3, late ? inputBias(context, 2, 3) : summedBias(context, 2, 3))
    const [gateWeight, stateWeight] = [weight(2, 0, 2), weight(2, 2, 3)]
    const stateBias = recurrentBias(context, 2, 3)

    return (place, { h }) => {
      const sums = g.Gemm(h, gateWeight, opening[place], { transB: 1 })
      const [update, reset] = pieces(g, f!(g, clip(sums)), 2, hidden, 1)
      const proposal = late
        ? g.Add(proposing[place], g.Mul(reset, g.Gemm(h, stateWeight, stateBias, { transB: 1 })))
        : g.Gemm(g.Mul(reset, h), stateWeight, proposing[place], { transB: 1 })
      const fresh = squash!(g, clip(proposal))
      return { h: g.Add(fresh, g.Mul(update, g.Sub(h, fresh))) }
    }
  },
})
