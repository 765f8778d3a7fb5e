// Gradients of quantization: straight through the rounding (Bengio, Léonard and Courville 2013), none where the range
// clips; scales learn as in LSQ (Esser et al. 2020, without its factor), which follows from the two rules together.
import type { Builder } from '../../onnx/build.ts'
import type { Node, Value } from '../../onnx/graph.ts'
import { type DataType, sizeOf } from '../../onnx/tensor.ts'
import { axisOf, type Rule, type RuleContext, shapeOf, step } from '../rule.ts'

/** y = (x - z)·s. */
export const dequantizeLinear: Rule = {
  straightThrough: true,
  gradients: (context) => {
    const { g, node, x, dy } = context
    const spread = spreadOf(context)
    const zero = node.inputs[2]
    const levels = g.Cast(x, { to: 1 })
    const centred = zero ? g.Sub(levels, spread.out(g.Cast(zero, { to: 1 }))) : levels
    return [g.Mul(dy, spread.out(node.input(1))), spread.back(g.Mul(dy, centred))]
  },
}

/** y = clip(round(x/s) + z): the gradient of x/s + z where the range does not clip. */
export const quantizeLinear: Rule = {
  straightThrough: true,
  gradients: (context) => {
    const { g, node, x, y, dy } = context
    const spread = spreadOf(context)
    const zero = node.inputs[2]
    const scale = spread.out(node.input(1))
    const ratio = g.Div(x, scale)
    const level = zero ? g.Add(ratio, spread.out(g.Cast(zero, { to: 1 }))) : ratio
    const range = ranges[y.type?.dtype ?? zero?.type?.dtype ?? 'uint8']
    const passed = range
      ? g.Mul(
          dy,
          g.Mul(step(g, g.Sub(level, range[0] - 0.5)), step(g, g.Sub(range[1] + 0.5, level))),
        )
      : dy
    const dx = g.Div(passed, scale)
    return [dx, g.Neg(spread.back(g.Mul(dx, ratio)))]
  },
}

/** The levels that a type has; float8 is not cut off. */
const ranges: Partial<Record<DataType, readonly [low: number, high: number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int4: [-8, 7],
  uint4: [0, 15],
}

/** How scales lie over the elements: one for all, one for each index of an axis, or one for each block along it. */
function spreadOf({ g, node, x }: RuleContext): {
  /** Scales in a shape that broadcasts against x. */
  readonly out: (scales: Value) => Value
  /** The sum, for each scale, of what stands at its elements. */
  readonly back: (values: Value) => Value
} {
  const shape = shapeOf(x)
  const scales = shapeOf(node.input(1))
  const axis = axisOf(node.number('axis', 1), shape.length)
  const block = node.number('block_size', 0)
  const all = [...shape.keys()]
  if (block > 0) return blocked(g, node, shape, scales, axis, block)
  if (sizeOf(scales) === 1)
    return {
      out: (value) => g.Reshape(value, []),
      back: (values) => g.Reshape(g.ReduceSum(values, all, { keepdims: 0 }), scales),
    }
  const column = shape.map((dim, index) => (index === axis ? dim : 1))
  const others = all.filter((index) => index !== axis)
  return {
    out: (value) => g.Reshape(value, column),
    back: (values) =>
      others.length ? g.ReduceSum(values, others, { keepdims: 0 }) : g.Identity(values),
  }
}

function blocked(
  g: Builder,
  node: Node,
  shape: readonly number[],
  scales: readonly number[],
  axis: number,
  block: number,
) {
  if (scales[axis]! * block !== shape[axis])
    throw new Error(`internal: '${node.name}' has a last block that is not whole`)
  const split = [...shape.slice(0, axis), scales[axis]!, block, ...shape.slice(axis + 1)]
  return {
    out: (value: Value) => g.Reshape(g.Expand(g.Unsqueeze(value, [axis + 1]), split), shape),
    back: (values: Value) => g.ReduceSum(g.Reshape(values, split), [axis + 1], { keepdims: 0 }),
  }
}
