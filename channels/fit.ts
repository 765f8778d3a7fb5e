// Keeping what is computed from sizes right after a cut: shapes that have to follow, and numbers that must not.
import { build } from '../onnx/build.ts'
import type { Graph, Node, Value } from '../onnx/graph.ts'
import { type ArrayType, type Tensor, tensorOf } from '../onnx/tensor.ts'
import { canFit, type Extent, extentsOf, tellsSizes } from './extents.ts'
import type { TieContext } from './rule.ts'

/** Inputs that say a shape or a place on an axis and that the rule of their operator brings in line with a cut. */
const fitted: Readonly<Record<string, readonly number[]>> = {
  Reshape: [1],
  Expand: [1],
  ConstantOfShape: [0],
  Resize: [3],
  Slice: [1, 2],
  Split: [1],
}

/** An input, made of sizes, of a node that would compute something else if the sizes changed. */
export interface Reading {
  readonly node: Node
  readonly input: number
  readonly extents: readonly Extent[]
}

/**
 * Where what a node tells of sizes (Shape, Size) ends up: the inputs of nodes that use it for something that is no
 * vector of sizes any more, and the nodes that fit it to their own shapes.
 *
 * Undefined where a vector of sizes is used outside of the graph: in a subgraph, or as an output.
 */
export function readingsOf(
  node: Node,
  { nodes, outputs }: Pick<TieContext, 'nodes' | 'outputs'>,
): { readings: Reading[]; followers: Node[] } | undefined {
  const readings: Reading[] = []
  const followers: Node[] = []
  const seen = new Set<Value>([node.output()])
  for (const value of seen) {
    const extents = extentsOf(value)
    if (!extents || outputs.has(value)) return undefined
    for (const user of value.users) {
      if (!nodes.has(user)) return undefined
      const result = user.outputs[0]
      if (result && user.outputs.length === 1 && extentsOf(result)) {
        seen.add(result)
        continue
      }
      for (const [input, own] of user.inputs.entries())
        if (own === value)
          if (user.domain === '' && fitted[user.opType]?.includes(input)) followers.push(user)
          else readings.push({ node: user, input, extents })
    }
  }
  return { readings, followers }
}

/** The nodes that tell sizes of some values. */
export const tellersOf = (values: Iterable<Value>): ReadonlySet<Node> => {
  const found = new Set<Node>()
  for (const { users } of values) for (const user of users) if (tellsSizes(user)) found.add(user)
  return found
}

/**
 * Lets one input of a node, a constant or a vector of sizes, be `wanted` for the stated shapes.
 *
 * Constants are replaced; what is computed is multiplied by a quotient, so that it still follows the dimensions that
 * are free. Elements that do not fit (see `canFit`) are a bug of the caller.
 */
export function fitTo(graph: Graph, node: Node, input: number, wanted: readonly number[]): void {
  const value = node.input(input)
  const fresh = fittedValue(graph, node, value, wanted)
  if (fresh !== value) node.setInput(input, fresh)
}

function fittedValue(graph: Graph, before: Node, value: Value, wanted: readonly number[]): Value {
  const extents = extentsOf(value)
  if (!extents || extents.length !== wanted.length)
    throw new Error(`internal: '${value.name}' is not made of ${wanted.length} sizes`)
  if (extents.every(({ amount }, index) => amount === wanted[index])) return value
  const type = value.type!
  const dims = type.shape as readonly number[]
  if (extents.every(({ axes }) => axes.length === 0))
    return graph.addInitializer(value.name, tensorOf(type.dtype as ArrayType, dims, wanted))
  const g = build(graph, before)
  const typed = (result: Value): Value => Object.assign(result, { type })
  if (value.producer?.opType === 'Concat') {
    let start = 0
    const parts = value.producer.inputs.map((part) => {
      const length = extentsOf(part)!.length
      start += length
      return fittedValue(graph, before, part!, wanted.slice(start - length, start))
    })
    return typed(g.Concat(...parts, { axis: 0 }))
  }
  // A quotient may have become inexact: of one size, which was cut, it is no free dimension.
  if (extents.length === 1 && !canFit(extents[0]!) && extents[0]!.axes.length === 1)
    return graph.addInitializer(value.name, tensorOf(type.dtype as ArrayType, dims, wanted))
  if (extents.some((one, index) => one.amount !== wanted[index] && !canFit(one)))
    throw new Error(`internal: '${value.name}' cannot follow`)
  const amounts = extents.map(({ amount }) => amount || 1)
  const targets = wanted.map((want, index) => (extents[index]!.amount === 0 ? 1 : want))
  const of = (list: readonly number[]): Tensor => tensorOf(type.dtype as ArrayType, dims, list)
  if (type.dtype.startsWith('float'))
    return typed(g.Mul(value, of(targets.map((target, index) => target / amounts[index]!))))
  const divisors = amounts.map((amount, index) => greatestCommonDivisor(amount, targets[index]!))
  const product = typed(g.Mul(value, of(targets.map((target, at) => target / divisors[at]!))))
  return typed(g.Div(product, of(amounts.map((amount, at) => amount / divisors[at]!))))
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [Math.abs(a), Math.abs(b)]
  while (y > 0) [x, y] = [y, x % y]
  return x
}
