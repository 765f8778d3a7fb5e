// Models with what repairs are for: weights whose ranges differ by magnitudes, and outlying channels.
import { newModel } from '../../../../onnx/build.ts'
import { cloneModel } from '../../../../onnx/clone.ts'
import type { Model, Node } from '../../../../onnx/graph.ts'
import { liftConstants } from '../../../../onnx/passes/constants.ts'
import { elements, type Tensor, tensorOf } from '../../../../onnx/tensor.ts'
import {
  copyForQuantization,
  type Prepared,
  prepareForIntegers,
} from '../../../../stages/quantize/prepare.ts'
import { weights } from '../support.ts'

/** Multiplies each index of the first axis with a magnitude of its own, from 1/8 to 8. */
export function uneven(tensor: Tensor, label = ''): Tensor {
  const channels = tensor.dims[0]!
  const magnitudes = elements(weights([channels], `uneven ${label}`, 1), 'float32')
  const width = tensor.size / channels
  const values = elements(tensor, 'float32').map(
    (value, at) => value * 8 ** Math.max(-1, Math.min(1, magnitudes[Math.floor(at / width)]!)),
  )
  return tensorOf('float32', tensor.dims, values)
}

/** Convolution, depthwise, pointwise with a residual sum, pooling, classifier: [N, 3, 12, 12] → [N, 5]. */
export function mobile(clip: 'Relu' | 'Relu6' = 'Relu'): Model {
  const { model, g } = newModel('mobile', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 12, 12] })
  const clipped = (value: ReturnType<typeof g.Relu>) =>
    clip === 'Relu' ? g.Relu(value) : g.Clip(value, 0, 6)
  const w = (dims: readonly number[], label: string, scale: number) =>
    g.constant(uneven(weights(dims, label, scale), label), label)
  const pads = { pads: [1, 1, 1, 1] }
  const stem = clipped(g.Conv(x, w([8, 3, 3, 3], 'stem', 0.3), weights([8], 'b0', 0.3), pads))
  const depth = clipped(
    g.Conv(stem, w([8, 1, 3, 3], 'depth', 0.4), weights([8], 'b1', 0.3), { ...pads, group: 8 }),
  )
  const wide = g.LeakyRelu(g.Conv(depth, w([12, 8, 1, 1], 'wide', 0.3), weights([12], 'b2', 0.3)))
  const inner = clipped(
    g.Conv(wide, w([12, 12, 3, 3], 'inner', 0.1), weights([12], 'b3', 0.1), pads),
  )
  const sum = g.MaxPool(g.Add(wide, inner), { kernel_shape: [2, 2], strides: [2, 2] })
  const last = g.Relu(g.Conv(sum, w([6, 12, 1, 1], 'last', 0.3), weights([6], 'b4', 0.1)))
  const flat = g.Flatten(g.AveragePool(last, { kernel_shape: [2, 2], strides: [2, 2] }))
  const y = g.Gemm(flat, weights([5, 54], 'classifier', 0.2), weights([5], 'b5', 0.1), {
    transB: 1,
  })
  g.output('y', y, { dtype: 'float32', shape: ['N', 5] })
  return model
}

/** LayerNormalization, three projections, an activation, a projection back: [N, 4, 16] → [N, 4, 16]. */
export function attentive(): Model {
  const { model, g } = newModel('attentive', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4, 16] })
  const normal = g.LayerNormalization(
    x,
    uneven(tensorOf('float32', [16], new Float32Array(16).fill(1))),
    weights([16], 'shift', 0.5),
  )
  const project = (value: typeof normal, name: string) =>
    g.Add(g.MatMul(value, weights([16, 16], name, 0.3)), weights([16], `${name} bias`, 0.2))
  const scores = g.MatMul(
    project(normal, 'query'),
    g.Transpose(project(normal, 'key'), { perm: [0, 2, 1] }),
  )
  const seen = g.MatMul(g.Softmax(scores), project(normal, 'value'))
  const mixed = g.Add(x, project(seen, 'out'))
  g.output('y', g.Add(mixed, project(g.Tanh(project(mixed, 'up')), 'down')), {
    dtype: 'float32',
    shape: ['N', 4, 16],
  })
  return model
}

/** A convolution, a BatchNormalization and a classifier. */
export function normalized(): Model {
  const { model, g } = newModel('normalized', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 12, 12] })
  const made = g.Conv(x, uneven(weights([8, 3, 3, 3], 'w', 0.2)), { strides: [2, 2] })
  const ones = () => tensorOf('float32', [8], new Float32Array(8).fill(1))
  const normal = g.BatchNormalization(
    made,
    ones(),
    weights([8], 'b', 0.3),
    weights([8], 'm', 0.1),
    ones(),
  )
  const flat = g.Flatten(g.Relu(normal))
  g.output('y', g.Gemm(flat, weights([4, 200], 'gemm', 0.1), { transB: 1 }), {
    dtype: 'float32',
    shape: ['N', 4],
  })
  return model
}

/** A copy as quantization works on, and one of it to compare with. */
export async function preparedCopy(
  model: Model,
  exclude: readonly string[] = [],
): Promise<{ prepared: Prepared; before: Model }> {
  const prepared = copyForQuantization(model, exclude, 'refuse')
  await prepareForIntegers(prepared, 'model')
  liftConstants(prepared.model)
  return { prepared, before: cloneModel(prepared.model) }
}

/** The nodes of an operator. */
export const nodesOf = (model: Model, opType: string): Node[] =>
  model.graph.nodes.filter((node) => node.opType === opType)

/** The content of a node's constant input. */
export const constantAt = (node: Node, index: number): Float32Array =>
  elements(node.input(index).tensor!, 'float32')
