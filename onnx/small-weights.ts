// Weights that a file stores in few bits, and of which standard operators make floats: Cast(codes), with - Cast(zero points)
// and * scales where there are some, of a whole constant or of the rows that Gather looks up. (What DequantizeLinear
// and the operators for integers read is known by their inputs; see parameters.ts.)
import { allNodes, constantOf, type Graph, type Node, type Value } from './graph.ts'
import type { Used, ZeroPoints } from './nonzero.ts'
import { makerOf } from './patterns.ts'
import { type DataType, dataTypes, numbers, type Tensor } from './tensor.ts'

/** A weight in few bits. */
export interface SmallWeight {
  /** How many numbers of it are used; the rest fills up blocks. */
  readonly size: number
  readonly used: Used | undefined
  readonly zeros: ZeroPoints | undefined
}

const smallTypes: ReadonlySet<DataType> = new Set<DataType>([
  ...(['int8', 'uint8', 'int4', 'uint4', 'int2', 'uint2'] as const),
  ...(['float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2', 'float8e5m2fnuz'] as const),
])

const floatCodes: ReadonlySet<number | undefined> = new Set(
  (['float32', 'float16', 'bfloat16', 'float64'] as const).map((dtype) => dataTypes[dtype].code),
)

/** What is found of weights in few bits. */
export interface SmallWeights {
  /** Weights by the constant that holds their codes. */
  readonly weights: ReadonlyMap<Tensor, SmallWeight>
  /** The constants that are their zero points and scales. */
  readonly scaling: ReadonlySet<Tensor>
}

/** Finds the weights of a graph and its subgraphs that are stored so. */
export function smallWeightsIn(graph: Graph): SmallWeights {
  const weights = new Map<Tensor, SmallWeight>()
  const scaling = new Set<Tensor>()
  for (const node of allNodes(graph)) {
    const after = integerProducts.has(node.opType) && scalesAfter(node)
    if (after) scaling.add(after)
    const codes = codesOf(node)
    if (!codes || isZeroPoint(node.output())) continue
    const steps = onlyUser(node.output(), 'Sub')
    const shift = steps && makerOf(steps.input(1), 'Cast')
    const zeros = shift && smallConstant(shift.input(0))
    if (zeros) scaling.add(zeros)
    const scaled = onlyUser((zeros ? steps : node).output(), 'Mul')
    const scales = scaled && scalesIn(scaled)
    if (scales) scaling.add(scales)
    const columns = scales && columnsOf(scaled)
    const row = codes.dims.slice(-2).reduce((product, size) => product * size, 1)
    const length = columns === undefined ? row : Math.min(row, columns)
    weights.set(codes, {
      size: (codes.size / row) * length,
      used: length < row ? { row, length } : undefined,
      zeros:
        zeros?.dims.length === codes.dims.length ? { tensor: zeros, dims: zeros.dims } : undefined,
    })
  }
  return { weights, scaling }
}

/** The operators whose sums of integers are made floats of, and multiplied with the scales of both sides. */
const integerProducts: ReadonlySet<string> = new Set(['ConvInteger', 'MatMulInteger'])

/** The scales of the weights, by which the scale of the other side is multiplied first. */
function scalesAfter(node: Node): Tensor | undefined {
  const floats = node.outputs[0] && onlyUser(node.output(), 'Cast')
  const sum = floats && onlyUser(floats.output(), 'Mul')
  const both = sum && makerOf(sum.input(1), 'Mul')
  return both && constantOf(both.input(1))
}

/** The constant of which a Cast makes floats, as a whole or row by row. */
function codesOf(node: Node): Tensor | undefined {
  if (node.opType !== 'Cast' || node.domain !== '' || !floatCodes.has(node.number('to')))
    return undefined
  const input = node.input(0)
  return smallConstant(tableOf(input) ?? input)
}

/** The table whose rows a Gather looks up. */
function tableOf(value: Value): Value | undefined {
  const { producer } = value
  const isGather = producer?.opType === 'Gather' && producer.domain === ''
  return isGather ? producer.input(0) : undefined
}

function smallConstant(value: Value): Tensor | undefined {
  const tensor = constantOf(value)
  return tensor && tensor.dims.length > 0 && smallTypes.has(tensor.dtype) ? tensor : undefined
}

/** Whether all that is done with small numbers is to subtract them from others. */
const isZeroPoint = (value: Value): boolean =>
  value.users.size > 0 &&
  [...value.users].every(
    ({ opType, inputs }) => opType === 'Sub' && inputs[1] === value && inputs[0] !== value,
  )

function onlyUser(value: Value, opType: string): Node | undefined {
  const [user] = value.users
  return value.users.size === 1 && user?.opType === opType && user.inputs[0] === value
    ? user
    : undefined
}

/** The constant that codes are multiplied with, or whose rows are. */
function scalesIn(node: Node): Tensor | undefined {
  const scales = node.input(1)
  return constantOf(tableOf(scales) ?? scales)
}

/** How many columns Slice leaves of rows in blocks; undefined where it leaves all. */
function columnsOf(scaled: Node): number | undefined {
  const rows = onlyUser(scaled.output(), 'Reshape')
  const slice = rows && onlyUser(rows.output(), 'Slice')
  const ends = slice && constantOf(slice.inputs[2])
  return ends?.size === 1 ? numbers(ends)[0] : undefined
}
