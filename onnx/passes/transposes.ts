// Transposes that cancel: each is moved behind the operations that do not care about the order of axes, until it meets
// another one and both are one or none.
import { build } from '../build.ts'
import { type Attribute, constantOf, type Graph, type Node, Value } from '../graph.ts'
import { permuted } from '../permute.ts'
import { numbers, Tensor, tensorOf } from '../tensor.ts'

/** What a node is told when its operands lose their transposes: input i of a perm was axis `perm[i]`. */
interface Moved {
  /** The order of axes that its outputs have to get back. */
  readonly perm: readonly number[]
  readonly attributes?: readonly (readonly [string, Attribute])[]
  /** Constants to take the place of inputs, by index. */
  readonly constants?: readonly (readonly [number, Tensor])[]
}

/** What one operator needs so that a transpose may pass. */
interface Rule {
  /** Which inputs lie along the same axes as the output. */
  readonly operands: 'first' | 'all'
  /** Whether the operands broadcast. */
  readonly broadcasts?: boolean
  /** Undefined where this node keeps its transposes. */
  move(node: Node, perm: readonly number[]): Moved | undefined
}

const same = (_: Node, perm: readonly number[]): Moved => ({ perm })

const elementwise: Rule = { operands: 'first', move: same }
const broadcasting: Rule = { operands: 'all', broadcasts: true, move: same }

const int = (value: number): Attribute => ({ type: 'int', value })

/** An operator along one axis, whose default is the last or none. */
const alongAxis = (operands: Rule['operands'], fallback?: number): Rule => ({
  operands,
  move(node, perm) {
    const axis = node.number('axis') ?? fallback
    const moved = axis === undefined ? undefined : perm[fromFront(axis, perm)]
    return moved === undefined ? undefined : { perm, attributes: [['axis', int(moved)]] }
  },
})

const fromFront = (axis: number, perm: readonly number[]): number =>
  axis < 0 ? axis + perm.length : axis

const axesAt = (node: Node, index: number): number[] | undefined => {
  const constant = constantOf(node.inputs[index])
  return constant && numbers(constant)
}

/** Reductions over constant axes, which opsets before 18 have as an attribute. */
const reduction: Rule = {
  operands: 'first',
  move(node, perm) {
    const listed = node.numbers('axes')
    const given = listed ?? axesAt(node, 1)
    if (!given) return undefined
    const axes = given.map((axis) => fromFront(axis, perm))
    if (axes.some((axis) => perm[axis] === undefined)) return undefined
    const moved = axes.map((axis) => perm[axis]!)
    const kept = perm.filter((_, axis) => !axes.includes(axis))
    const order = [...kept].sort((a, b) => a - b)
    return {
      perm: node.number('keepdims', 1) === 1 ? perm : kept.map((axis) => order.indexOf(axis)),
      ...(listed
        ? { attributes: [['axes', { type: 'ints', value: moved }]] }
        : { constants: [[1, tensorOf('int64', [moved.length], moved)]] }),
    }
  },
}

const pad: Rule = {
  operands: 'first',
  move(node, perm) {
    const pads = axesAt(node, 1)
    if (!pads || node.inputs[3] || pads.length !== perm.length * 2) return undefined
    const moved = pads.map(() => 0)
    for (const [index, axis] of perm.entries()) {
      moved[axis] = pads[index]!
      moved[axis + perm.length] = pads[index + perm.length]!
    }
    return { perm, constants: [[1, tensorOf('int64', [moved.length], moved)]] }
  },
}

const slice: Rule = {
  operands: 'first',
  move(node, perm) {
    const axes = axesAt(node, 3)
    if (!axes) return undefined
    if (axes.some((axis) => perm[fromFront(axis, perm)] === undefined)) return undefined
    const moved = axes.map((axis) => perm[fromFront(axis, perm)]!)
    return { perm, constants: [[3, tensorOf('int64', [moved.length], moved)]] }
  },
}

const rulesOf = (names: string, rule: Rule): [string, Rule][] =>
  names.split(' ').map((name) => [name, rule])

const rules: ReadonlyMap<string, Rule> = new Map([
  ...rulesOf(
    'Abs Cast Ceil Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tan Tanh ThresholdedRelu',
    elementwise,
  ),
  ...rulesOf(
    'Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow PRelu Sub Sum Where Xor',
    broadcasting,
  ),
  ...rulesOf('Concat', alongAxis('all')),
  ...rulesOf('Softmax LogSoftmax', alongAxis('first', -1)),
  ...rulesOf('Split', alongAxis('first', 0)),
  ...rulesOf(
    'ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare',
    reduction,
  ),
  ['Pad', pad],
  ['Slice', slice],
])

/**
 * Moves Transpose nodes behind operations and joins those that meet; true if anything changed.
 *
 * What is computed stays the same; names of inputs and outputs stay. Call it until nothing changes. For models of
 * opset 13 and newer.
 */
export function cancelTransposes(graph: Graph): boolean {
  let changed = false
  const nodes = graph.nodes
  for (const [index, node] of nodes.entries())
    if (node.domain === '')
      changed =
        (node.opType === 'Transpose' ? join(graph, node) : sink(graph, node, nodes[index + 1])) ||
        changed
  return changed
}

/** The order of axes of a Transpose node; undefined where it is none. */
function permOf(node: Node | undefined): readonly number[] | undefined {
  if (node?.opType !== 'Transpose' || node.domain !== '') return undefined
  const perm = node.numbers('perm')
  return perm?.every((_, axis) => perm.includes(axis)) ? perm : undefined
}

/** Two transposes in a row are one, or none; one that moves axes of size 1 alone is a part of the reshape before. */
function join(graph: Graph, node: Node): boolean {
  const before = node.input(0).producer
  if (before?.opType === 'Reshape' && before.domain === '')
    return reshapeAtOnce(graph, node, before)
  const [first, second] = [permOf(before), permOf(node)]
  if (!before || !first || !second) return false
  const both = second.map((axis) => first[axis]!)
  node.setInput(0, before.input(0))
  node.attributes.set('perm', { type: 'ints', value: both })
  if (isIdentity(both) && !graph.outputs.includes(node.output()))
    graph.replaceUses(node.output(), node.input(0))
  return true
}

/** Lets a Reshape give its axes in the order that a Transpose behind it would bring them into. */
function reshapeAtOnce(graph: Graph, node: Node, before: Node): boolean {
  const perm = permOf(node)
  const shape = axesAt(before, 1)
  if (!perm || shape?.length !== perm.length || before.number('allowzero', 0) === 1) return false
  const places = perm.filter((axis) => shape[axis] !== 1)
  const inOrder = places.every((axis, index) => index === 0 || axis > places[index - 1]!)
  // A zero is the size of the same axis of the input.
  const keepsZeros = shape.every((size, axis) => size !== 0 || perm[axis] === axis)
  if (!inOrder || !keepsZeros) return false
  const moved = perm.map((axis) => shape[axis]!)
  node.opType = 'Reshape'
  node.attributes.clear()
  node.setInput(0, before.input(0))
  node.setInput(1, graph.addInitializer('shape', tensorOf('int64', [moved.length], moved)))
  return true
}

const isIdentity = (perm: readonly number[]): boolean => perm.every((axis, index) => axis === index)

/** Lets a node work on what its operands were before they were transposed, and transposes what it makes. */
function sink(graph: Graph, node: Node, next: Node | undefined): boolean {
  const rule = rules.get(node.opType)
  if (!rule) return false
  const operands = rule.operands === 'first' ? node.inputs.slice(0, 1) : node.inputs
  const perms = operands.map((operand) => permOf(operand?.producer))
  const perm = perms.find((each) => each !== undefined)
  if (!perm) return false
  const replaced = operands.map(
    (operand, index) => operand && replacement(operand, perms[index], perm, rule),
  )
  if (replaced.includes(undefined)) return false
  const moved = rule.move(node, perm)
  if (!moved) return false

  for (const [index, operand] of replaced.entries()) {
    const value =
      operand instanceof Tensor
        ? graph.addInitializer(`${operands[index]!.name}_transposed`, operand)
        : operand
    node.setInput(index, value)
  }
  for (const [index, tensor] of moved.constants ?? [])
    node.setInput(index, graph.addInitializer('axes', tensor))
  for (const [name, attribute] of moved.attributes ?? []) node.attributes.set(name, attribute)
  const g = build(graph, next)
  for (const [index, output] of node.outputs.entries()) {
    if (!output) continue
    if (isIdentity(moved.perm)) continue
    const inner = new Value(graph.uniqueName(`${output.name}_inner`))
    node.setOutput(index, inner)
    const [made] = g.node('Transpose', [inner], { attributes: { perm: moved.perm } })
    made!.producer!.setOutput(0, output)
  }
  return true
}

/** What an operand is without its transpose; undefined where it has none and cannot do without. */
function replacement(
  operand: Value,
  own: readonly number[] | undefined,
  perm: readonly number[],
  { broadcasts }: Rule,
): Value | Tensor | undefined {
  if (own)
    return own.length === perm.length && own.every((axis, index) => axis === perm[index])
      ? operand.producer!.input(0)
      : undefined
  const constant = constantOf(operand)
  if (!constant) return broadcasts && operand.type?.shape?.length === 0 ? operand : undefined
  if (broadcasts && constant.dims.length === 0) return operand
  if (constant.strings || constant.dims.length > perm.length) return undefined
  const missing = perm.length - constant.dims.length
  if (missing > 0 && !broadcasts) return undefined
  const dims = [...Array.from({ length: missing }, () => 1), ...constant.dims]
  const back = perm.map((_, axis) => perm.indexOf(axis))
  return permuted(new Tensor(constant.dtype, dims, constant.bytes), back)
}
