// Weights that a file stores in few bits, and of which standard operators make floats: Cast(codes), with - Cast(zero points)
// and * scales where there are some, of a whole constant or of the rows that Gather looks up. (What DequantizeLinear
// and the operators for integers read is known by their inputs; see parameters.ts.)
import { allNodes, constantOf, type Graph, type Node, type Value } from './graph.ts'
import type { Used, ZeroPoints } from './nonzero.ts'
import { makerOf } from './patterns.ts'
import { type DataType, dataTypes, numbers, sizeOf, type Tensor } from './tensor.ts'

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
    if (!codes || isZeroPoint(node.outputs[0])) continue
    const steps = onlyUser(node, 'Sub')
    const zeros = steps && smallConstant(maker(steps.inputs[1], 'Cast')?.inputs[0])
    if (zeros) scaling.add(zeros)
    const scaled = onlyUser(zeros ? steps : node, 'Mul')
    const scales = scaled && tableOrWhole(scaled.inputs[1])
    if (scales) scaling.add(scales)
    const row = sizeOf(codes.dims.slice(-2))
    const length = Math.min(row, (scales && columnsOf(scaled)) || row)
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
  const floats = onlyUser(node, 'Cast')
  const sum = floats && onlyUser(floats, 'Mul')
  return constantOf(maker(sum?.inputs[1], 'Mul')?.inputs[1])
}

/** The constant of which a Cast makes floats, as a whole or row by row. */
function codesOf(node: Node): Tensor | undefined {
  const isCast = node.opType === 'Cast' && node.domain === '' && floatCodes.has(node.number('to'))
  return isCast ? smallConstant(node.inputs[0]) : undefined
}

/** The constant that a value is, or whose rows it is. */
function tableOrWhole(value: Value | undefined): Tensor | undefined {
  const { producer } = value ?? {}
  const isGather = producer?.opType === 'Gather' && producer.domain === ''
  return constantOf(isGather ? producer.inputs[0] : value)
}

function smallConstant(value: Value | undefined): Tensor | undefined {
  const tensor = tableOrWhole(value)
  const isSmall =
    tensor && tensor.dims.length > 0 && tensor.size > 0 && smallTypes.has(tensor.dtype)
  return isSmall ? tensor : undefined
}

/** Whether all that is done with small numbers is to subtract them from others. */
const isZeroPoint = (value: Value | undefined): boolean =>
  value !== undefined &&
  value.users.size > 0 &&
  [...value.users].every(
    ({ opType, inputs }) => opType === 'Sub' && inputs[1] === value && inputs[0] !== value,
  )

const maker = (value: Value | undefined, opType: string): Node | undefined =>
  value && makerOf(value, opType)

/** The node that alone reads what another gives, as its first input. */
function onlyUser({ outputs: [value] }: Node, opType: string): Node | undefined {
  const [user] = value?.users ?? []
  return value?.users.size === 1 && user?.opType === opType && user.inputs[0] === value
    ? user
    : undefined
}

/** How many columns Slice leaves of rows in blocks; undefined where it leaves all. */
function columnsOf(scaled: Node): number | undefined {
  const rows = onlyUser(scaled, 'Reshape')
  const ends = constantOf((rows && onlyUser(rows, 'Slice'))?.inputs[2])
  const end = ends?.dtype === 'int64' && ends.size === 1 ? numbers(ends)[0]! : 0
  return end > 0 ? end : undefined
}
