// What each operator computes where some indices of its inputs' axes are gone, written in the full model: sums lose
// terms, statistics are taken over what remains. Independent of the rules of channels/, which it is to check.
import type { Builder, Operand } from '../../onnx/build.ts'
import { type Node, operatorOf, type Value } from '../../onnx/graph.ts'
import { elements, numbers, tensorOf } from '../../onnx/tensor.ts'

/** By axis of a value: 1 for every index that remains, 0 for every one that is gone. */
export type AxisMasks = ReadonlyMap<number, Uint8Array>

/** What an operator may ask while it is rewritten. */
export interface Masked {
  readonly g: Builder
  readonly node: Node
  /** The masks of a value; undefined where it is whole. */
  readonly masksOf: (value: Value | undefined) => AxisMasks | undefined
  /** The sizes of a value. */
  readonly shapeOf: (value: Value) => readonly number[]
  readonly opset: number
}

/** Writes nodes before one, changes its inputs, or gives what takes the place of its outputs. */
type Rewriting = (context: Masked) => readonly (Value | undefined)[] | undefined

/** The value with another number in place of what is gone; one made elementwise `of` another has its masks. */
function filled(context: Masked, value: Value, fill = 0, of = value): Value {
  const { g, masksOf, shapeOf, opset } = context
  return [...(masksOf(of) ?? [])].reduce((result, [axis, mask]) => {
    const dims = shapeOf(of).map((_, other) => (other === axis ? mask.length : 1))
    if (opset >= 9) return g.Where(tensorOf('bool', dims, mask), result, fill)
    if (fill !== 0) throw new Error(`opset ${opset} has no Where`)
    return g.Mul(result, tensorOf('float32', dims, Float32Array.from(mask)))
  }, value)
}

/** A reduction that keeps its axes, as the opset writes it. */
function reduced(
  { g, opset }: Masked,
  opType: 'ReduceMean' | 'ReduceL1' | 'ReduceL2',
  x: Value,
  axes: readonly number[],
): Value {
  return opset < 18 ? g[opType](x, { axes, keepdims: 1 }) : g[opType](x, axes, { keepdims: 1 })
}

/** All inputs that flow are filled. */
const filling =
  (fill: number): Rewriting =>
  (context) => {
    for (const [index, input] of context.node.inputs.entries())
      if (input && !input.tensor && context.masksOf(input))
        context.node.setInput(index, filled(context, input, fill))
    return undefined
  }

const sums = filling(0)

const remaining = (mask: Uint8Array): number => mask.reduce((sum, kept) => sum + kept, 0)

/** The share of the elements along some axes that remains. */
function share({ masksOf, shapeOf }: Masked, value: Value, axes: readonly number[]): number {
  let product = 1
  for (const axis of axes) {
    const mask = masksOf(value)?.get(axis)
    if (mask) product *= remaining(mask) / shapeOf(value)[axis]!
  }
  return product
}

/** The mean over what remains of some axes, which stay with size 1. */
function meanOver(context: Masked, value: Value, axes: readonly number[], of = value): Value {
  const mean = reduced(context, 'ReduceMean', filled(context, value, 0, of), axes)
  return context.g.Div(mean, share(context, of, axes))
}

/** (x - mean) / √(variance + ε) along some axes. */
function standardised(
  context: Masked,
  x: Value,
  axes: readonly number[],
  epsilon: number,
  of = x,
): { result: Value; mean: Value; inverse: Value } {
  const { g } = context
  const mean = meanOver(context, x, axes, of)
  const difference = g.Sub(x, mean)
  const variance = meanOver(context, g.Mul(difference, difference), axes, of)
  const inverse = g.Reciprocal(g.Sqrt(g.Add(variance, epsilon)))
  return { result: g.Mul(difference, inverse), mean, inverse }
}

/** x / √(mean of squares + ε) along some axes. */
function scaled(context: Masked, x: Value, axes: readonly number[], epsilon: number, of = x) {
  const { g } = context
  const inverse = g.Reciprocal(g.Sqrt(g.Add(meanOver(context, g.Mul(x, x), axes, of), epsilon)))
  return { result: g.Mul(x, inverse), inverse }
}

const isCut = ({ masksOf }: Masked, value: Value, axes: readonly number[]): boolean =>
  axes.some((axis) => masksOf(value)?.has(axis))

const from = (first: number, rank: number): number[] =>
  Array.from({ length: rank }, (_, axis) => axis).slice(first)

/** Scale and bias where they are there. */
function affine(g: Builder, x: Value, scale: Operand, bias: Operand): Value {
  const product = scale === undefined ? x : g.Mul(x, scale)
  return bias === undefined ? product : g.Add(product, bias)
}

const layerNormalization: Rewriting = (context) => {
  const { g, node, shapeOf } = context
  const x = node.input(0)
  const axes = from(node.number('axis', -1), shapeOf(x).length)
  if (!isCut(context, x, axes)) return undefined
  const { result, mean, inverse } = standardised(context, x, axes, node.number('epsilon', 1e-5))
  return [affine(g, result, node.inputs[1], node.inputs[2]), mean, inverse]
}

const rootMeanSquare: Rewriting = (context) => {
  const { g, node, shapeOf } = context
  const x = node.input(0)
  const axes = from(node.number('axis', -1), shapeOf(x).length)
  if (!isCut(context, x, axes)) return undefined
  const { result, inverse } = scaled(context, x, axes, node.number('epsilon', 1e-5))
  return [affine(g, result, node.inputs[1], undefined), inverse]
}

const skipLayerNormalization: Rewriting = (context) => {
  const { g, node, shapeOf } = context
  const [x, skip, gamma, beta, bias] = node.inputs
  const axes = [shapeOf(x!).length - 1]
  if (!isCut(context, x!, axes)) return undefined
  const sum = affine(g, g.Add(x, skip), undefined, bias)
  const found = standardised(context, sum, axes, node.number('epsilon', 1e-12), x)
  return [affine(g, found.result, gamma, beta), found.mean, found.inverse, sum]
}

const skipRootMeanSquare: Rewriting = (context) => {
  const { g, node, shapeOf } = context
  const [x, skip, gamma, bias] = node.inputs
  const axes = [shapeOf(x!).length - 1]
  if (!isCut(context, x!, axes)) return undefined
  const sum = affine(g, g.Add(x, skip), undefined, bias)
  const found = scaled(context, sum, axes, node.number('epsilon', 1e-12), x)
  return [affine(g, found.result, gamma, undefined), undefined, found.inverse, sum]
}

const embedLayerNormalization: Rewriting = (context) => {
  const { g, node, masksOf, shapeOf } = context
  const y = node.output()
  if (!masksOf(y)) return undefined
  const [ids, segments, words, places, kinds, gamma, beta, mask, positions] = node.inputs
  if (mask) throw new Error('the oracle knows no mask of EmbedLayerNormalization')
  const length = shapeOf(ids!)[1]!
  const at = positions ? g.Gather(places, positions) : g.Slice(places, [0], [length], [0])
  const both = g.Add(g.Gather(words, ids), at)
  const sum = kinds ? g.Add(both, g.Gather(kinds, segments)) : both
  const { result } = standardised(context, sum, [2], node.number('epsilon', 1e-12), y)
  return [affine(g, result, gamma, beta), undefined, sum]
}

const instanceNormalization: Rewriting = (context) => {
  const { g, node, shapeOf } = context
  const x = node.input(0)
  const axes = from(2, shapeOf(x).length)
  if (!isCut(context, x, axes)) return undefined
  const { result } = standardised(context, x, axes, node.number('epsilon', 1e-5))
  const column = [-1, ...axes.map(() => 1)]
  return [affine(g, result, g.Reshape(node.input(1), column), g.Reshape(node.input(2), column))]
}

/** Each group by itself, sliced out. */
const groupNormalization: Rewriting = (context) => {
  const { g, node, masksOf, shapeOf } = context
  const x = node.input(0)
  const mask = masksOf(x)?.get(1)
  if (!mask) return undefined
  const shape = shapeOf(x)
  const groups = node.number('num_groups', 1)
  const each = shape[1]! / groups
  const axes = from(1, shape.length)
  const parts = Array.from({ length: groups }, (_, group) => {
    const own = mask.slice(group * each, (group + 1) * each)
    const part = g.Slice(x, [group * each], [(group + 1) * each], [1])
    const inner: Masked = {
      ...context,
      masksOf: (value) => (value === part && remaining(own) > 0 ? new Map([[1, own]]) : undefined),
      shapeOf: (value) => (value === part ? shape.with(1, each) : shapeOf(value)),
    }
    return standardised(inner, part, axes, node.number('epsilon', 1e-5)).result
  })
  const column = [-1, ...axes.slice(1).map(() => 1)]
  const perGroup = shapeOf(node.input(1))[0] === groups && each > 1
  const spread = (value: Value) => {
    const data = elements(value.tensor!, 'float32')
    const all = Float32Array.from({ length: shape[1]! }, (_, c) => data[Math.floor(c / each)]!)
    return perGroup ? tensorOf('float32', [shape[1]!], all) : value
  }
  const [scale, bias] = [node.input(1), node.input(2)].map((one) => g.Reshape(spread(one), column))
  return [affine(g, g.Concat(...parts, { axis: 1 }), scale, bias)]
}

const meanVariance: Rewriting = (context) => {
  const { g, node } = context
  const x = node.input(0)
  const axes = [...node.numbers('axes', [0, 2, 3])]
  if (!isCut(context, x, axes)) return undefined
  const mean = meanOver(context, x, axes)
  const squares = meanOver(context, g.Mul(x, x), axes, x)
  const variance = g.Sub(squares, g.Mul(mean, mean))
  return [g.Div(g.Sub(x, mean), g.Sqrt(g.Add(variance, 1e-9)))]
}

const lpNormalization: Rewriting = (context) => {
  const { g, node, shapeOf } = context
  const x = node.input(0)
  const axis = (node.number('axis', -1) + shapeOf(x).length) % shapeOf(x).length
  if (!isCut(context, x, [axis])) return undefined
  const whole = filled(context, x)
  const axes = [axis]
  const opType = node.number('p', 2) === 1 ? 'ReduceL1' : 'ReduceL2'
  return [g.Div(x, reduced(context, opType, whole, axes))]
}

/** Queries, keys and values are made inside: what is gone of the weights is gone of them. */
const packedAttention: Rewriting = (context) => {
  const { g, node, masksOf } = context
  sums(context)
  const [, weights, bias] = node.inputs
  const columns = masksOf(weights)?.get(1)
  if (!columns) return undefined
  const mask = tensorOf('bool', [columns.length], columns)
  node.setInput(1, g.Where(mask, weights, 0))
  if (bias) node.setInput(2, g.Where(mask, bias, 0))
  return undefined
}

/** What is gone neither comes in nor goes from step to step. */
const recurrent: Rewriting = (context) => {
  const { g, node, masksOf, shapeOf } = context
  filling(0)(context)
  const outputs = node.outputs.filter((output) => output !== undefined)
  const units = outputs
    .map((output) => masksOf(output)?.get(shapeOf(output).length - 1))
    .find((mask) => mask !== undefined)
  if (units)
    node.setInput(2, g.Where(tensorOf('bool', [1, 1, units.length], units), node.input(2), 0))
  return undefined
}

/** The axes that a reduction names. */
function reducedAxes({ node, shapeOf }: Masked): number[] {
  const given = node.inputs[1]?.tensor
  const axes = given ? numbers(given) : node.numbers('axes', [])
  const { length } = shapeOf(node.input(0))
  return axes.length > 0 ? axes.map((axis) => (axis + length) % length) : from(0, length)
}

/** A mean by which its own input is normalised is taken over what remains, any other counts what is gone as zero. */
const reduceMean: Rewriting = (context) => {
  const { g, node } = context
  const x = node.input(0)
  const part = share(context, x, reducedAxes(context))
  filling(0)(context)
  if (part === 1 || !normalises(node)) return undefined
  const output = node.output()
  const users = [...output.users]
  const corrected = g.Div(output, part)
  for (const user of users)
    for (const [index, input] of user.inputs.entries())
      if (input === output) user.setInput(index, corrected)
  return undefined
}

/** Operators on the way from a statistic to where it normalises. */
const onTheWay: ReadonlySet<string> = new Set(
  'Add Sqrt Reciprocal Pow Identity Cast Clip Max Sub Mul Div Neg Abs Unsqueeze Reshape'.split(' '),
)

/** True where what a reduction gives is subtracted from, or divides, what the reduction was made of. */
function normalises(node: Node): boolean {
  const sources = new Set<Value>()
  const open: (Value | undefined)[] = [node.input(0)]
  for (let value = open.pop(); value || open.length > 0; value = open.pop()) {
    if (!value || value.tensor || sources.has(value)) continue
    sources.add(value)
    const made = value.producer
    if (made && ['Pow', 'Mul', 'Sub', 'Cast', 'Where'].includes(made.opType))
      open.push(...made.inputs)
  }
  const seen = new Set<Node>()
  const ahead = [...node.output().users]
  for (let user = ahead.pop(); user; user = ahead.pop()) {
    if (seen.has(user) || !onTheWay.has(user.opType)) continue
    seen.add(user)
    const joins = ['Sub', 'Mul', 'Div'].includes(user.opType)
    if (joins && user.inputs.some((input) => input && sources.has(input))) return true
    // Whatever has channels again is no statistic any more.
    const constants = user.inputs.filter(
      (input) => input && !input.tensor && !seen.has(input.producer!),
    )
    if (constants.length > 1 && user.opType !== 'Sub') continue
    ahead.push(...user.output().users)
  }
  return false
}

/** By operator with its domain; what is not here takes every index by itself. */
export const rewritings: Readonly<Record<string, Rewriting>> = {
  Conv: sums,
  ConvTranspose: sums,
  ConvInteger: sums,
  Gemm: sums,
  MatMul: sums,
  Einsum: sums,
  'com.microsoft.FusedConv': sums,
  'com.microsoft.FusedGemm': sums,
  'com.microsoft.FusedMatMul': sums,
  Attention: sums,
  'com.microsoft.Attention': packedAttention,
  'com.microsoft.GroupQueryAttention': sums,
  'com.microsoft.MultiHeadAttention': sums,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,

  CumSum: sums,
  ReduceSum: sums,
  ReduceL1: sums,
  ReduceL2: sums,
  ReduceSumSquare: sums,
  ReduceLogSum: sums,
  ReduceMean: reduceMean,
  ReduceMax: filling(-Infinity),
  ReduceMin: filling(Infinity),
  ReduceProd: filling(1),
  ReduceLogSumExp: filling(-Infinity),
  Softmax: filling(-Infinity),
  LogSoftmax: filling(-Infinity),

  GroupNormalization: groupNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVariance,
  RMSNormalization: rootMeanSquare,
  SimplifiedLayerNormalization: rootMeanSquare,
  'com.microsoft.EmbedLayerNormalization': embedLayerNormalization,
  'com.microsoft.SkipLayerNormalization': skipLayerNormalization,
  'com.microsoft.SkipSimplifiedLayerNormalization': skipRootMeanSquare,
}

/** Rewrites one node. */
export function rewrite(context: Masked): void {
  const { g, node } = context
  const results = rewritings[operatorOf(node)]?.(context)
  for (const [index, result] of (results ?? []).entries()) {
    const output = node.outputs[index]
    if (!output || !result) continue
    // The name stays with the output.
    const { producer } = g.Identity(result)
    node.setOutput(index, undefined)
    producer!.setOutput(0, output)
  }
  if (results) g.graph.remove(node)
}
