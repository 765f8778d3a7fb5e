// What a gradient rule is, and the few helpers that keep rules short.
import type { Builder } from '../onnx/build.ts'
import { constantOf, type Node, Value } from '../onnx/graph.ts'
import { numbers, sizeOf } from '../onnx/tensor.ts'
import type { Lowering } from './lowerings/lowering.ts'

/** What a rule sees: one node of the forward graph and the gradients of the loss by its outputs. */
export interface RuleContext {
  /** Writes the backward nodes. */
  readonly g: Builder
  readonly node: Node
  /** Inputs in order; only required ones may be read without a check. */
  readonly inputs: readonly (Value | undefined)[]
  readonly x: Value
  readonly y: Value
  /** dL/dy for the first output, of the shape of `y`; zeros where the loss depends on other outputs alone. */
  readonly dy: Value
  /** The gradients by all outputs, in their order; undefined where the loss does not depend on one. */
  readonly dys: readonly (Value | undefined)[]
  readonly lowering: Lowering
}

/**
 * The gradients of the loss by the inputs, in their order; undefined where an input has none.
 *
 * Nodes for gradients that nobody wants are removed afterwards, so a rule computes them all.
 */
export interface Rule {
  readonly gradients: (context: RuleContext) => readonly (Value | undefined)[]
  /** True where the inputs are broadcast to the shape of `y`: the gradients have that shape and are summed back. */
  readonly broadcasts?: boolean
  /** True where a gradient passes through outputs that are no floats (straight through a quantization). */
  readonly straightThrough?: boolean
}

/** A rule for an operator with one differentiable input. */
export const unary = (gradient: (context: RuleContext) => Value): Rule => ({
  gradients: (context) => [gradient(context)],
})

/** A rule for a broadcasting operator of two inputs, `a` and `b`. */
export const binary = (
  gradients: (context: RuleContext & { a: Value; b: Value }) => readonly (Value | undefined)[],
): Rule => ({
  broadcasts: true,
  gradients: (context) =>
    gradients({ ...context, a: context.node.input(0), b: context.node.input(1) }),
})

/** A rule for a broadcasting operator of any number of inputs. */
export const variadic = (
  gradients: (context: RuleContext & { all: readonly Value[] }) => readonly Value[],
): Rule => ({
  broadcasts: true,
  gradients: (context) =>
    gradients({
      ...context,
      all: context.node.inputs.map((_, index) => context.node.input(index)),
    }),
})

/** The shape of a value, all of whose dimensions shape inference has settled. */
export function shapeOf(value: Value): readonly number[] {
  const shape = value.tensor?.dims ?? value.type?.shape
  if (!shape || shape.some((dim) => typeof dim !== 'number'))
    throw new Error(`internal: the shape of '${value.name}' is not known`)
  return shape as readonly number[]
}

/** The plain numbers of an input that has to be constant (axes, pads); undefined where it is left out. */
export function constantInput(node: Node, index: number): readonly number[] | undefined {
  const value = node.inputs[index]
  if (!value) return undefined
  const tensor = constantOf(value)
  if (!tensor) throw new Error(`internal: input ${index} of '${node.name}' is not constant`)
  return numbers(tensor)
}

/** An optional output of a node, asked for if nobody has. */
export function optionalOutput(g: Builder, node: Node, index: number, name: string): Value {
  const present = node.outputs[index]
  if (present) return present
  const value = new Value(g.graph.uniqueName(`${node.name}_${name}`))
  node.setOutput(index, value)
  return value
}

/** An axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** 1 where x > 0, else 0: in ONNX Runtime one pass, and cheaper than comparing and casting. */
export const step = (g: Builder, x: Value): Value => g.HardSigmoid(x, { alpha: 1e30, beta: 0 })

/** 1 where x > 0, -1 where x < 0, else 0. */
export const sign = (g: Builder, x: Value): Value => g.Sub(step(g, x), step(g, g.Neg(x)))

/** A tensor of one value in a shape. */
export const fill = (g: Builder, value: Value | number, shape: readonly number[]): Value =>
  g.Expand(value, shape)

/** Sums a value of the shape `from` over the axes along which `to` was broadcast, giving the shape `to`. */
export function sumTo(
  g: Builder,
  value: Value,
  from: readonly number[],
  to: readonly number[],
): Value {
  const offset = from.length - to.length
  const axes = from.flatMap((dim, axis) => {
    const kept = axis < offset ? undefined : to[axis - offset]
    return kept === undefined || (kept === 1 && dim !== 1) ? [axis] : []
  })
  if (axes.length === 0) return value
  const sum = sizeOf(from) === sizeOf(to) ? value : g.ReduceSum(value, axes, { keepdims: 0 })
  return g.Reshape(sum, to)
}
