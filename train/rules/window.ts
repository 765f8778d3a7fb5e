// Gradients of operators with a sliding window: convolution and pooling.
import type { Node, Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { rest, taps, transposedWindowOf, type Window, windowOf } from '../convolution.ts'
import type { Convolution } from '../lowerings/lowering.ts'
import { standard } from '../lowerings/standard.ts'
import { optionalOutput, type Rule, type RuleContext, shapeOf, unary } from '../rule.ts'

/** Conv: both products are the lowering's business. */
export const convolution: Rule = {
  gradients: ({ g, node, y, dy, lowering }) => {
    const shape = convolutionOf(node)
    const axes = shapeOf(y).flatMap((_, axis) => (axis === 1 ? [] : [axis]))
    return [
      lowering.convolutionInput(g, shape, dy),
      lowering.convolutionWeight(g, shape, dy),
      node.inputs[2] ? g.ReduceSum(dy, axes, { keepdims: 0 }) : undefined,
    ]
  },
}

/** A Conv node with its geometry. */
export function convolutionOf(node: Node): Convolution {
  const [x, w] = [node.input(0), node.input(1)]
  const [xShape, wShape, yShape] = [shapeOf(x), shapeOf(w), shapeOf(node.output())]
  const window = windowOf(node, wShape.slice(2), xShape, yShape)
  return { ...window, x, w, xShape, wShape, yShape, group: node.number('group', 1) }
}

/**
 * ConvTranspose is what a convolution does to the gradient of its input: dx is that convolution of dy, and dw is the
 * gradient by the weight of a convolution from y to x.
 */
export const transposedConvolution: Rule = {
  gradients: ({ g, node, y, dy }) => {
    const [x, w] = [node.input(0), node.input(1)]
    const [xShape, wShape, yShape] = [shapeOf(x), shapeOf(w), shapeOf(y)]
    const window = transposedWindowOf(node, wShape.slice(2), xShape, yShape)
    const { kernel, strides, dilations, begin, end, input } = window
    const group = node.number('group', 1)
    const dx = g.Conv(dy, w, {
      kernel_shape: kernel,
      strides,
      dilations,
      pads: [...begin, ...end],
      group,
    })
    const convolution = { ...window, x: dy, w, xShape: yShape, wShape, yShape: xShape, group }
    const others = [0, ...input.map((_, axis) => axis + 2)]
    return [
      dx,
      standard.convolutionWeight(g, convolution, x),
      node.inputs[2] ? g.ReduceSum(dy, others, { keepdims: 0 }) : undefined,
    ]
  },
}

/** Each output's share goes to every cell of its window: a transposed convolution with a window of ones. */
export const averagePool: Rule = unary((context) => {
  const { g, node, x, y, dy } = context
  const [xShape, yShape] = [shapeOf(x), shapeOf(y)]
  const window = windowOf(node, node.numbers('kernel_shape', []), xShape, yShape)
  const counts = windowCounts(window, node.number('count_include_pad', 0) === 1)
  const shares = g.Mul(
    dy,
    tensorOf(
      'float32',
      window.output,
      counts.map((count) => 1 / count),
    ),
  )
  // Channels are independent: one image of one channel each.
  const images = g.Reshape(shares, [-1, 1, ...window.output])
  const unused = rest(window)
  const ones = new Float32Array(sizeOf(window.kernel)).fill(1)
  const spread = g.ConvTranspose(images, tensorOf('float32', [1, 1, ...window.kernel], ones), {
    kernel_shape: window.kernel,
    strides: window.strides,
    dilations: window.dilations,
    pads: [...window.begin, ...window.end.map((pad, axis) => pad - Math.min(unused[axis]!, 0))],
    output_padding: unused.map((cells) => Math.max(cells, 0)),
  })
  return g.Reshape(spread, xShape)
})

/** How many cells each window averages over. */
function windowCounts(window: Window, countPads: boolean): Float32Array {
  const { kernel, strides, dilations, begin, end, input, output } = window
  const along = output.map((size, axis) =>
    Array.from({ length: size }, (_, position) => {
      const start = position * strides[axis]! - begin[axis]!
      const cells = Array.from(
        { length: kernel[axis]! },
        (_, tap) => start + tap * dilations[axis]!,
      )
      const [low, high] = countPads ? [-begin[axis]!, input[axis]! + end[axis]!] : [0, input[axis]!]
      return cells.filter((cell) => cell >= low && cell < high).length
    }),
  )
  return Float32Array.from(
    taps(output).map((position) =>
      position.reduce((count, index, axis) => count * along[axis]![index]!, 1),
    ),
  )
}

/** The gradient goes to the cell that was the largest, the first of equal ones. */
export const maxPool: Rule = unary((context) => {
  const { g, node, x, y, dy } = context
  const [xShape, yShape] = [shapeOf(x), shapeOf(y)]
  const window = windowOf(node, node.numbers('kernel_shape', []), xShape, yShape)
  const indices = indicesOf(context)
  const size = sizeOf(xShape)
  // Where windows overlap, a cell adds up several gradients, which MaxUnpool does not do; nor does it take windows
  // that reach past the input.
  const separate = window.kernel.every(
    (cells, axis) =>
      cells <= window.strides[axis]! &&
      window.dilations[axis] === 1 &&
      (window.output[axis]! - 1) * window.strides[axis]! + cells <= window.input[axis]!,
  )
  if (separate) {
    const attributes = { kernel_shape: window.kernel, strides: window.strides }
    return g.node('MaxUnpool', [dy, indices, xShape], { attributes })[0]!
  }
  const sum = g.ScatterElements(
    g.Expand(0, [size]),
    g.Reshape(indices, [-1]),
    g.Reshape(dy, [-1]),
    { axis: 0, reduction: 'add' },
  )
  return g.Reshape(sum, xShape)
})

/** Where the largest cells are, row-major in the whole of x; positions that the model asked for may be in another order. */
function indicesOf({ g, node }: RuleContext): Value {
  const byColumn = node.number('storage_order', 0) === 1
  if (node.outputs[1] && byColumn) {
    const indices = g.node('MaxPool', [node.input(0)], { outputs: 2 })[1]!
    for (const [name, attribute] of node.attributes)
      if (name !== 'storage_order') indices.producer!.attributes.set(name, attribute)
    return indices
  }
  if (!node.outputs[1]) node.attributes.delete('storage_order')
  return optionalOutput(g, node, 1, 'indices')
}
