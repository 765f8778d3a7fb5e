// Operators that rearrange elements, in simpler ones.
import { UserError } from '../../base/errors.ts'
import { constantOf } from '../../onnx/graph.ts'
import { dataTypes, numbers, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { Decomposition } from '../decompose.ts'
import { shapeOf } from '../rule.ts'
import { linearIndices } from '../rules/indexing.ts'

/** CastLike: Cast to the type that its second input has. */
export const castLike: Decomposition = ({ g, node, x }) => [
  g.Cast(x, { to: dataTypes[node.input(1).type!.dtype].code }),
]

/** Compress, by a condition that is constant: Gather. */
export const compress: Decomposition = ({ g, node, x, where }) => {
  const condition = constantOf(node.input(1))
  if (!condition)
    throw new UserError(
      `${where}: Compress '${node.name}' has a condition that is not constant: '${node.input(1).name}' — export the model without it`,
    )
  const places = numbers(condition).flatMap((kept, place) => (kept ? [place] : []))
  const axis = node.number('axis')
  return [axis === undefined ? g.Gather(g.Reshape(x, [-1]), places) : g.Gather(x, places, { axis })]
}

/** CenterCropPad: Slice along the axes that shrink, Pad along those that grow. */
export const centerCropPad: Decomposition = ({ g, node, x }) => {
  const [from, to] = [shapeOf(x), shapeOf(node.output())]
  const axes = [...from.keys()]
  const shrinking = axes.filter((axis) => to[axis]! < from[axis]!)
  const starts = shrinking.map((axis) => Math.floor((from[axis]! - to[axis]!) / 2))
  const ends = shrinking.map((axis, index) => starts[index]! + to[axis]!)
  const cut = shrinking.length > 0 ? g.Slice(x, starts, ends, shrinking) : x
  const growth = axes.map((axis) => Math.max(0, to[axis]! - from[axis]!))
  if (growth.every((cells) => cells === 0)) return [shrinking.length > 0 ? cut : g.Identity(x)]
  const before = growth.map((cells) => Math.floor(cells / 2))
  return [g.Pad(cut, [...before, ...growth.map((cells, axis) => cells - before[axis]!)])]
}

/** Col2Im: a transposed convolution whose kernels put each row of a column into its own cell of the block. */
export const col2Im: Decomposition = ({ g, node, x }) => {
  const [batch, channels, ...image] = shapeOf(node.output()) as [number, number, ...number[]]
  const block = numbers(constantOf(node.input(2))!)
  const ones = image.map(() => 1)
  const strides = node.numbers('strides', ones)
  const dilations = node.numbers('dilations', ones)
  const pads = node.numbers('pads', [...image, ...image].fill(0))
  const begin = pads.slice(0, image.length)
  const end = pads.slice(image.length)
  const reach = block.map((cells, axis) => (cells - 1) * dilations[axis]! + 1)
  const room = image.map((size, axis) => size + begin[axis]! + end[axis]! - reach[axis]!)
  const steps = room.map((cells, axis) => Math.floor(cells / strides[axis]!) + 1)
  const cells = sizeOf(block)
  const kernels = new Float32Array(cells * cells)
  for (let cell = 0; cell < cells; cell++) kernels[cell * cells + cell] = 1
  const columns = g.Reshape(x, [batch * channels, cells, ...steps])
  const joined = g.ConvTranspose(columns, tensorOf('float32', [cells, 1, ...block], kernels), {
    kernel_shape: block,
    strides,
    dilations,
    pads,
    output_padding: room.map((size, axis) => size % strides[axis]!),
  })
  return [g.Reshape(joined, [batch, channels, ...image])]
}

/** ScatterND that reduces: ScatterElements along the indexed axes as one, which adds up reliably. */
export const scatterND: Decomposition = ({ g, node, x }) => {
  const reduction = node.string('reduction', 'none')
  if (reduction === 'none') return undefined
  const shape = shapeOf(x)
  const indices = node.input(1)
  const depth = shapeOf(indices).at(-1)!
  const count = sizeOf(shapeOf(indices).slice(0, -1))
  const [places, inner] = [sizeOf(shape.slice(0, depth)), sizeOf(shape.slice(depth))]
  const linear = linearIndices(g, indices, shape.slice(0, depth))
  const sum = g.ScatterElements(
    g.Reshape(x, [places, inner]),
    g.Expand(g.Reshape(linear, [count, 1]), [count, inner]),
    g.Reshape(node.input(2), [count, inner]),
    { axis: 0, reduction },
  )
  return [g.Reshape(sum, shape)]
}
