// Keeps activations and their gradients in ONNX Runtime's blocked layout between convolutions: what works element by
// element works on blocked memory as it is, the rest gets a blocked form or a reorder in front of it.
import { type Builder, build } from '../../onnx/build.ts'
import { constantOf, type Graph, type Node, type Value, type ValueType } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { elements, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { constantInput } from '../rule.ts'
import { enter, leave, nchwc, nchwcDomain } from './nchwc.ts'

/** Operators that work element by element on inputs of one shape and on lone numbers. */
// biome-ignore format: a list
const elementwise: ReadonlySet<string> = new Set([
  'Abs', 'Add', 'Clip', 'Div', 'Elu', 'Erf', 'Exp', 'Gelu', 'HardSigmoid', 'HardSwish', 'Identity', 'LeakyRelu', 'Log',
  'Max', 'Min', 'Mul', 'Neg', 'Pow', 'Reciprocal', 'Relu', 'Selu', 'Sigmoid', 'Softplus', 'Softsign', 'Sqrt', 'Sub', 'Sum', 'Tanh',
])

/**
 * Moves the parts of a graph between blocked convolutions into the blocked layout.
 *
 * Values that are needed both ways are reordered once. Nodes that have become useless are removed.
 */
export function keepBlocked(graph: Graph, block: number): void {
  if (!graph.nodes.some((node) => node.domain === nchwcDomain)) return
  const pass = new Blocking(graph, block)
  for (const node of graph.nodes) pass.visit(node)
  removeDeadNodes(graph)
  for (const node of graph.nodes) fuse(graph, node)
  removeDeadNodes(graph)
}

type Shape = readonly number[]

/** One walk over the nodes in order; knows which plain values exist in blocks too. */
class Blocking {
  readonly #graph: Graph
  readonly #block: number
  /** Of values that have no type, blocked ones included: a blocked tensor keeps the dimensions of the plain one. */
  readonly #shapes = new Map<Value, Shape>()
  /** The blocked form of plain values. */
  readonly #blocked = new Map<Value, Value>()

  constructor(graph: Graph, block: number) {
    this.#graph = graph
    this.#block = block
  }

  visit(node: Node): void {
    if (node.domain === nchwcDomain) this.#reorder(node)
    else if (node.domain !== '') return
    else if (node.opType === 'BatchNormalization') this.#normalize(node)
    else if (node.opType === 'ReduceSum' || node.opType === 'ReduceMean') this.#reduce(node)
    else if (node.opType === 'GlobalAveragePool') this.#pool(node)
    else if (elementwise.has(node.opType)) this.#elementwise(node)
  }

  #reorder(node: Node): void {
    const plain = node.number('channels_last', 0) === 0
    const left = node.opType === 'ReorderOutput' && plain && this.#fits(node.output())
    if (left) this.#know(node.output(), node.input(0), left)
    if (node.opType !== 'ReorderInput' || !plain) return
    const known = this.#blocked.get(node.input(0))
    const shape = this.#fits(node.input(0))
    if (known) replaceUses(this.#graph, node.output(), known)
    else if (shape) this.#know(node.input(0), node.output(), shape)
  }

  #elementwise(node: Node): void {
    const y = node.output()
    const shape = this.#fits(y)
    if (!shape || node.outputs.length !== 1) return
    const kinds = node.inputs.map((input) => input && this.#kindOf(input, shape))
    if (!node.inputs.some((input) => input && this.#blocked.has(input))) return
    if (kinds.includes('column')) this.#affine(node, shape)
    if (kinds.some((kind) => kind === 'column' || kind === 'other')) return
    const g = build(this.#graph, node)
    for (const [index, kind] of kinds.entries())
      if (kind === 'whole') node.setInput(index, this.#enter(g, node.input(index), shape))
    this.#made(node, shape)
  }

  /** x + c, x - c and x · c with one number a channel. */
  #affine(node: Node, shape: Shape): void {
    const first = this.#kindOf(node.input(0), shape) === 'column' ? 1 : 0
    const [x, column] = [node.input(first), node.input(1 - first)]
    if (node.inputs.length !== 2 || !this.#blocked.has(x) || (node.opType === 'Sub' && first > 0))
      return
    const g = build(this.#graph, node)
    const c = g.Reshape(column, [shape[1]!])
    const ones = tensorOf('float32', [shape[1]!], new Float32Array(shape[1]!).fill(1))
    const forms: Record<string, () => readonly [Value, Value | undefined]> = {
      Add: () => [g.constant(ones), c],
      Sub: () => [g.constant(ones), g.Neg(c)],
      Mul: () => [c, undefined],
    }
    const form = forms[node.opType]?.()
    if (form) this.#replace(g, node, this.#perChannel(g, x, ...form), shape)
  }

  /** The inference form: y = x · γ/√(σ² + ε) + (β - μ · γ/√(σ² + ε)). */
  #normalize(node: Node): void {
    const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((index) => node.input(index))
    const shape = this.#fits(x!)
    if (!shape || node.number('training_mode', 0) || !this.#blocked.has(x!)) return
    const g = build(this.#graph, node)
    const epsilon = node.number('epsilon', 1e-5)
    const plain = epsilon === 0 && isAll(mean!, 0) && isAll(variance!, 1)
    const factor = plain ? scale! : g.Div(scale!, g.Sqrt(g.Add(variance!, epsilon)))
    const offset = plain ? bias! : g.Sub(bias!, g.Mul(mean!, factor))
    this.#replace(g, node, this.#perChannel(g, x!, factor, offset), shape)
  }

  /** Sums and means over the pixels, or over samples and pixels. */
  #reduce(node: Node): void {
    const x = node.input(0)
    const shape = this.#fits(x)
    const axes = node.inputs[1] && constantOf(node.inputs[1]) && constantInput(node, 1)
    if (!shape || !axes || !this.#blocked.has(x) || axes.some((axis) => axis < 0)) return
    const over = [...axes].sort((a, b) => a - b).join()
    if (over !== '0,2,3' && over !== '2,3') return
    const [batch, channels, ...image] = shape as [number, number, ...number[]]
    const g = build(this.#graph, node)
    const factors = this.#productOf(x, shape)
    // The sum of a product over an image is a convolution with a kernel as large as the image.
    const images = factors
      ? nchwc(
          g,
          'Conv',
          [
            g.Reshape(factors[0], [1, batch * channels, ...image]),
            g.Reshape(factors[1], [batch * channels, 1, ...image]),
          ],
          {
            group: batch * channels,
            kernel_shape: image,
          },
        )
      : nchwc(g, 'GlobalAveragePool', [this.#blocked.get(x)!])
    const rows = g.Reshape(images, [batch, channels])
    const whole = over === '0,2,3'
    const mean = node.opType === 'ReduceMean'
    const reduced = !whole
      ? rows
      : mean
        ? g.ReduceMean(rows, [0], { keepdims: 0 })
        : g.ReduceSum(rows, [0], { keepdims: 0 })
    const factor = (factors ? 1 : sizeOf(image)) / (mean ? sizeOf(image) : 1)
    const scaled = factor === 1 ? reduced : g.Mul(reduced, factor)
    const kept = node.number('keepdims', 1) ? [whole ? 1 : batch, channels, 1, 1] : undefined
    replaceUses(this.#graph, node.output(), kept ? g.Reshape(scaled, kept) : scaled)
  }

  /** The factors of a product that nobody but one reduction reads. */
  #productOf(x: Value, shape: Shape): readonly [Value, Value] | undefined {
    const blocked = this.#blocked.get(x)!
    const product = blocked.producer
    if (product?.domain !== '' || product.opType !== 'Mul') return undefined
    if (x.users.size > 1 || blocked.users.size > 1) return undefined
    const factors = [product.input(0), product.input(1)] as const
    const whole = factors.every((factor) => this.#shapeOf(factor)?.join() === shape.join())
    return whole ? factors : undefined
  }

  /** One number a channel is the same blocked and plain. */
  #pool(node: Node): void {
    const blocked = this.#blocked.get(node.input(0))
    if (!blocked || !this.#fits(node.input(0))) return
    const g = build(this.#graph, node)
    replaceUses(this.#graph, node.output(), nchwc(g, 'GlobalAveragePool', [blocked]))
  }

  /** x · factor + offset with one number a channel: a convolution of every channel with one number. */
  #perChannel(g: Builder, x: Value, factor: Value, offset: Value | undefined): Value {
    const channels = this.#shapeOf(x)![1]!
    const kernel = g.Reshape(factor, [channels, 1, 1, 1])
    return nchwc(g, 'Conv', [this.#blocked.get(x)!, kernel, ...(offset ? [offset] : [])], {
      group: channels,
      kernel_shape: [1, 1],
    })
  }

  /** The blocked form of a value of the shape. */
  #enter(g: Builder, value: Value, shape: Shape): Value {
    const known = this.#blocked.get(value)
    if (known) return known
    const spread = value.producer?.opType === 'Expand' ? value.producer.input(0) : undefined
    const source = spread && this.#shapeOf(spread)
    const blocked =
      source?.length === 4 && sizeOf(source) === shape[0]! * shape[1]!
        ? this.#spread(g, spread!, shape)
        : enter(g, value)
    this.#know(value, blocked, shape)
    return blocked
  }

  /** One number a channel and sample, repeated over the image. */
  #spread(g: Builder, value: Value, shape: Shape): Value {
    const [batch, channels, ...image] = shape as [number, number, ...number[]]
    const b = this.#block
    const lanes = g.Reshape(value, [batch, channels / b, 1, b])
    return g.Reshape(g.Expand(lanes, [batch, channels / b, sizeOf(image), b]), shape)
  }

  /** A node that now works on blocks: its users get the plain form, if they want it. */
  #made(node: Node, shape: Shape): void {
    const blocked = node.output()
    const after = this.#graph.nodes[this.#graph.nodes.indexOf(node) + 1]
    const users = [...blocked.users]
    const plain = leave(build(this.#graph, after), blocked, shape[1]!)
    giveName(this.#graph, blocked, plain)
    for (const user of users)
      for (const [index, input] of user.inputs.entries())
        if (input === blocked) user.setInput(index, plain)
    this.#know(plain, blocked, shape)
  }

  #replace(g: Builder, node: Node, blocked: Value, shape: Shape): void {
    const plain = leave(g, blocked, shape[1]!)
    replaceUses(this.#graph, node.output(), plain)
    this.#know(plain, blocked, shape)
  }

  #know(plain: Value, blocked: Value, shape: Shape): void {
    this.#blocked.set(plain, blocked)
    this.#shapes.set(plain, shape)
    this.#shapes.set(blocked, shape)
  }

  /** The dimensions of a value, where its type, or that of what it is made of, says them. */
  #shapeOf(value: Value): Shape | undefined {
    const known = this.#shapes.get(value) ?? value.tensor?.dims ?? settled(value.type?.shape)
    if (known) return known
    const maker = value.producer
    if (!maker || maker.outputs.length > 1) return undefined
    if (maker.opType === 'Reshape' || maker.opType === 'Expand') {
      const asked = constantOf(maker.inputs[1]) && constantInput(maker, 1)
      return asked?.every((dim) => dim > 0) ? asked : undefined
    }
    const reorders = maker.domain === nchwcDomain && maker.opType.startsWith('Reorder')
    if (!reorders && !elementwise.has(maker.opType)) return undefined
    const inputs = maker.inputs.map((input) => input && this.#shapeOf(input))
    const shape = inputs.every((input) => input !== undefined) ? broadcast(inputs) : undefined
    if (shape) this.#shapes.set(value, shape)
    return shape
  }

  #kindOf(input: Value, shape: Shape): 'whole' | 'number' | 'column' | 'other' {
    const own = this.#shapeOf(input)
    if (!own) return 'other'
    if (own.join() === shape.join()) return 'whole'
    if (sizeOf(own) === 1) return 'number'
    const column = [1, shape[1]!, 1, 1]
    return own.length >= 3 && own.join() === column.slice(4 - own.length).join()
      ? 'column'
      : 'other'
  }

  /** The shape of a value that can be in blocks. */
  #fits(value: Value): Shape | undefined {
    const shape = this.#shapeOf(value)
    return shape?.length === 4 && shape[1]! % this.#block === 0 ? shape : undefined
  }
}

/** Lets a value take the place of another everywhere; outputs of the graph keep their names. */
function replaceUses(graph: Graph, value: Value, replacement: Value): void {
  giveName(graph, value, replacement)
  graph.replaceUses(value, replacement)
}

/** Makes a value an output in place of another, if that is one, under the same name. */
function giveName(graph: Graph, value: Value, replacement: Value): void {
  const index = graph.outputs.indexOf(value)
  if (index < 0) return
  const { name } = value
  value.name = graph.uniqueName(name)
  replacement.name = name
  graph.outputs[index] = replacement
}

const settled = (shape: ValueType['shape']): Shape | undefined =>
  shape?.every((dim) => typeof dim === 'number') ? (shape as Shape) : undefined

/** The shape that several broadcast to. */
function broadcast(shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map(({ length }) => length))
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...shapes.map((shape) => shape[axis - rank + shape.length] ?? 1)),
  )
}

const isAll = (value: Value, number: number): boolean => {
  const tensor = constantOf(value)
  return tensor?.dtype === 'float32' && elements(tensor, 'float32').every((item) => item === number)
}

/** Lets a blocked convolution add what is added to its result, and apply the Relu behind it. */
function fuse(graph: Graph, node: Node): void {
  const convolution = [...node.inputs]
    .reverse()
    .find(
      (input) =>
        input?.producer?.domain === nchwcDomain &&
        input.producer.opType === 'Conv' &&
        input.users.size === 1 &&
        !graph.outputs.includes(input) &&
        !input.producer.attributes.has('activation'),
    )?.producer
  if (!convolution || node.domain !== '') return
  if (node.opType === 'Relu') {
    convolution.attributes.set('activation', { type: 'string', value: 'Relu' })
    replaceUses(graph, node.output(), convolution.output())
  }
  if (node.opType === 'Add' && !convolution.inputs[3] && node.input(0) !== node.input(1)) {
    const other = node.inputs.find((input) => input !== convolution.output())!
    const [x, w, bias] = convolution.inputs
    const g = build(graph, node)
    const attributes = Object.fromEntries(
      [...convolution.attributes].map(([name, { value }]) => [name, value]),
    ) as Record<string, number | readonly number[]>
    const sum = nchwc(g, 'Conv', [x, w, bias, other], attributes)
    replaceUses(graph, node.output(), sum)
  }
}
