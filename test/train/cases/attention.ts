// Cases of attention, rotary embedding and com.microsoft's products.
import { tensorOf } from '../../../onnx/tensor.ts'
import { type Drawn, type GradientCase, one, positive, x } from './case.ts'

const onnx = (cases: readonly GradientCase[]): GradientCase[] =>
  cases.map((each) => ({ ...each, opset: 23 }))

const whole = (dims: readonly number[], ...values: readonly number[]) =>
  tensorOf('int64', dims, values)
const truths = (dims: readonly number[], ...values: readonly number[]) =>
  tensorOf('bool', dims, Uint8Array.from(values))
const masks = (dims: readonly number[], ...values: readonly number[]) =>
  tensorOf('int32', dims, Int32Array.from(values))

/** Tables of cosines and sines are drawn too: nothing says that they are any. */
const tables = (...dims: readonly number[]): readonly [Drawn, Drawn] => [
  x(...dims),
  positive(...dims),
]

/** Cases by operator. */
export const attentionCases: Readonly<Record<string, readonly GradientCase[]>> = {
  Attention: onnx([
    one([x(2, 2, 3, 4), x(2, 2, 3, 4), x(2, 2, 3, 4)]),
    one([x(1, 2, 3, 4), x(1, 2, 5, 4), x(1, 2, 5, 3)], { scale: 0.3 }),
    one([x(2, 4, 3, 2), x(2, 2, 5, 2), x(2, 2, 5, 3)]),
    one([x(1, 2, 4, 2), x(1, 2, 4, 2), x(1, 2, 4, 2)], { is_causal: 1 }),
    one([x(2, 2, 2, 2), x(2, 2, 3, 2), x(2, 2, 3, 2), x(2, 3)]),
    one([x(2, 2, 2, 2), x(2, 2, 3, 2), x(2, 2, 3, 2), truths([2, 3], 1, 1, 0, 1, 1, 1)]),
    one([x(1, 2, 3, 2), x(1, 1, 3, 2), x(1, 1, 3, 2)], { softcap: 0.5 }),
    one([x(2, 3, 8), x(2, 5, 4), x(2, 5, 6)], { q_num_heads: 4, kv_num_heads: 2 }),
    one([x(2, 3, 4), x(2, 3, 4), x(2, 3, 4)], { q_num_heads: 2, kv_num_heads: 2, is_causal: 1 }),
    one(
      [x(1, 2, 3, 2), x(1, 2, 3, 2), x(1, 2, 3, 2), undefined, x(1, 2, 2, 2), x(1, 2, 2, 2)],
      {},
      { outputs: 3 },
    ),
    one(
      [x(1, 2, 3, 2), x(1, 2, 3, 2), x(1, 2, 3, 2), undefined, x(1, 2, 2, 2), x(1, 2, 2, 2)],
      { is_causal: 1 },
      { outputs: 3 },
    ),
    one([x(1, 2, 3, 2), x(1, 1, 4, 2), x(1, 1, 4, 2), x(3, 4)], { softcap: 0.5 }),
    one([x(1, 2, 3, 2), x(1, 2, 5, 2), x(1, 2, 5, 2)], { is_causal: 1 }),
  ]),
  RotaryEmbedding: onnx([
    one([x(2, 2, 3, 4), ...tables(2, 3, 2)]),
    one([x(2, 2, 3, 4), ...tables(5, 2), whole([2, 3], 0, 1, 2, 4, 3, 2)]),
    one([x(2, 2, 3, 4), ...tables(2, 3, 2)], { interleaved: 1 }),
    one([x(2, 3, 8), ...tables(2, 3, 2)], { num_heads: 2 }),
    one([x(2, 2, 3, 6), ...tables(2, 3, 2)], { rotary_embedding_dim: 4 }),
    one([x(2, 3, 12), ...tables(2, 3, 2)], {
      rotary_embedding_dim: 4,
      num_heads: 2,
      interleaved: 1,
    }),
  ]),
  'com.microsoft.Attention': [
    one([x(2, 3, 4), x(4, 12), x(12)], { num_heads: 2 }),
    one([x(1, 3, 4), x(4, 12), x(12)], { num_heads: 2, unidirectional: 1, scale: 0.4 }),
    one([x(2, 3, 4), x(4, 12), x(12), masks([2, 3], 1, 1, 0, 0, 1, 1)], { num_heads: 1 }),
    one([x(2, 3, 4), x(4, 10), x(10)], { num_heads: 2, qkv_hidden_sizes: [4, 4, 2] }),
    one([x(2, 3, 4), x(4, 12), x(12), undefined, undefined, x(2, 2, 3, 3)], { num_heads: 2 }),
  ],
  'com.microsoft.FusedGemm': [
    one([x(2, 3), x(3, 4), x(4)], { activation: 'Tanh', alpha: 0.5 }),
    one([x(2, 3), x(4, 3), x(4)], { activation: 'Relu', transB: 1 }),
    one([x(2, 3), x(3, 4), x(4)], { activation: 'LeakyRelu', activation_alpha: 0.2 }),
    one([x(2, 3), x(3, 4), x(4)], { activation: 'Sigmoid', beta: 2 }),
  ],
  'com.microsoft.FusedMatMul': [
    one([x(2, 3), x(3, 4)], { alpha: 0.5 }),
    one([x(2, 3, 2), x(2, 4, 3)], { transA: 1, transB: 1 }),
    one([x(2, 2, 3), x(4, 3)], { transB: 1, alpha: 2 }),
  ],
  'com.microsoft.MultiHeadAttention': [
    one([x(2, 3, 4), x(2, 3, 4), x(2, 3, 4)], { num_heads: 2 }),
    one([x(2, 3, 4), x(2, 5, 4), x(2, 5, 4), x(12)], { num_heads: 2, scale: 0.3 }),
    one([x(2, 3, 4), x(2, 3, 4), x(2, 3, 4)], { num_heads: 1, unidirectional: 1 }),
    one([x(2, 3, 4), x(2, 3, 4), x(2, 3, 4), x(12), masks([2, 3], 1, 1, 0, 1, 0, 1)], {
      num_heads: 2,
    }),
    one([x(2, 3, 4), x(2, 4, 4), x(2, 4, 4), undefined, undefined, x(2, 2, 3, 4)], {
      num_heads: 2,
    }),
  ],
  'com.microsoft.RotaryEmbedding': [
    one([x(2, 2, 3, 4), whole([2, 3], 0, 1, 2, 4, 3, 2), ...tables(5, 2)]),
    one([x(2, 3, 8), whole([1], 1), ...tables(5, 2)]),
    one([x(1, 2, 3, 4), whole([1, 3], 2, 0, 1), ...tables(5, 2)], { interleaved: 1 }),
  ],
}
