// Small models that carry state.
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'

/** A cell with state: LSTM of one step, or a GRU written out; x `[N, 3]`, states `[1, N, 4]`, y `[N, 2]`. */
export function cell(kind: 'lstm' | 'gru'): Model {
  const source = random(3, kind)
  const { model, g } = newModel(kind)
  const weight = (name: string, ...dims: number[]) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    const values = Float32Array.from({ length: size }, () => 0.5 * source.normal())
    return g.constant(tensorOf('float32', dims, values), name)
  }
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
  const state = { dtype: 'float32', shape: [1, 'N', 4] } as const
  const h = g.input('h', state)
  const sequence = g.Unsqueeze(x, [0])
  if (kind === 'lstm') {
    const c = g.input('c', state)
    const weights = [weight('w', 1, 16, 3), weight('r', 1, 16, 4), weight('b', 1, 32)]
    const [, nextH, nextC] = g.node('LSTM', [sequence, ...weights, undefined, h, c], {
      attributes: { hidden_size: 4 },
      outputs: 3,
    })
    const y = g.Gemm(g.Squeeze(nextH!, [0]), weight('out', 4, 2))
    g.output('y', y, { dtype: 'float32', shape: ['N', 2] })
    g.output('nextH', nextH!, state)
    g.output('nextC', nextC!, state)
  } else {
    const old = g.Squeeze(h, [0])
    const gate = (name: string, from = old) =>
      g.Add(g.MatMul(x, weight(`${name}.w`, 3, 4)), g.MatMul(from, weight(`${name}.r`, 4, 4)))
    const [z, r] = [g.Sigmoid(gate('z')), g.Sigmoid(gate('r'))]
    const candidate = g.Tanh(gate('n', g.Mul(r, old)))
    const next = g.Add(g.Mul(z, old), g.Mul(g.Sub(1, z), candidate))
    g.output('y', g.MatMul(next, weight('out', 4, 2)), { dtype: 'float32', shape: ['N', 2] })
    g.output('nextH', g.Unsqueeze(next, [0]), state)
    g.output('mean', g.ReduceMean(next, [1], { keepdims: 0 }), { dtype: 'float32', shape: ['N'] })
  }
  return model
}
