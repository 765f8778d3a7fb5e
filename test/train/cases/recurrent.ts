// Cases of recurrent operators; test/train/recurrent.test.ts has all their options forward.
import type { Attributes } from '../../../onnx/build.ts'
import { type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { type GradientCase, one, x } from './case.ts'

const [places, batch, width, hidden] = [4, 2, 3, 2]
const lengths: Tensor = tensorOf('int32', [batch], [2, 4])

/** X, W, R and B of a node of some blocks and directions. */
const weights = (blocks: number, directions = 1): GradientCase['inputs'] => [
  x(places, batch, width),
  x(directions, blocks * hidden, width),
  x(directions, blocks * hidden, hidden),
  x(directions, 2 * blocks * hidden),
]

const state = (directions = 1) => x(directions, batch, hidden)
const node = (attributes: Attributes = {}): Attributes => ({ hidden_size: hidden, ...attributes })
const [all, both] = [{ outputs: 3 }, { outputs: 2 }]

/** Cases by operator. */
export const recurrentCases: Readonly<Record<string, readonly GradientCase[]>> = {
  GRU: [
    one(weights(3), node(), both),
    one([...weights(3), undefined, state()], node({ linear_before_reset: 1 }), both),
    one([...weights(3).slice(0, 3)], node({ direction: 'reverse', linear_before_reset: 1 })),
    one([...weights(3, 2), lengths, state(2)], node({ direction: 'bidirectional' }), both),
    one(
      weights(3),
      node({
        activations: ['HardSigmoid', 'ScaledTanh'],
        activation_alpha: [0.11, 0.9],
        activation_beta: [0.45, 1.2],
      }),
      { ...both, weighted: [1] },
    ),
  ],
  LSTM: [
    one(weights(4), node(), all),
    one([...weights(4), undefined, state(), state()], node({ direction: 'reverse' }), all),
    one([...weights(4, 2), lengths, state(2), state(2)], node({ direction: 'bidirectional' }), all),
    one(
      [...weights(4), lengths, undefined, undefined, x(1, 3 * hidden)],
      node({ direction: 'reverse' }),
      all,
    ),
    one(weights(4).slice(0, 3), node({ input_forget: 1 })),
    one([...weights(4), undefined, undefined, undefined, x(1, 3 * hidden)], node(), {
      ...all,
      weighted: [2],
    }),
    one(
      weights(4),
      node({
        activations: ['Sigmoid', 'Softsign', 'ScaledTanh'],
        activation_alpha: [0.8],
        activation_beta: [1.1],
        clip: 20.5,
      }),
      { ...all, weighted: [1] },
    ),
  ],
  RNN: [
    one(weights(1), node(), both),
    one([...weights(1, 2), lengths, state(2)], node({ direction: 'bidirectional' }), both),
    one(weights(1), node({ activations: ['Sigmoid'], direction: 'reverse' }), both),
  ],
}
