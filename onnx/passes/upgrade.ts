// Raising the opset. Each version of ONNX that changed what an operator means has a row per operator that rewrites it;
// all others of the same name mean the same. Source: the operators' change log of ONNX 1.16 (2024).
import { messageOf, UserError } from '../../base/errors.ts'
import { type Builder, build } from '../build.ts'
import { constantOf, type Graph, type Model, Node, opsetOf, Value } from '../graph.ts'
import { dataTypes, numbers, type Tensor, tensorOf } from '../tensor.ts'

/** Changes one node into what means the same in the next version; `g` writes nodes before it. */
type Rewrite = (node: Node, g: Builder, graph: Graph) => void

/** The newest opset that can be written. */
export const newestOpset = 21

/** The lowest IR version that may hold an opset. */
const irVersions: readonly (readonly [opset: number, irVersion: number])[] = [
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [10, 5],
  [9, 4],
]

/** Moves an attribute to an input; an absent attribute stays absent. */
const attributeToInput =
  (name: string, index: number, form: 'vector' | 'scalar' = 'vector'): Rewrite =>
  (node, g) => {
    const attribute = node.attributes.get(name)
    if (attribute === undefined) return
    node.attributes.delete(name)
    if (attribute.type === 'ints')
      node.setInput(index, g.constant(integerVector(attribute.value), name))
    else if (attribute.type === 'floats')
      node.setInput(index, g.constant(floatVector(attribute.value), name))
    else if (attribute.type === 'int' && form === 'vector')
      node.setInput(index, g.constant(integerVector([attribute.value]), name))
    else if (attribute.type === 'float' || attribute.type === 'int')
      node.setInput(index, scalarLike(node, g, attribute.value, name))
  }

/** 2^63 as a number stands for INT64_MAX, "to the end", which no number holds exactly. */
const integerVector = (values: readonly number[]): Tensor => {
  const integers = values.map((value) => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value)))
  return tensorOf('int64', [values.length], BigInt64Array.from(integers))
}

const floatVector = (values: readonly number[]): Tensor =>
  tensorOf('float32', [values.length], values)

/** A scalar of the type that the node's data has (float32 where that is not known). */
function scalarLike(node: Node, g: Builder, number: number, name: string): Value {
  const scalar = g.constant(number, name)
  const dtype = node.input(0).type?.dtype ?? 'float32'
  return dtype === 'float32' ? scalar : g.Cast(scalar, { to: dataTypes[dtype].code })
}

const both =
  (...rewrites: readonly Rewrite[]): Rewrite =>
  (node, g, graph) => {
    for (const rewrite of rewrites) rewrite(node, g, graph)
  }

const refuse =
  (reason: string): Rewrite =>
  () => {
    throw new UserError(reason)
  }

const setAttribute =
  (name: string, value: string): Rewrite =>
  (node) => {
    if (!node.attributes.has(name)) node.attributes.set(name, { type: 'string', value })
  }

const axesToInput = attributeToInput('axes', 1)

/** Outputs beyond the first that nothing uses are dropped; used ones mean something else from here on. */
const onlyFirstOutput =
  (reason: string): Rewrite =>
  (node, _g, graph) => {
    const more = node.outputs.slice(1)
    if (more.some((value) => value && (value.users.size > 0 || graph.outputs.includes(value))))
      throw new UserError(reason)
    if (more.length > 0) exchange(graph, node, [...node.inputs], node.opType)
  }

/** Puts a node of another kind in the place of one, with its first output and its attributes. */
function exchange(
  graph: Graph,
  node: Node,
  inputs: readonly (Value | undefined)[],
  opType: string,
): Node {
  const output = node.output()
  node.setOutput(0, undefined)
  const { name, extra } = node
  const next = new Node(opType, inputs, [output], { name, extra, attributes: node.attributes })
  graph.add(next, node)
  graph.remove(node)
  return next
}

/**
 * Until 12 Softmax and its kin flattened to a matrix at `axis` (1 unless given); since 13 they work along one axis.
 */
const unflatten: Rewrite = (node, g, graph) => {
  const axis = node.number('axis', 1)
  const rank = rankOf(node)
  node.attributes.set('axis', { type: 'int', value: -1 })
  if (axis === -1 || (rank !== undefined && axis === rank - 1)) return
  const input = node.input(0)
  const output = node.output()
  const shape = g.Shape(input)
  node.setInput(0, g.Flatten(input, { axis }))
  // The output keeps its name, so it is now the Reshape's and the node gives a new value.
  const flat = new Value(graph.uniqueName(`${output.name}_flat`))
  node.setOutput(0, flat)
  const name = graph.uniqueName(`${node.name || node.opType}_restore`)
  const nodes = graph.nodes
  graph.add(new Node('Reshape', [flat, shape], [output], { name }), nodes[nodes.indexOf(node) + 1])
}

function rankOf(node: Node): number | undefined {
  const input = node.input(0)
  const declared = input.type?.shape ?? node.output().type?.shape
  if (declared) return declared.length
  return input.producer && ['Gemm', 'Flatten'].includes(input.producer.opType) ? 2 : undefined
}

/** Clip's bounds are optional scalars of the data's type. */
const clip = both(attributeToInput('min', 1, 'scalar'), attributeToInput('max', 2, 'scalar'))

const pad: Rewrite = (node, g) => {
  attributeToInput('pads', 1)(node, g, g.graph)
  // Zero is the default; leaving it out spares its type.
  if (node.number('value', 0) === 0) node.attributes.delete('value')
  attributeToInput('value', 2, 'scalar')(node, g, g.graph)
}

const slice: Rewrite = (node, g) => {
  const axes = node.numbers('axes')
  node.attributes.delete('axes')
  attributeToInput('starts', 1)(node, g, g.graph)
  attributeToInput('ends', 2)(node, g, g.graph)
  if (axes) node.setInput(3, g.constant(integerVector(axes), 'axes'))
}

/** Dropout has its ratio as an input and does nothing at inference; the mask's type was changed in 10. */
const dropout: Rewrite = (node, g) => {
  const ratio = node.number('ratio')
  node.attributes.delete('ratio')
  if (ratio !== undefined) node.setInput(1, g.constant(ratio, 'ratio'))
}

/**
 * Resize 10 put its samples where Resize 11 does with `asymmetric` and, for `nearest`, `floor` along axes that grow and
 * `ceil` along those that shrink; where both are there, those that grow are resized first.
 */
const resize: Rewrite = (node, g) => {
  const scales = node.input(1)
  const roi = g.constant(floatVector([]), 'roi')
  node.setInput(1, roi)
  node.setInput(2, scales)
  setAttribute('coordinate_transformation_mode', 'asymmetric')(node, g, g.graph)
  const tensor = constantOf(scales)
  const factors = tensor ? numbers(tensor) : []
  const shrinks = node.string('mode', 'nearest') === 'nearest' && factors.some((each) => each < 1)
  if (shrinks && factors.some((each) => each > 1)) {
    const growth = floatVector(factors.map((each) => Math.max(each, 1)))
    const attributes = {
      coordinate_transformation_mode: 'asymmetric',
      mode: 'nearest',
      nearest_mode: 'floor',
    }
    node.setInput(0, g.Resize(node.input(0), roi, growth, attributes))
    node.setInput(2, g.constant(floatVector(factors.map((each) => Math.min(each, 1))), 'scales'))
  }
  setAttribute('nearest_mode', shrinks ? 'ceil' : 'floor')(node, g, g.graph)
}

const equalSplit: Rewrite = (node) => {
  if (node.inputs[1] === undefined)
    node.attributes.set('num_outputs', { type: 'int', value: node.outputs.length })
}

const gridSampleModes: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' }

const gridSample: Rewrite = (node) => {
  const mode = node.string('mode', 'bilinear')
  node.attributes.set('mode', { type: 'string', value: gridSampleModes[mode] ?? mode })
}

const discreteFourierTransform: Rewrite = (node, g) => {
  const axis = node.number('axis', 1)
  node.attributes.delete('axis')
  node.setInput(2, g.constant(tensorOf('int64', [], [axis]), 'axis'))
}

const batchNormalization9: Rewrite = (node) => {
  if (node.number('spatial', 1) !== 1)
    throw new UserError("it has 'spatial' 0, which opset 9 dropped")
  node.attributes.delete('spatial')
}

/** Scale and bias were by group before opset 21; each is repeated for the channels of its group. */
const groupNormalization: Rewrite = (node, g) => {
  const groups = node.number('num_groups', 1)
  const channels = g.Slice(g.Shape(node.input(0)), [1], [2])
  const shape = g.Concat([groups], g.Div(channels, [groups]), { axis: 0 })
  for (const index of [1, 2]) {
    const column = g.Unsqueeze(node.inputs[index], [1])
    node.setInput(index, g.Reshape(g.Expand(column, shape), [-1]))
  }
}

const experimental = refuse('it was experimental and is gone since opset 10')

/** Rewrites by the opset that made them necessary, then by operator. */
const steps: Readonly<Record<number, Readonly<Record<string, Rewrite>>>> = {
  9: {
    BatchNormalization: batchNormalization9,
    Scan: refuse('its batch dimension was dropped in opset 9'),
    Upsample: attributeToInput('scales', 1),
  },
  10: {
    Affine: experimental,
    ATen: experimental,
    ConstantFill: experimental,
    Crop: experimental,
    Dropout: onlyFirstOutput('its mask changed its type in opset 10'),
    GivenTensorFill: experimental,
    ImageScaler: experimental,
    ParametricSoftplus: experimental,
    ScaledTanh: experimental,
    Slice: slice,
    TopK: attributeToInput('k', 1),
    Upsample: (node, _g, graph) => exchange(graph, node, [...node.inputs], 'Resize'),
  },
  11: {
    Clip: clip,
    Pad: pad,
    Resize: resize,
    Scatter: (node, _g, graph) => exchange(graph, node, [...node.inputs], 'ScatterElements'),
  },
  12: { Dropout: dropout },
  13: {
    Hardmax: unflatten,
    LogSoftmax: unflatten,
    ReduceSum: axesToInput,
    Softmax: unflatten,
    Split: attributeToInput('split', 1),
    Squeeze: axesToInput,
    Unsqueeze: axesToInput,
  },
  14: { BatchNormalization: onlyFirstOutput('its training outputs changed in opset 14') },
  16: { RoiAlign: setAttribute('coordinate_transformation_mode', 'output_half_pixel') },
  18: {
    ReduceL1: axesToInput,
    ReduceL2: axesToInput,
    ReduceLogSum: axesToInput,
    ReduceLogSumExp: axesToInput,
    ReduceMax: axesToInput,
    ReduceMean: axesToInput,
    ReduceMin: axesToInput,
    ReduceProd: axesToInput,
    ReduceSumSquare: axesToInput,
    Split: equalSplit,
  },
  20: { DFT: discreteFourierTransform, GridSample: gridSample },
  21: { GroupNormalization: groupNormalization },
}

/**
 * Raises the standard operator set of a model to a version, 7 … 21, rewriting what changed its meaning, in subgraphs
 * too; a model that is as new already stays.
 *
 * Value types help to keep the result short, but are not needed. An operator that cannot be carried over, and a model
 * older than opset 7, is a {@link UserError}; the model is then partly rewritten and to be thrown away.
 */
export function upgradeOpset(model: Model, target: number, where = 'model'): boolean {
  const before = opsetOf(model)
  if (target > newestOpset)
    throw new Error(`internal: opset ${target} is newer than ${newestOpset}`)
  if (before >= target) return false
  if (before < 7)
    throw new UserError(
      `${where}: the opset is too old to be raised: ${before} — export the model again with opset 13 or newer`,
    )
  for (let version = before + 1; version <= target; version++)
    rewriteIn(model.graph, steps[version] ?? {}, `${where}: cannot be raised to opset ${version}`)
  model.opsets.set('', target)
  const needed = irVersions.find(([opset]) => target >= opset)?.[1] ?? 3
  model.irVersion = Math.max(model.irVersion, needed)
  return true
}

function rewriteIn(graph: Graph, table: Readonly<Record<string, Rewrite>>, where: string): void {
  for (const node of graph.nodes) {
    for (const subgraph of node.subgraphs) rewriteIn(subgraph, table, where)
    if (node.domain !== '' || !Object.hasOwn(table, node.opType)) continue
    try {
      table[node.opType]!(node, build(graph, node), graph)
    } catch (thrown) {
      if (!(thrown instanceof UserError)) throw thrown
      throw new UserError(
        `${where}: ${node.opType} '${node.name || node.output().name}': ${messageOf(thrown)} — export the model again with a newer opset`,
      )
    }
  }
}
