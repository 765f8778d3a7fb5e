// How integers of a layer are written: as MatMulNBits, which multiplies with packed weights; as arithmetic before the layer,
// which the runtime folds when it opens the file; or as DequantizeLinear before it, which it runs each time. The latter two
// have scales per block for matrices, those of recurrences included, and one scale an output for convolutions.
import { packBits } from '../../../onnx/bits.ts'
import { build } from '../../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value } from '../../../onnx/graph.ts'
import { dataTypes, elements, Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { offsetOf } from '../../prune/matrix-layers.ts'
import type { AddConstant } from '../constants.ts'
import { type BlockWeights, integerTypes } from './blocks.ts'
import type { StoredLayer } from './layers.ts'

/** The forms by name. */
export const formNames = ['matmul-nbits', 'qdq'] as const

/** The name of a form. */
export type FormName = (typeof formNames)[number]

/** How a layer is written. */
export type WrittenForm = FormName | 'folded'

/** The form that a layer can have: MatMulNBits is for matrices on the right side of what flows alone. */
export function formOf({ node, data }: StoredLayer, wanted: FormName): WrittenForm {
  if (wanted === 'qdq') return wanted
  const isMatrix = node.opType === 'MatMul' || node.opType === 'Gemm'
  return isMatrix && data === 0 && node.number('transA', 0) === 0 ? wanted : 'folded'
}

/** Whether a layer may have a scale for each block of an output. */
export const takesBlocks = ({ node }: StoredLayer): boolean => node.opType !== 'Conv'

/** The first opset in which Cast takes integers. */
const castOpsets = { 8: 7, 4: 21, 2: 25 } as const

/** The first opset in which the operators of a form have all that a layer needs. */
export function opsetFor(layer: StoredLayer, form: WrittenForm, { bits }: BlockWeights): number {
  if (form === 'matmul-nbits') return 1
  if (form === 'folded') return castOpsets[bits]
  return Math.max(castOpsets[bits], takesBlocks(layer) ? 21 : 13)
}

/** Writes a layer with its weights in integers, in place; `weights` has one row of the array for each group. */
export function writeLayer(
  layer: StoredLayer,
  form: WrittenForm,
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
  if (form === 'matmul-nbits') {
    writeMatMul(layer, weights[0]!, surroundings, once)
    return
  }
  const integers = takesBlocks(layer) ? inBlocks(layer, weights[0]!) : byOutput(layer, weights)
  if (form === 'qdq') writeDequantized(layer, integers, surroundings, once)
  else {
    const float = ofWeight.get(form) ?? folded(owner, weight.name, integers)
    ofWeight.set(form, float)
    attach(layer, surroundings.graph, float)
  }
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
    inPlaceOf: node,
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

/** The integers of a layer, and what they stand for. */
interface Integers {
  readonly dtype: (typeof integerTypes)[keyof typeof integerTypes]
  /** The shape of the weights, as this file writes them. */
  readonly dims: readonly number[]
  /** The axis along which scales differ; along the last one, each is for a block of so many. */
  readonly axis: number
  readonly block: number | undefined
  /** The shape of scales and zero points. */
  readonly scaleDims: readonly number[]
  readonly bits: BlockWeights['bits']
  readonly codes: Uint8Array
  readonly scales: Float32Array
  readonly zeroPoints: Uint8Array
}

/** A matrix with a scale for each block: `[outputs, inputs]`, or `[directions, outputs, inputs]` of a recurrence. */
function inBlocks({ weight }: StoredLayer, weights: BlockWeights): Integers {
  const { rows, columns, blocks, block, bits, codes, scales, zeroPoints } = weights
  const { dims } = constantOf(weight)!
  const before = dims.length === 3 ? dims.slice(0, 2) : [rows]
  return {
    ...{ dtype: integerTypes[bits], bits, codes, scales, zeroPoints, block },
    dims: [...before, columns],
    axis: before.length,
    scaleDims: [...before, blocks],
  }
}

/** A convolution, with a scale for each output. */
function byOutput({ form, weight, axes }: StoredLayer, weights: readonly BlockWeights[]): Integers {
  const [{ bits, rows, columns }] = weights as readonly [BlockWeights]
  const { dims, size } = constantOf(weight)!
  const codes = new Uint8Array(size)
  const outputs = rows * weights.length
  const [scales, zeroPoints] = [new Float32Array(outputs), new Uint8Array(outputs)]
  for (const [group, own] of weights.entries()) {
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        codes[offsetOf(form, group, row, column)] = own.codes[row * columns + column]!
    scales.set(own.scales, group * rows)
    zeroPoints.set(own.zeroPoints, group * rows)
  }
  return {
    ...{ dtype: integerTypes[bits], bits, codes, scales, zeroPoints, dims },
    ...{ axis: axes.out, block: undefined, scaleDims: [outputs] },
  }
}

/**
 * Writes what integers stand for as DequantizeLinear, the standard's own form, which other runtimes know as well.
 *
 * With blocks along the first axis ONNX Runtime 1.30 makes a MatMulNBits of it, which on its CPU rounds inputs to 8 bits,
 * and with 2 bits is wrong wherever outputs are no multiple of 4; along the last one it computes what ONNX defines.
 */
function writeDequantized(
  layer: StoredLayer,
  { dtype, dims, axis, block, scaleDims, bits, codes, scales, zeroPoints }: Integers,
  { graph }: { readonly graph: Graph },
  once: Once,
): void {
  const integers = once(layer.weight.name, () => new Tensor(dtype, dims, packBits(codes, bits)))
  const scale = once('s', () => tensorOf('float32', scaleDims, scales))
  const zero = once('z', () => new Tensor(dtype, scaleDims, packBits(zeroPoints, bits)))
  const attributes = { axis, ...(block !== undefined && { block_size: block }) }
  const g = build(graph, layer.node)
  attach(layer, graph, g.DequantizeLinear(integers, scale, zero, attributes))
}

/**
 * Writes what integers stand for as (integers - zero points) * scales at the beginning of a graph, in operators that ONNX
 * Runtime folds when it opens the file, which it does not do with DequantizeLinear.
 */
function folded(
  graph: Graph,
  name: string,
  { dtype, dims, axis, block, scaleDims, bits, codes, scales, zeroPoints }: Integers,
): Value {
  const g = build(graph, graph.nodes[0])
  const stored = (called: string, shape: readonly number[], own: Uint8Array) =>
    g.Cast(graph.addInitializer(called, new Tensor(dtype, shape, packBits(own, bits))), {
      to: dataTypes.float32.code,
    })
  if (block === undefined) {
    const shape = dims.map((size, at) => (at === axis ? size : 1))
    const steps = g.Sub(stored(name, dims, codes), stored('z', shape, zeroPoints))
    return g.Mul(steps, tensorOf('float32', shape, scales))
  }
  // The last block of a row is filled up, so that all are of one size.
  const [columns, blocks] = [dims[axis]!, scaleDims[axis]!]
  const rows = codes.length / columns
  const whole = new Uint8Array(rows * blocks * block)
  for (let row = 0; row < rows; row++)
    whole.set(codes.subarray(row * columns, (row + 1) * columns), row * blocks * block)
  const before = dims.slice(0, axis)
  const shape = [...before, blocks, 1]
  const steps = g.Sub(
    stored(name, [...before, blocks, block], whole),
    stored('z', shape, zeroPoints),
  )
  const rowsOf = g.Reshape(g.Mul(steps, tensorOf('float32', shape, scales)), [
    ...before,
    blocks * block,
  ])
  return columns === blocks * block ? rowsOf : g.Slice(rowsOf, [0], [columns], [axis])
}

/** Gives a layer its weights as floats `[…, outputs, inputs]`, turned where it has them the other way. */
function attach({ node, input, axes }: StoredLayer, graph: Graph, weights: Value): void {
  const turned = axes.in === 0 && node.opType !== 'Conv'
  if (turned && node.opType === 'Gemm') node.attributes.set('transB', { type: 'int', value: 1 })
  const isTransposed = turned && node.opType !== 'Gemm'
  const g = build(graph, node)
  node.setInput(input, isTransposed ? g.Transpose(weights, { perm: [1, 0] }) : weights)
}
