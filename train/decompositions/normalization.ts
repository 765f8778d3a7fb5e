// Normalizations as formulas.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { dataTypes, sizeOf } from '../../onnx/tensor.ts'
import type { Decomposition } from '../decompose.ts'
import { axisOf, fill, shapeOf } from '../rule.ts'

/** Norms and variances are kept above this, so that no gradient is a quotient of zeros. */
const smallest = 1e-30

/** InstanceNormalization: each channel of each sample by itself (Ulyanov, Vedaldi and Lempitsky 2016). */
export const instanceNormalization: Decomposition = ({ g, node, x }) => {
  const shape = shapeOf(x)
  return [grouped(g, x, shape[1]!, node.input(1), node.input(2), node.number('epsilon', 1e-5))]
}

/** GroupNormalization (Wu and He 2018), with scale and bias by channel. */
export const groupNormalization: Decomposition = ({ g, node, x }) => {
  const groups = node.number('num_groups', 1)
  return [grouped(g, x, groups, node.input(1), node.input(2), node.number('epsilon', 1e-5))]
}

/** Normalizes the elements of each group of channels of each sample, by the kernel of LayerNormalization. */
function grouped(
  g: Builder,
  x: Value,
  groups: number,
  scale: Value,
  bias: Value,
  epsilon: number,
): Value {
  const shape = shapeOf(x)
  const rows = shape[0]! * groups
  const length = sizeOf(shape) / rows
  const column = [shape[1]!, ...shape.slice(2).map(() => 1)]
  const normal = g.LayerNormalization(g.Reshape(x, [rows, length]), fill(g, 1, [length]), {
    axis: 1,
    epsilon,
  })
  return g.Add(g.Mul(g.Reshape(normal, shape), g.Reshape(scale, column)), g.Reshape(bias, column))
}

/** x/√(mean(x²) + ε)·γ over the axes from `axis` on (Zhang and Sennrich 2019). */
export const rmsNormalization: Decomposition = ({ g, node, x }) => {
  const rank = shapeOf(x).length
  const first = axisOf(node.number('axis', -1), rank)
  const axes = Array.from({ length: rank - first }, (_, index) => first + index)
  const { normal, inverse } = byRootMeanSquare(g, x, axes, node.number('epsilon', 1e-5))
  return [g.Mul(normal, node.input(1)), inverse]
}

function byRootMeanSquare(g: Builder, x: Value, axes: readonly number[], epsilon: number) {
  const square = g.ReduceMean(g.Mul(x, x), axes, { keepdims: 1 })
  const inverse = g.Reciprocal(g.Sqrt(g.Add(square, epsilon)))
  return { normal: g.Mul(x, inverse), inverse }
}

/** SkipLayerNormalization: LayerNormalization of input + skip + bias, whose sum is output 3. */
export const skipLayerNormalization: Decomposition = ({ g, node, inputs }) => {
  const sum = total(g, [node.input(0), node.input(1), inputs[4]])
  const epsilon = node.number('epsilon', 1e-12)
  const attributes = { axis: -1, epsilon }
  return [
    g.LayerNormalization(sum, node.input(2), inputs[3], attributes),
    undefined,
    undefined,
    sum,
  ]
}

/** SkipSimplifiedLayerNormalization: the same by the root mean square. */
export const skipRmsNormalization: Decomposition = ({ g, node, inputs, x }) => {
  const sum = total(g, [node.input(0), node.input(1), inputs[3]])
  const epsilon = node.number('epsilon', 1e-12)
  const { normal, inverse } = byRootMeanSquare(g, sum, [shapeOf(x).length - 1], epsilon)
  return [g.Mul(normal, node.input(2)), undefined, inverse, sum]
}

const total = (g: Builder, terms: readonly (Value | undefined)[]): Value =>
  terms.filter((term) => term !== undefined).reduce((sum, term) => g.Add(sum, term))

/** x divided by its norm along an axis. */
export const lpNormalization: Decomposition = ({ g, node, x }) => {
  const axes = [axisOf(node.number('axis', -1), shapeOf(x).length)]
  const first = node.number('p', 2) === 1
  const norm = first ? g.ReduceL1(x, axes, { keepdims: 1 }) : g.ReduceL2(x, axes, { keepdims: 1 })
  // A norm of 0 would make a gradient as large as it can be: nothing passes instead.
  const some = g.Cast(g.Greater(norm, 0), { to: dataTypes.float32.code })
  return [g.Mul(x, g.Div(some, g.Clip(norm, smallest)))]
}

/** (x - mean)/(σ + 10⁻⁹) over axes. */
export const meanVarianceNormalization: Decomposition = ({ g, node, x }) => {
  const axes = node.numbers('axes', [0, 2, 3])
  const centred = g.Sub(x, g.ReduceMean(x, axes, { keepdims: 1 }))
  const variance = g.ReduceMean(g.Mul(centred, centred), axes, { keepdims: 1 })
  return [g.Div(centred, g.Add(g.Sqrt(g.Clip(variance, smallest)), 1e-9))]
}

/** LRN: x/(b + α/n Σx²)^β, the sum over n neighbouring channels (Krizhevsky, Sutskever and Hinton 2012). */
export const localResponseNormalization: Decomposition = ({ g, node, x }) => {
  const [batch = 1, channels = 1, ...spatial] = shapeOf(x)
  const size = node.number('size', 1)
  const before = Math.floor((size - 1) / 2)
  const squares = g.Reshape(g.Mul(x, x), [batch, 1, channels, sizeOf(spatial)])
  const mean = g.AveragePool(squares, {
    kernel_shape: [size, 1],
    pads: [before, 0, size - 1 - before, 0],
    count_include_pad: 1,
  })
  const scaled = g.Mul(g.Reshape(mean, shapeOf(x)), node.number('alpha', 1e-4))
  const base = g.Add(scaled, node.number('bias', 1))
  return [g.Div(x, g.Pow(base, node.number('beta', 0.75)))]
}
