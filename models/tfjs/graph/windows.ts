// Convolutions, pools, normalisations and resizes of graph models.
import { activations } from '../activations.ts'
import { linear, matMul, unary } from '../arithmetic.ts'
import { transpose } from '../arrange.ts'
import { batchNormalization } from '../normalization.ts'
import { resize } from '../resize.ts'
import { range, type Term } from '../term.ts'
import {
  type ConvolutionOptions,
  convolution,
  depthwiseConvolution,
  type Padding,
  pool,
  transposedConvolution,
} from '../windows.ts'
import type { Writer } from '../writer.ts'
import { prelu } from './elementwise.ts'
import { integers, type OperatorCall, type OperatorRule, refused } from './node.ts'

/** TensorFlow.js runs graph models with channels last alone. */
function imageOf(call: OperatorCall): Term {
  const { node, x } = call
  if (node.text('data_format', 'NHWC') !== 'NHWC')
    throw refused(call, 'channels first', 'convert the model with channels last')
  if (x.shape.length !== 4) throw refused(call, `data of ${x.shape.length} axes`, 'use images')
  return x
}

/** Attributes of four numbers, of which two are those of space. */
function spaceOf(call: OperatorCall, key: string): readonly number[] {
  const given = call.node.numbers(key) ?? [1, 1, 1, 1]
  if (given.length !== 4) throw refused(call, `${key} of ${given.length} axes`, 'use images')
  return given.slice(1, 3)
}

function paddingOf(call: OperatorCall): Padding {
  const padding = call.node.text('padding', 'VALID').toLowerCase()
  if (padding === 'same' || padding === 'valid') return padding
  const pads = call.node.numbers('explicit_paddings') ?? []
  if (padding !== 'explicit' || pads.length !== 8)
    throw refused(call, `padding '${padding}'`, 'use SAME or VALID')
  return [1, 2].map((axis) => [pads[2 * axis]!, pads[2 * axis + 1]!] as const)
}

const windowOf = (call: OperatorCall): ConvolutionOptions['window'] => ({
  strides: spaceOf(call, 'strides'),
  dilations: spaceOf(call, 'dilations'),
  padding: paddingOf(call),
})

type Convolution = typeof convolution

const plain =
  (write: Convolution): OperatorRule =>
  (call) => {
    const options = { window: windowOf(call), name: call.node.name }
    return write(call.w, imageOf(call), call.input(1), options)
  }

/** A bias and an activation that the converter fused into an operator. */
interface Fused {
  readonly bias: Term | undefined
  finish(w: Writer, x: Term): Term
}

function fusedOf(call: OperatorCall): Fused {
  const names = call.node.texts('fused_ops').map((name) => name.toLowerCase())
  const rest = call.inputs.slice(2)
  const bias = names[0] === 'biasadd' ? rest.shift() : undefined
  const [name, ...more] = bias ? names.slice(1) : names
  if (more.length > 0) throw refused(call, `fused ${names.join(', ')}`, 'convert it unfused')
  return {
    bias,
    finish(w, x) {
      if (name === undefined) return x
      if (name === 'prelu' && rest[0]) return prelu(w, x, rest[0])
      if (name === 'leakyrelu')
        return unary(w, 'LeakyRelu', x, { alpha: call.node.number('leakyrelu_alpha', 0.2) })
      const activation = activations.get(name)
      if (!activation) throw refused(call, `fused ${name}`, 'convert the model unfused')
      return activation(w, x)
    },
  }
}

const fused =
  (write: Convolution): OperatorRule =>
  (call) => {
    const { bias, finish } = fusedOf(call)
    const options = { window: windowOf(call), bias, name: call.node.name }
    return finish(call.w, write(call.w, imageOf(call), call.input(1), options))
  }

const pooling =
  (kind: 'MaxPool' | 'AveragePool'): OperatorRule =>
  (call) => {
    const kernel = spaceOf(call, 'ksize')
    const [strides, padding] = [spaceOf(call, 'strides'), paddingOf(call)]
    const window = { kernel, strides, dilations: [1, 1], padding }
    return pool(call.w, imageOf(call), kind, window, call.node.name)
  }

const batchNorm: OperatorRule = (call) => {
  const { w, node, input } = call
  const x = imageOf(call)
  const parameters = {
    scale: input(1),
    bias: input(2),
    mean: input(3),
    variance: input(4),
    epsilon: node.number('epsilon', 1e-4),
  }
  return batchNormalization(w, x, 3, parameters, node.name)
}

const resizing =
  (mode: 'nearest' | 'linear'): OperatorRule =>
  (call) => {
    const { w, node } = call
    const placement = {
      alignCorners: node.flag('align_corners'),
      halfPixelCenters: node.flag('half_pixel_centers'),
    }
    return resize(w, imageOf(call), mode, { sizes: integers(call, 1, 'sizes') }, placement)
  }

const swapped = (w: Writer, x: Term): Term => {
  const rank = x.shape.length
  return transpose(w, x, [...range(rank - 2), rank - 1, rank - 2])
}

const product =
  (left: string, right: string): OperatorRule =>
  ({ w, node, x, input }) => {
    const a = node.flag(left) ? swapped(w, x) : x
    const b = node.flag(right) ? swapped(w, input(1)) : input(1)
    return matMul(w, a, b, node.name)
  }

/** Convolutions, products, pools, normalisations and resizes. */
export const windowOperators: Readonly<Record<string, OperatorRule>> = {
  Conv2D: plain(convolution),
  DepthwiseConv2dNative: plain(depthwiseConvolution),
  _FusedConv2D: fused(convolution),
  FusedDepthwiseConv2dNative: fused(depthwiseConvolution),
  Conv2DBackpropInput(call) {
    // Inputs: the output's shape, the kernel, the data.
    const { w, node, input, x } = call
    const image = imageOf({ ...call, x: input(2) })
    const window = windowOf(call)
    const space = x.content?.slice(1, 3)
    return transposedConvolution(w, image, input(1), {
      window,
      name: node.name,
      ...(space && { space }),
    })
  },
  MatMul: product('transpose_a', 'transpose_b'),
  BatchMatMul: product('adj_x', 'adj_y'),
  BatchMatMulV2: product('adj_x', 'adj_y'),
  _FusedMatMul(call) {
    const { w, node, x, input } = call
    const { bias, finish } = fusedOf(call)
    const flags = { transA: node.flag('transpose_a'), transB: node.flag('transpose_b') }
    const [a, b] = [
      flags.transA ? swapped(w, x) : x,
      flags.transB ? swapped(w, input(1)) : input(1),
    ]
    return finish(w, linear(w, a, b, bias, node.name))
  },
  FusedBatchNorm: batchNorm,
  FusedBatchNormV2: batchNorm,
  FusedBatchNormV3: batchNorm,
  MaxPool: pooling('MaxPool'),
  AvgPool: pooling('AveragePool'),
  ResizeBilinear: resizing('linear'),
  ResizeNearestNeighbor: resizing('nearest'),
}
