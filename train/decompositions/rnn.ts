// The simple recurrent network (Elman 1990).
import type { Decomposition } from '../decompose.ts'
import { summedBias, unrolled } from './recurrent.ts'

/** h′ = f(X·Wᵀ + h·Rᵀ + b). */
export const rnn: Decomposition = unrolled({
  activations: ['Tanh'],
  start: (context) => {
    const { g, activations, weight, projected, clip } = context
    const [f] = activations
    const shares = projected(0, 1, summedBias(context, 0, 1))
    const recurrent = weight(2, 0, 1)
    return (place, { h }) => ({
      h: f!(g, clip(g.Gemm(h, recurrent, shares[place], { transB: 1 }))),
    })
  },
})
