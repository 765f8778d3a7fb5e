// Graphs run by ONNX's definitions alone, in float64 and node by node: nothing is fused, and everything is quantized where
// the graph says so. The reference evaluators of the standard operators, and here those of integers.
import type { Attributes } from '../../../onnx/build.ts'
import { type Model, type Node, opsetOf, type Value } from '../../../onnx/graph.ts'
import { dataTypes, numbers, type Tensor } from '../../../onnx/tensor.ts'
import {
  at,
  axisOf,
  type Evaluator,
  fill,
  type NdArray,
  nd,
  numberOf,
  required,
} from '../../support/reference/nd.ts'
import { reference } from '../../support/reference.ts'

/** Runs a graph of one input and gives the numbers of its first output. */
export function interpret(model: Model, input: Tensor): readonly number[] {
  if (opsetOf(model) < 13) throw new Error('interpret knows opset 13 and later')
  const known = new Map<Value, NdArray>([[model.graph.feeds[0]!, arrayOf(input)]])
  const contentOf = (value: Value): NdArray =>
    known.get(value) ?? arrayOf(value.tensor ?? fail(`no value '${value.name}'`))
  for (const node of model.graph.nodes) {
    const name = node.domain ? `${node.domain}.${node.opType}` : node.opType
    const evaluate = special(node) ?? reference[name] ?? fail(`no definition of ${name}`)
    const inputs = node.inputs.map((value) => value && contentOf(value))
    const { more = [], ...first } = evaluate(inputs, attributesOf(node))
    for (const [index, output] of node.outputs.entries()) {
      const result = index === 0 ? first : more[index - 1]
      if (output && result) known.set(output, result)
    }
  }
  return [...contentOf(model.graph.outputs[0]!).data]
}

const fail = (message: string): never => {
  throw new Error(message)
}

const arrayOf = (tensor: Tensor): NdArray => nd(tensor.dims, numbers(tensor))

const attributesOf = ({ attributes, outputs }: Node): Attributes => ({
  num_outputs: outputs.length,
  ...Object.fromEntries([...attributes].map(([name, { value }]) => [name, value as number])),
})

/** The numbers that QuantizeLinear gives. */
const ends: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
}

const clip = (value: number, [low, high]: readonly [number, number]) =>
  Math.min(high, Math.max(low, value))

/** Half to even, by another way than the code under test: through the parity of the floor. */
function nearest(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

const quantizeLinear =
  (dtype: string): Evaluator =>
  ([input, scales, zeros], attributes) => {
    const x = required(input)
    const axis = axisOf(numberOf(attributes, 'axis', 1), x.dims.length)
    const each = (table: NdArray | undefined, position: readonly number[]) =>
      table ? table.data[table.data.length === 1 ? 0 : position[axis]!]! : 0
    return fill(x.dims, (position) => {
      const steps = Math.fround(Math.fround(at(x, position)) / each(scales, position))
      return clip(nearest(steps) + each(zeros, position), ends[dtype]!)
    })
  }

/** The range of the input and zero are 255 steps. */
const dynamicQuantizeLinear: Evaluator = ([input]) => {
  const x = required(input)
  const [low, high] = [Math.min(0, ...x.data), Math.max(0, ...x.data)].map(Math.fround)
  const scale = Math.fround(Math.fround(high! - low!) / 255)
  const zero = clip(nearest(Math.fround(-low! / scale)), ends.uint8!)
  const values = fill(x.dims, (position) =>
    clip(nearest(Math.fround(Math.fround(at(x, position)) / scale)) + zero, ends.uint8!),
  )
  return { ...values, more: [nd([], [scale]), nd([], [zero])] }
}

/** An operator on integers from which their zero points were taken. */
const onIntegers =
  (opType: 'Conv' | 'MatMul'): Evaluator =>
  ([a, b, aZero, bZero], attributes) => {
    const less = (x: NdArray, zero: NdArray | undefined) =>
      zero ? fill(x.dims, (position) => at(x, position) - zero.data[0]!) : x
    const inputs = [less(required(a), aZero), less(required(b), bZero)]
    return reference[opType]!(inputs, attributes)
  }

const truncate: Evaluator = ([x]) => nd(required(x).dims, required(x).data.map(Math.trunc))

const shapeOf: Evaluator = ([input], attributes) => {
  const { dims } = required(input)
  const [start, end] = ['start', 'end'].map((name) => numberOf(attributes, name, Number.NaN))
  const part = dims.slice(Number.isNaN(start) ? 0 : start, Number.isNaN(end) ? undefined : end)
  return nd([part.length], part)
}

const argMax: Evaluator = ([input], attributes) => {
  const x = required(input)
  const axis = axisOf(numberOf(attributes, 'axis', 0), x.dims.length)
  return fill(x.dims.with(axis, 1), (position) => {
    const line = Array.from({ length: x.dims[axis]! }, (_, index) =>
      at(x, position.with(axis, index)),
    )
    return line.indexOf(Math.max(...line))
  })
}

/** ONNX Runtime's sum of a word's, its place's and its segment's row, normalized. */
const embedLayerNormalization: Evaluator = (inputs, attributes) => {
  const [words, segments, wordRows, placeRows, segmentRows, scale, shift] = inputs
  const ids = required(words)
  const sum = fill([...ids.dims, required(wordRows).dims[1]!], ([sample, place, channel]) => {
    const word = at(required(wordRows), [at(ids, [sample!, place!]), channel!])
    const segment = segments
      ? at(required(segmentRows), [at(segments, [sample!, place!]), channel!])
      : 0
    return word + at(required(placeRows), [place!, channel!]) + segment
  })
  return reference.LayerNormalization!([sum, scale, shift], { epsilon: 1e-12, ...attributes })
}

/** What is not among the reference's operators, or is more particular here. */
function special(node: Node): Evaluator | undefined {
  switch (node.opType) {
    case 'QuantizeLinear':
      return quantizeLinear(node.input(2).tensor?.dtype ?? 'uint8')
    case 'DequantizeLinear':
      // That of ONNX Runtime, which has more types in old opsets, means the same.
      return reference.DequantizeLinear
    case 'DynamicQuantizeLinear':
      return dynamicQuantizeLinear
    case 'ConvInteger':
      return onIntegers('Conv')
    case 'MatMulInteger':
      return onIntegers('MatMul')
    case 'Cast':
      return node.number('to', 0) === dataTypes.float32.code ? undefined : truncate
    case 'ArgMax':
      return argMax
    case 'Shape':
      return shapeOf
    case 'EmbedLayerNormalization':
      return embedLayerNormalization
    default:
      return undefined
  }
}
