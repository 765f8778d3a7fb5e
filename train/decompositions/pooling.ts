// Poolings as formulas.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { rest, windowOf } from '../convolution.ts'
import type { Decomposition } from '../decompose.ts'
import { fill, shapeOf } from '../rule.ts'

/** MaxPool with one window; of equal cells the first one counts. */
export const globalMaxPool: Decomposition = ({ g, node, x }) => {
  const [batch, channels, ...size] = shapeOf(x) as [number, number, ...number[]]
  const cells = size.reduce((product, dim) => product * dim, 1)
  const rows = g.Reshape(x, [batch, channels, cells])
  return [g.Reshape(g.MaxPool(rows, { kernel_shape: [cells] }), shapeOf(node.output()))]
}

/** (Σ|x|ᵖ)^(1/p) over each window: the sum is a convolution of each channel with ones. */
export const lpPool: Decomposition = ({ g, node, x }) => {
  const [xShape, yShape] = [shapeOf(x), shapeOf(node.output())]
  const p = node.number('p', 2)
  const window = windowOf(node, node.numbers('kernel_shape', []), xShape, yShape)
  const { kernel, strides, dilations, begin, end, input } = window
  // Rounding up lets the last window reach past the padding.
  const behind = rest(window).map((cells, axis) => end[axis]! - Math.min(cells, 0))
  const images = g.Reshape(powers(g, x, p), [-1, 1, ...input])
  const sums = g.Conv(images, fill(g, 1, [1, 1, ...kernel]), {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: [...begin, ...behind],
  })
  return [root(g, g.Reshape(sums, yShape), p)]
}

/** (Σ|x|ᵖ)^(1/p) over all cells of a channel. */
export const globalLpPool: Decomposition = ({ g, node, x }) => {
  const p = node.number('p', 2)
  const axes = shapeOf(x).flatMap((_, axis) => (axis < 2 ? [] : [axis]))
  return [root(g, g.ReduceSum(powers(g, x, p), axes, { keepdims: 1 }), p)]
}

function powers(g: Builder, x: Value, p: number): Value {
  if (p === 2) return g.Mul(x, x)
  return p === 1 ? g.Abs(x) : g.Pow(g.Abs(x), p)
}

/** Where all cells are 0 the root has no slope; a bound that no other sum meets leaves a gradient of 0 there. */
function root(g: Builder, sums: Value, p: number): Value {
  if (p === 1) return sums
  const bounded = g.Clip(sums, 1e-30)
  return p === 2 ? g.Sqrt(bounded) : g.Pow(bounded, 1 / p)
}
