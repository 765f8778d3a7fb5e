// How integers of a layer are written: as MatMulNBits, which multiplies with packed weights, or as DequantizeLinear
// before the layer. The latter has scales per block for matrices, those of recurrences included, and one scale an output
// for convolutions.
import { build } from '../../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../../onnx/graph.ts'
import { elements, Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { offsetOf } from '../../prune/matrix-layers.ts'
import type { AddConstant } from '../constants.ts'
import { type BlockWeights, integerTypes, packBits } from './blocks.ts'
import type { StoredLayer } from './layers.ts'

/** The forms by name. */
export const formNames = ['matmul-nbits', 'qdq'] as const

/** The name of a form. */
export type FormName = (typeof formNames)[number]

/** The form that a layer can have: MatMulNBits is for matrices on the right side of what flows alone. */
export function formOf({ node, data }: StoredLayer, wanted: FormName): FormName {
  const isMatrix = node.opType === 'MatMul' || node.opType === 'Gemm'
  return isMatrix && data === 0 && node.number('transA', 0) === 0 ? wanted : 'qdq'
}

/** Whether a layer may have a scale for each block of an output. */
export const takesBlocks = ({ node }: StoredLayer): boolean => node.opType !== 'Conv'

/** The first opset in which DequantizeLinear has all that a layer needs. */
export const opsetFor = (layer: StoredLayer, { bits }: BlockWeights): number =>
  bits === 2 ? 25 : bits === 4 || takesBlocks(layer) ? 21 : 13

/** Writes a layer with its weights in integers, in place; `weights` has one row of the array for each group. */
export function writeLayer(
  layer: StoredLayer,
  form: FormName,
  weights: readonly BlockWeights[],
  surroundings: {
    readonly graph: Graph
    readonly add: AddConstant
    /** The graph that holds the weight: this one, or one around it. */
    readonly owner: Graph
    /** What was stored before of each weight, by form and name: layers, those of two branches too, may share weights. */
    readonly stored: Map<Value, Map<string, Value>>
  },
): void {
  const { owner, stored } = surroundings
  const { weight } = layer
  const ofWeight = stored.get(weight) ?? new Map<string, Value>()
  stored.set(weight, ofWeight)
  const once = (name: string, make: () => Tensor): Value => {
    const key = `${form} ${name}`
    const value = ofWeight.get(key) ?? owner.addInitializer(name, make())
    ofWeight.set(key, value)
    return value
  }
  if (form === 'matmul-nbits') writeMatMul(layer, weights[0]!, surroundings, once)
  else if (takesBlocks(layer)) writeBlocks(layer, weights[0]!, surroundings, once)
  else writeConvolution(layer, weights, surroundings, once)
}

type Once = (name: string, make: () => Tensor) => Value

/** `y = x W + b` as one node: W `[N, blocks, bytes]`, a row for each output. */
function writeMatMul(
  { node, bias, weight }: StoredLayer,
  weights: BlockWeights,
  { graph, add }: { readonly graph: Graph; readonly add: AddConstant },
  once: Once,
): void {
  const { rows, columns, blocks, block, bits, codes, scales, zeroPoints } = weights
  const packed = once(weight.name, () => {
    // The last block of a row is filled up.
    const whole = new Uint8Array(rows * blocks * block)
    for (let row = 0; row < rows; row++)
      whole.set(codes.subarray(row * columns, (row + 1) * columns), row * blocks * block)
    return tensorOf('uint8', [rows, blocks, (block * bits) / 8], packBits(whole, bits))
  })
  const scale = once('s', () => tensorOf('float32', [rows, blocks], scales))
  const zero = once('z', () => {
    const bytes = Math.ceil((blocks * bits) / 8)
    const all = new Uint8Array(rows * bytes)
    for (let row = 0; row < rows; row++)
      all.set(packBits(zeroPoints.slice(row * blocks, (row + 1) * blocks), bits), row * bytes)
    return tensorOf('uint8', [rows, bytes], all)
  })
  const g = build(graph, node)
  const shift = bias === undefined ? undefined : constantOf(node.inputs[bias])
  const added = shift && add('b', 'float32', [rows], elements(shift, 'float32'))
  const [product] = g.node('MatMulNBits', [node.input(0), packed, scale, zero, undefined, added], {
    domain: 'com.microsoft',
    ...(node.name && { name: node.name }),
    attributes: { K: columns, N: rows, bits, block_size: block },
  })
  takeOver(graph, node, product!)
}

/** Lets what was written make the output of a node, which is removed. */
function takeOver(graph: Graph, node: Node, result: Value): void {
  const output = node.output()
  graph.remove(node)
  node.setOutput(0, undefined)
  result.producer?.setOutput(0, output)
}

/**
 * A matrix with a scale for each block: `[outputs, inputs]`, whichever way it was, or `[directions, outputs, inputs]` of a
 * recurrence.
 *
 * With blocks along the first axis ONNX Runtime 1.30 makes a MatMulNBits of it, which on its CPU rounds inputs to 8 bits,
 * and with 2 bits is wrong wherever outputs are no multiple of 4; along the last one it computes what ONNX defines.
 */
function writeBlocks(
  { node, input, axes, weight }: StoredLayer,
  { rows, columns, blocks, block, bits, codes, scales, zeroPoints }: BlockWeights,
  { graph }: { readonly graph: Graph },
  once: Once,
): void {
  const dtype = integerTypes[bits]
  const { dims } = constantOf(weight)!
  const before = dims.length === 3 ? dims.slice(0, 2) : [rows]
  const integers = once(
    weight.name,
    () => new Tensor(dtype, [...before, columns], packBits(codes, bits)),
  )
  const scale = once('s', () => tensorOf('float32', [...before, blocks], scales))
  const zero = once('z', () => new Tensor(dtype, [...before, blocks], packBits(zeroPoints, bits)))
  const g = build(graph, node)
  const axis = before.length
  const matrix = g.DequantizeLinear(integers, scale, zero, { axis, block_size: block })
  const turned = axes.in === 0
  if (turned && node.opType === 'Gemm') node.attributes.set('transB', { type: 'int', value: 1 })
  const isTransposed = turned && node.opType !== 'Gemm'
  node.setInput(input, isTransposed ? g.Transpose(matrix, { perm: [1, 0] }) : matrix)
}

/** A convolution, with a scale for each output. */
function writeConvolution(
  { node, form, weight, axes }: StoredLayer,
  weights: readonly BlockWeights[],
  { graph }: { readonly graph: Graph },
  once: Once,
): void {
  const [{ bits, rows, columns }] = weights as readonly [BlockWeights]
  const dtype = integerTypes[bits]
  const { dims, size } = constantOf(weight)!
  const integers = once(weight.name, () => {
    const codes = new Uint8Array(size)
    for (const [group, own] of weights.entries())
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          codes[offsetOf(form, group, row, column)] = own.codes[row * columns + column]!
    return new Tensor(dtype, dims, packBits(codes, bits))
  })
  const outputs = rows * weights.length
  const scale = once('s', () => {
    const all = new Float32Array(outputs)
    for (const [group, { scales }] of weights.entries()) all.set(scales, group * rows)
    return tensorOf('float32', [outputs], all)
  })
  const zero = once('z', () => {
    const all = new Uint8Array(outputs)
    for (const [group, { zeroPoints }] of weights.entries()) all.set(zeroPoints, group * rows)
    return new Tensor(dtype, [outputs], packBits(all, bits))
  })
  const g = build(graph, node)
  node.setInput(1, g.DequantizeLinear(integers, scale, zero, { axis: axes.out }))
}
