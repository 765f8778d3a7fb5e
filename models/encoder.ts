// The block of transformer encoders (Vaswani et al. 2017, section 3.1), as BERT and ViT have it.
import type { Feature, Layers } from './layers.ts'
import { layerNormalisation, type Mask, pointwise } from './sequences.ts'

/** What a block is like. */
export interface EncoderOptions {
  readonly heads: number
  /** Width between the two layers of the feed-forward part. */
  readonly intermediate: number
  /** Normalisation behind each sum (post), or before each branch (pre; Xiong et al. 2020). */
  readonly norm: 'pre' | 'post'
  readonly epsilon: number
  readonly dropout: number
  readonly mask?: Mask | undefined
}

/** Attention, then two fully connected layers with Gelu; x `[length, width]` is added to each. */
export function encoderBlock(
  layers: Layers,
  name: string,
  x: Feature,
  options: EncoderOptions,
): Feature {
  const branches = {
    attention: (y: Feature) => attention(layers, `${name}.attention`, y, options),
    feedforward: (y: Feature) => {
      const wide = pointwise(layers, `${name}.feedforward.in`, y, options.intermediate)
      return pointwise(
        layers,
        `${name}.feedforward.out`,
        layers.activation(wide, 'gelu'),
        y.shape[1]!,
      )
    },
  }
  let sum = x
  for (const [kind, branch] of Object.entries(branches)) {
    const norm = (y: Feature) =>
      layerNormalisation(layers, `${name}.${kind}.norm`, y, options.epsilon)
    const change = branch(options.norm === 'pre' ? norm(sum) : sum)
    const next = layers.add(sum, layers.dropout(change, options.dropout))
    sum = options.norm === 'pre' ? next : norm(next)
  }
  return sum
}

/** Added to the scores of places that do not count; of Devlin et al.'s code, and within the range of float16. */
const masked = -1e4

/** softmax(qkᵀ/√size + mask)·v by heads, and a projection. */
function attention(
  layers: Layers,
  name: string,
  x: Feature,
  { heads, mask }: EncoderOptions,
): Feature {
  const { g } = layers
  const [length, width] = x.shape as [number, number]
  const size = width / heads
  const byHeads = (part: string, perm: readonly number[]) => {
    const { value } = pointwise(layers, `${name}.${part}`, x, width)
    return g.Transpose(g.Reshape(value, [0, length, heads, size]), { perm })
  }
  const q = byHeads('query', [0, 2, 1, 3])
  const k = byHeads('key', [0, 2, 3, 1])
  const v = byHeads('value', [0, 2, 1, 3])
  const products = g.MatMul(g.Mul(q, 1 / Math.sqrt(size)), k)
  const scores = mask ? g.Add(products, biasOf(layers, mask)) : products
  const mixed = g.MatMul(g.Softmax(scores, { axis: -1 }), v)
  const value = g.Reshape(g.Transpose(mixed, { perm: [0, 2, 1, 3] }), [0, length, width])
  return pointwise(layers, `${name}.out`, { value, shape: x.shape }, width)
}

/** `[N, 1, 1, length]`, 0 where places count. */
const biasOf = ({ g }: Layers, { floats }: Mask) =>
  g.Unsqueeze(g.Mul(g.Sub(1, floats), masked), [1, 2])
