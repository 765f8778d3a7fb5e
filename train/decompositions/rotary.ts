// Rotary position embedding (Su et al. 2021): pairs of elements are turned by an angle that grows with the position.
import { UserError } from '../../base/errors.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import type { Decomposition, DecompositionContext } from '../decompose.ts'
import { shapeOf } from '../rule.ts'

/** ONNX's RotaryEmbedding (opset 23): inputs x, cosines, sines, positions. */
export const rotaryEmbedding: Decomposition = (context) => {
  const { g, node, inputs } = context
  const rows = (table: Value) => (inputs[3] ? g.Gather(table, inputs[3], { axis: 0 }) : table)
  const half = shapeOf(node.input(1)).at(-1)!
  return [turned(context, rows(node.input(1)), rows(node.input(2)), half)]
}

/** com.microsoft's RotaryEmbedding: inputs x, positions, cosines, sines. */
export const microsoftRotaryEmbedding: Decomposition = (context) => {
  const { g, node, x, where } = context
  if (node.number('scale', 1) !== 1 || node.number('is_packed_batching', 0))
    throw new UserError(
      `${where}: no gradient for RotaryEmbedding '${node.name}' with a scale or packed batches — export the model with it written out`,
    )
  const shape = shapeOf(x)
  const length = shape.length === 3 ? shape[1]! : shape[2]!
  const positions = node.input(1)
  const half = shapeOf(node.input(2)).at(-1)!
  const rows = (table: Value): Value => {
    if (sizeOf(shapeOf(positions)) > 1 || length === 1)
      return g.Gather(table, g.Reshape(positions, [-1, length]), { axis: 0 })
    // One position is that of the first element; the others follow it.
    const following = Array.from({ length }, (_, index) => index)
    const all = g.Unsqueeze(g.Add(g.Reshape(positions, [1]), following), [0])
    return g.Gather(table, all, { axis: 0 })
  }
  return [turned(context, rows(node.input(2)), rows(node.input(3)), half)]
}

/** Turns the pairs; cosines and sines are [batch, length, half the turned size]. */
function turned(
  { g, node, x }: DecompositionContext,
  cosines: Value,
  sines: Value,
  half: number,
): Value {
  const shape = shapeOf(x)
  const flat = shape.length === 3
  const [batch, length] = flat ? [shape[0]!, shape[1]!] : [shape[0]!, shape[2]!]
  const heads = flat ? node.number('num_heads', 0) : shape[1]!
  const size = flat ? (heads ? shape[2]! / heads : 2 * half) : shape[3]!
  const apart = flat ? g.Reshape(x, [batch, length, -1, size]) : x
  const angle = (table: Value) => g.Unsqueeze(table, [flat ? 2 : 1])
  const [cosine, sine] = [angle(cosines), angle(sines)]

  const part = (start: number, end: number, step = 1) => g.Slice(apart, [start], [end], [3], [step])
  const interleaved = node.number('interleaved', 0) === 1
  const a = interleaved ? part(0, 2 * half, 2) : part(0, half)
  const b = interleaved ? part(1, 2 * half, 2) : part(half, 2 * half)
  const pair = [g.Sub(g.Mul(a, cosine), g.Mul(b, sine)), g.Add(g.Mul(a, sine), g.Mul(b, cosine))]
  const joined = interleaved
    ? g.Reshape(g.Concat(...pair.map((each) => g.Unsqueeze(each, [-1])), { axis: 4 }), [
        0,
        0,
        0,
        2 * half,
      ])
    : g.Concat(...pair, { axis: 3 })
  const whole = 2 * half < size ? g.Concat(joined, part(2 * half, size), { axis: 3 }) : joined
  return flat ? g.Reshape(whole, shape) : whole
}
