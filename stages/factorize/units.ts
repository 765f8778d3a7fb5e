// What can be factorised: each weight of a layer, with all nodes that use it, in the one form that the methods work on.
import { type Dense, dense } from '../../base/linear-algebra.ts'
import { constantOf, type Model, type Node, type Value } from '../../onnx/graph.ts'
import { innerLayers, type Layer, layerName, layersOf } from '../../onnx/layers.ts'
import { statedShape } from '../../onnx/multiplications.ts'
import { elements, sizeOf } from '../../onnx/tensor.ts'

/** What all units have in common. */
interface Common {
  /** What selectors and messages call it: the first node's name. */
  readonly name: string
  readonly opType: string
  /** The nodes that use the weight, all of them alike. */
  readonly nodes: readonly Node[]
  readonly weight: Value
  readonly parameters: number
  /** Multiply-accumulates of all its nodes for a batch of one; of one row or position where shapes are not known. */
  readonly macs: number
  /** Whether `macs` are those of a whole run. */
  readonly countable: boolean
}

/** A product with a constant matrix, seen as x·W. */
export interface LinearUnit extends Common {
  readonly kind: 'linear'
  /** The sizes of W, `[inputs, outputs]`. */
  readonly inputs: number
  readonly outputs: number
  /** Rows of x in a run, of all its nodes. */
  readonly rows: number
  /** Which input of the nodes is the weight: 1 for x·W, 0 where the constant stands on the left. */
  readonly input: number
  /** Whether the file has Wᵀ. */
  readonly isTransposed: boolean
}

/** How large the images are that a convolution reads and writes, axis by axis. */
export interface Places {
  readonly input: readonly number[]
  readonly output: readonly number[]
}

/** A convolution of any number of spatial axes. */
export interface ConvUnit extends Common {
  readonly kind: 'conv'
  readonly groups: number
  /** Channels of one group. */
  readonly outputs: number
  readonly inputs: number
  readonly kernel: readonly number[]
  /** One for each node. */
  readonly places: readonly Places[]
}

/** A weight that may be factorised. */
export type Unit = LinearUnit | ConvUnit

/** A layer that cannot be factorised by any method, and why. */
export interface Left {
  readonly name: string
  readonly opType: string
  readonly reason: string
}

/** Finds the weights of a prepared model that can be factorised, and says of the other layers why they cannot. */
export function unitsOf({ graph }: Model): { readonly units: Unit[]; readonly left: Left[] } {
  const units: Unit[] = []
  const left: Left[] = []
  const byWeight = new Map<Value, Layer[]>()
  for (const layer of layersOf(graph)) {
    const known = byWeight.get(layer.weight)
    if (known) known.push(layer)
    else byWeight.set(layer.weight, [layer])
  }
  for (const [weight, layers] of byWeight) {
    const [{ name, opType }] = layers as [Layer]
    const found = graph.outputs.includes(weight)
      ? 'its weight is an output of the model'
      : (otherUse(weight, layers) ?? unitOf(weight, layers))
    if (typeof found === 'string')
      for (const layer of layers) left.push({ name: layer.name, opType, reason: found })
    else units.push({ ...found, name })
  }
  for (const { name, opType } of innerLayers(graph))
    left.push({ name, opType, reason: 'it is inside a branch or a loop' })
  return { units, left }
}

/** Why a weight must stay, whose other uses would not get smaller with it. */
function otherUse(weight: Value, layers: readonly Layer[]): string | undefined {
  const nodes = new Set(layers.map(({ node }) => node))
  const stranger = [...weight.users].find((user) => !nodes.has(user))
  if (stranger) return `its weight is used by ${stranger.opType} '${layerName(stranger)}', too`
  if (nodes.size < layers.length || weight.users.size < layers.length)
    return 'both of its inputs are the weight'
  const [first, ...others] = layers.map(formOf)
  return others.some((form) => form !== first)
    ? 'its weight is shared by layers that use it in different ways'
    : undefined
}

/** What must agree where nodes share one weight. */
const formOf = ({ node, input, opType }: Layer): string =>
  [opType, node.domain, input, isTransposed(node, input), node.number('group', 1)].join()

/** Whether the constant is the transpose of W in x·W. */
function isTransposed(node: Node, input: number): boolean {
  if (node.opType !== 'Gemm') return input === 0
  return input === 1 ? node.number('transB', 0) === 1 : node.number('transA', 0) === 0
}

function unitOf(weight: Value, layers: readonly Layer[]): Unit | string {
  const [{ name, opType, node, input }] = layers as [Layer]
  const tensor = constantOf(weight)!
  const nodes = layers.map((layer) => layer.node)
  if (node.domain !== '') return `there is no method for operator ${node.domain}.${opType}`
  if (opType !== 'Conv' && opType !== 'Gemm' && opType !== 'MatMul')
    return `there is no method for operator ${opType}`
  if (tensor.dtype !== 'float32') return `its weight is ${tensor.dtype}, not float32`
  const common = { name, opType, nodes, weight, parameters: tensor.size }
  if (opType === 'Conv') return convUnit(common, tensor.dims)
  if (tensor.dims.length !== 2) return `its weight has ${tensor.dims.length} axes`
  if (nodes.some((one) => constantOf(one.inputs[1 - input])))
    return 'both of its inputs are constant'
  const swapped = isTransposed(node, input)
  const [inputs, outputs] = (swapped ? tensor.dims.toReversed() : tensor.dims) as [number, number]
  const made = nodes.map((one) => statedShape(one.outputs[0]))
  const countable = made.every((dims) => dims !== undefined)
  const rows = countable
    ? made.reduce((sum, dims) => sum + sizeOf(dims!) / outputs, 0)
    : nodes.length
  return {
    kind: 'linear',
    ...common,
    ...{ inputs, outputs, rows, input, isTransposed: swapped, countable },
    macs: rows * inputs * outputs,
  }
}

function convUnit(
  common: Omit<Common, 'macs' | 'countable'>,
  dims: readonly number[],
): ConvUnit | string {
  const [node] = common.nodes as [Node]
  const groups = node.number('group', 1)
  const [all = 0, inputs = 0, ...kernel] = dims
  const outputs = all / groups
  if (kernel.length === 0) return 'its kernel has no axis'
  let countable = true
  const places = common.nodes.map((one): Places => {
    const [input, output] = [statedShape(one.inputs[0]), statedShape(one.outputs[0])]
    if (input && output) return { input: input.slice(2), output: output.slice(2) }
    countable = false
    // Costs of one position of the output can still be compared.
    const strides = one.numbers('strides', [])
    return { input: kernel.map((_, axis) => strides[axis] ?? 1), output: kernel.map(() => 1) }
  })
  const positions = places.reduce((sum, { output }) => sum + sizeOf(output), 0)
  return {
    kind: 'conv',
    ...common,
    ...{ groups, outputs, inputs, kernel, places, countable },
    macs: positions * common.parameters,
  }
}

/** The weights of a linear unit as W of x·W, `[inputs, outputs]`. */
export function matrixOf({ weight, inputs, outputs, isTransposed: swapped }: LinearUnit): Dense {
  const stored = elements(weight.tensor!, 'float32')
  if (!swapped) return dense(inputs, outputs, stored)
  const matrix = dense(inputs, outputs)
  for (let row = 0; row < inputs; row++)
    for (let column = 0; column < outputs; column++)
      matrix.values[row * outputs + column] = stored[column * inputs + row]!
  return matrix
}

/** The weights of one group of a convolution, `[outputs, inputs, …kernel]`. */
export function groupWeights(
  { weight, parameters, groups }: ConvUnit,
  group: number,
): Float64Array {
  const size = parameters / groups
  const stored = elements(weight.tensor!, 'float32')
  return Float64Array.from(stored.subarray(group * size, (group + 1) * size))
}
