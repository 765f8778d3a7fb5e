// Changing the logits of a classifier: adding constants to them, into its last bias where it has one, and putting them
// into another order.
import { Float16Array } from '@petamoriken/float16'
import { UserError } from '../../base/errors.ts'
import { attributeOf } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { closingOf } from '../../onnx/closing.ts'
import { constantOf, type Graph, type Model, Node, Value } from '../../onnx/graph.ts'
import { elements, Tensor, tensorOf } from '../../onnx/tensor.ts'

/** Operators that make probabilities of logits where classes exclude each other. */
const softmaxes: ReadonlySet<string> = new Set(['Softmax', 'LogSoftmax'])

/** Operators that make something else than logits, to which nothing can be added. */
const refused: ReadonlySet<string> = new Set([
  ...['Sigmoid', 'HardSigmoid', 'QLinearSigmoid', 'QLinearSoftmax'],
])

/**
 * Gives a copy of a model with a number added to the logit of each class, `shift` in the order of the classes.
 *
 * Logits are the first output, or what enters the Softmax or LogSoftmax that it ends with. A closing Gemm or Add with
 * a constant has them added to that; otherwise there is an Add more. Other outputs stay as they are.
 */
export function shiftLogits(model: Model, shift: readonly number[], where = 'model'): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  const place = placeOf(graph)
  const { output, opType, path, softmax } = place
  if (refused.has(opType))
    throw new UserError(
      `bias: ${where}: the student ends with ${opType}, before which there is no logit to add to — use one that ends with logits or Softmax`,
    )
  const logits = softmax ? place.before! : (path[0]?.input(0) ?? output)
  // What is quantized afterwards has a range that a larger bias would leave.
  const free = !path.some((node) => node.opType === 'QuantizeLinear')
  if (free && isUsedOnce(graph, logits) && foldIntoBias(graph, logits, shift)) return copy
  const tensor = shiftTensor(shift, typeAt(place))
  insert(graph, place, (from, to) => {
    const constant = graph.addInitializer('logit_shift', tensor)
    return new Node('Add', [from, constant], [to], { name: graph.uniqueName('shift_logits') })
  })
  return copy
}

/**
 * Gives a copy of a model whose logits are in another order: number i becomes what number `order[i]` was.
 *
 * Logits are as in {@link shiftLogits}; other outputs stay as they are.
 */
export function reorderLogits(model: Model, order: ArrayLike<number>): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  const place = placeOf(graph)
  const places = graph.addInitializer(
    'class_order',
    tensorOf('int64', [order.length], Array.from(order)),
  )
  const axis = attributeOf('axis', classAxis(typeAt(place)?.shape, order.length))
  insert(graph, place, (from, to) => {
    const name = graph.uniqueName('reorder_logits')
    return new Node('Gather', [from, places], [to], { name, attributes: [['axis', axis]] })
  })
  return copy
}

/** The axis of the classes: the last, or the second before ones of length 1. */
function classAxis(shape: readonly unknown[] = [], classes: number): number {
  const isSecond =
    shape.length > 2 && shape[1] === classes && shape.slice(2).every((dim) => dim === 1)
  return isSecond ? 1 : -1
}

/** Where the logits are: before the Softmax that a model ends with, or its first output. */
interface Place {
  readonly output: Value
  /** The last operator that makes something else than a copy, the copies behind it, and what enters it. */
  readonly opType: string
  readonly path: readonly Node[]
  readonly before: Value | undefined
  /** What takes the logits, where they enter a Softmax. */
  readonly softmax: Node | undefined
}

function placeOf(graph: Graph): Place {
  const output = graph.outputs[0]!
  const { opType = '', before, path } = closingOf(output)
  const softmax = softmaxes.has(opType) && before ? takerOf(before, output, path) : undefined
  return { output, opType, path, before, softmax }
}

/** The type of the logits. */
const typeAt = ({ softmax, before, output }: Place): Value['type'] =>
  (softmax && before?.type) ?? output.type

/** Puts a node between the logits and whoever takes them. */
function insert(
  graph: Graph,
  { softmax, before, output }: Place,
  nodeBetween: (from: Value, to: Value) => Node,
): void {
  if (softmax) insertBefore(graph, softmax, before!, nodeBetween)
  else insertAtEnd(graph, output, nodeBetween)
}

/** The node that takes the logits: the Softmax, or the Exp that one written out begins with. */
function takerOf(before: Value, output: Value, path: readonly Node[]): Node | undefined {
  const maker = path[0] ? path[0].input(0).producer : output.producer
  return maker?.inputs.includes(before) ? maker : maker?.inputs[0]?.producer
}

/** True where nothing but one node, or the graph's first output, reads a value. */
const isUsedOnce = ({ outputs }: Graph, value: Value): boolean =>
  value.users.size + outputs.filter((output) => output === value).length === 1

/** Adds to the constant that a Gemm or an Add ends with; false where there is none of the right size. */
function foldIntoBias(graph: Graph, logits: Value, shift: readonly number[]): boolean {
  const node = logits.producer
  if (node?.domain !== '' || (node.opType !== 'Gemm' && node.opType !== 'Add')) return false
  const at = node.opType === 'Gemm' ? 2 : node.inputs.findIndex((input) => constantOf(input))
  const scale = node.opType === 'Gemm' ? node.number('beta', 1) : 1
  const bias = constantOf(node.inputs[at])
  if (bias?.dtype !== 'float32' || scale === 0) return false
  // Along the last axis, as classes are: [classes] or [1, …, classes].
  if (bias.size !== shift.length || bias.dims.at(-1) !== shift.length) return false
  const values = Float32Array.from(
    elements(bias, 'float32'),
    (value, index) => value + shift[index]! / scale,
  )
  const before = node.inputs[at]!
  const tensor = tensorOf('float32', bias.dims, values)
  if (before.tensor && before.users.size === 1) before.tensor = tensor
  else node.setInput(at, graph.addInitializer(`${before.name}_shifted`, tensor))
  return true
}

function insertBefore(
  graph: Graph,
  taker: Node,
  logits: Value,
  nodeBetween: (from: Value, to: Value) => Node,
): void {
  const changed = new Value(graph.uniqueName(`${logits.name}_shifted`), {
    ...(logits.type && { type: logits.type }),
  })
  graph.add(nodeBetween(logits, changed), taker)
  taker.setInput(0, changed)
}

/** The output keeps its name; whoever else reads it reads what it was. */
function insertAtEnd(
  graph: Graph,
  output: Value,
  nodeBetween: (from: Value, to: Value) => Node,
): void {
  const maker = output.producer
  if (!maker) throw new UserError(`model: output '${output.name}' is an input — use another model`)
  const before = new Value(graph.uniqueName(`${output.name}_unshifted`), {
    ...(output.type && { type: output.type }),
  })
  for (const user of [...output.users])
    for (const [index, input] of user.inputs.entries())
      if (input === output) user.setInput(index, before)
  maker.setOutput(maker.outputs.indexOf(output), before)
  graph.add(nodeBetween(before, output))
}

/** The shift in the type of the logits, along the axis of the classes. */
function shiftTensor(shift: readonly number[], type: Value['type']): Tensor {
  const { dtype = 'float32', shape = [] } = type ?? {}
  const classes = shift.length
  const isSecond = classAxis(shape, classes) === 1
  const dims = isSecond ? [classes, ...shape.slice(2).map(() => 1)] : [classes]
  const last = shape.at(-1)
  if (!isSecond && typeof last === 'number' && last !== classes)
    throw new UserError(
      `bias: the logits [${shape}] do not have ${classes} classes along their last axis — leave it out`,
    )
  if (dtype === 'float32' || dtype === 'float64') return tensorOf(dtype, dims, shift)
  if (dtype === 'float16') {
    const { buffer } = Float16Array.from(shift)
    return new Tensor('float16', dims, new Uint8Array(buffer))
  }
  throw new UserError(`bias: the logits are ${dtype}, to which nothing can be added — use float32`)
}
