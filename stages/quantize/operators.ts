// What static quantization does with each operator: one row for each that ONNX Runtime has an 8-bit kernel for when it
// stands between DequantizeLinear and QuantizeLinear (its QDQ rules of version 1.30, tried one by one). All others stay
// float, but for Softmax, Where and ArgMax, which it takes where what is around them has pairs anyway.
import type { Attributes } from '../../onnx/build.ts'
import { constantOf, type Node } from '../../onnx/graph.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import type { Range } from './arithmetic.ts'

/** Multiplies with constant weights: 8-bit weights, a bias in int32. */
interface Layer {
  readonly kind: 'layer'
  /** The axis of the weights (input 1) along which the output channels lie. */
  channelAxis(node: Node, weights: Tensor): number
  /** Whether there is a kernel that takes 8 bits and gives float, so that the output need not be quantized. */
  readonly floatOutput: boolean
  supports(node: Node, weights: Tensor): boolean
}

/** Computes on 8-bit inputs, each input and the output with a range of its own. */
interface Arithmetic {
  readonly kind: 'arithmetic'
  supports(node: Node): boolean
}

/** Gives elements of its first input elsewhere, so that its outputs have that input's range. */
interface Passing {
  readonly kind: 'passing'
  supports(node: Node): boolean
}

/** Cuts values off, which the quantization of its output does as well. */
interface Clipping {
  readonly kind: 'clipping'
  /** What is left; undefined where that is not constant. */
  bounds(node: Node): Range | undefined
  /** The same as an operator that there is a kernel for, where the clipping cannot be left to a quantization. */
  readonly kernel?: { readonly opType: string; readonly attributes: Attributes }
}

/** What to do with an operator. */
export type QuantizationRule = Layer | Arithmetic | Passing | Clipping

const always = () => true
const arithmetic: Arithmetic = { kind: 'arithmetic', supports: always }
const passing: Passing = { kind: 'passing', supports: always }

/** A bound of Clip; Clip's bounds are inputs since opset 11, which quantization raises a model to. */
function bound(node: Node, index: number, absent: number): number | undefined {
  if (node.inputs[index] === undefined) return absent
  const tensor = constantOf(node.inputs[index])
  return tensor?.dtype === 'float32' ? numbers(tensor)[0] : undefined
}

/** The rules by operator of the standard domain. */
const quantizationRules: Readonly<Record<string, QuantizationRule>> = {
  Conv: {
    kind: 'layer',
    channelAxis: () => 0,
    floatOutput: false,
    supports: (_node, { dims }) => dims.length >= 3,
  },
  Gemm: {
    kind: 'layer',
    channelAxis: (node) => (node.number('transB', 0) ? 0 : 1),
    floatOutput: true,
    supports: (node, { dims }) =>
      node.number('transA', 0) === 0 &&
      node.number('alpha', 1) === 1 &&
      node.number('beta', 1) === 1 &&
      dims.length === 2,
  },
  MatMul: {
    kind: 'layer',
    channelAxis: (_node, { dims }) => dims.length - 1,
    floatOutput: true,
    supports: (_node, { dims }) => dims.length === 2,
  },
  Add: arithmetic,
  Mul: arithmetic,
  Concat: arithmetic,
  AveragePool: arithmetic,
  GlobalAveragePool: arithmetic,
  Sigmoid: arithmetic,
  LeakyRelu: arithmetic,
  Flatten: passing,
  Reshape: passing,
  Squeeze: passing,
  Transpose: passing,
  Unsqueeze: passing,
  DepthToSpace: passing,
  Expand: passing,
  Gather: passing,
  GatherElements: passing,
  Slice: passing,
  Split: passing,
  Tile: passing,
  MaxPool: { ...passing, supports: (node: Node) => node.outputs[1] === undefined },
  Resize: {
    ...passing,
    // Others mix elements, which no kernel does in integers and rounds; and a crop may have numbers of its own around it.
    supports: (node: Node) =>
      node.string('mode', 'nearest') === 'nearest' &&
      node.string('coordinate_transformation_mode', '') !== 'tf_crop_and_resize',
  },
  Relu: {
    kind: 'clipping',
    bounds: () => ({ min: 0, max: Infinity }),
    kernel: { opType: 'LeakyRelu', attributes: { alpha: 0 } },
  },
  Clip: {
    kind: 'clipping',
    bounds(node: Node) {
      const min = bound(node, 1, -Infinity)
      const max = bound(node, 2, Infinity)
      return min === undefined || max === undefined ? undefined : { min, max }
    },
  },
}

/** The rule of a node, if it has one. */
export const quantizationRuleOf = (node: Node): QuantizationRule | undefined =>
  node.domain === '' && Object.hasOwn(quantizationRules, node.opType)
    ? quantizationRules[node.opType]
    : undefined
