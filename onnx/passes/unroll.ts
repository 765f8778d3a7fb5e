// Models that carry state from chunk to chunk, written out over all chunks of a sample: one graph without state, in
// which every step has a copy of the nodes and all steps share the weights.
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import { type Builder, build } from '../build.ts'
import { cloneModel, copyNodes } from '../clone.ts'
import { allNodes, type Dim, Graph, type Model, Node, opsetOf, Value } from '../graph.ts'
import { byteLengthOf, Tensor } from '../tensor.ts'
import { liftConstants } from './constants.ts'
import { newestOpset, upgradeOpset } from './upgrade.ts'

/** How a model is fed step by step. */
export interface Unrolling {
  /** Runs that a sample takes, 1 or more. */
  readonly steps: number
  /** The inputs that get so many values of their longest axis at a time. */
  readonly inputs: readonly { readonly name: string; readonly chunk: number }[]
  /** The inputs that get what an output gave at the step before; zeros at the first. */
  readonly carried: readonly { readonly input: string; readonly output: string }[]
}

/**
 * Writes a model out over its steps.
 *
 * Of the result, the chunked inputs take all chunks in a row (`[B, steps * chunk]`), the carried inputs and outputs
 * are gone, and every other output is `[B, steps * w]`: what each step gives of a sample, flattened, step by step.
 * Inputs that are neither chunked nor carried go to all steps. Weights keep their names, those in branches of If
 * become initializers of the graph itself (see {@link hoistWeights}). The opset is raised to the newest.
 *
 * A name that the model does not have, and a carried input whose rank is not stated, are a {@link UserError}.
 */
export function unroll(model: Model, unrolling: Unrolling, where = 'model'): Model {
  const copy = cloneModel(model)
  if (opsetOf(copy) < newestOpset) upgradeOpset(copy, newestOpset, where)
  hoistWeights(copy)
  const { graph } = copy
  checkNames(graph, unrolling, where)
  const whole = new Graph(graph.name)
  whole.extra = graph.extra
  for (const name of graph.names) whole.reserveName(name)
  for (const initializer of graph.initializers) whole.initializers.add(initializer)

  const { steps, carried } = unrolling
  const { shared, chunked } = interfaceOf(graph, whole, unrolling)
  const g = build(whole)
  const first = [...chunked.values(), ...shared].find(({ type }) => type?.shape?.length)
  let states = carried.map(({ input }) =>
    zeroState(g, valueNamed(graph.inputs, input), first, where),
  )
  const outputs = graph.outputs.filter(({ name }) => !carried.some(({ output }) => output === name))
  const taken = new Set(outputs.map(({ name }) => name))
  const parts = outputs.map((): Value[] => [])
  for (let step = 0; step < steps; step++) {
    const copies = new Map<Value, Value>()
    for (const value of [...graph.initializers, ...shared]) copies.set(value, value)
    for (const { name, chunk } of unrolling.inputs) {
      const input = valueNamed(graph.inputs, name)
      const [start, end] = [step * chunk, (step + 1) * chunk]
      const value = chunked.get(input)!
      copies.set(input, steps === 1 ? value : g.Slice(value, [start], [end], [axisOf(input)]))
    }
    for (const [index, { input }] of carried.entries())
      copies.set(valueNamed(graph.inputs, input), states[index]!)
    // The first step keeps the names, but for those that the joined outputs get.
    const rename = (name: string) =>
      step === 0 && !taken.has(name) ? name : whole.uniqueName(name)
    copyNodes(graph.nodes, whole, copies, rename)
    for (const [index, output] of outputs.entries())
      parts[index]!.push(g.Flatten(copies.get(output)!, { axis: 1 }))
    states = carried.map(({ output }) => copies.get(valueNamed(graph.outputs, output))!)
  }
  for (const [index, output] of outputs.entries())
    whole.outputs.push(joined(whole, output, parts[index]!))
  // Shared weights forget the graph that is given up.
  for (const node of allNodes(graph)) node.truncateInputs(0)
  return { ...copy, graph: whole }
}

/**
 * Turns constants into initializers and moves those that can be weights (float32, more than one element) out of
 * subgraphs into the graph itself, in place; the same model always gives the same names.
 */
export function hoistWeights(model: Model): void {
  liftConstants(model)
  const { graph } = model
  const taken = new Set(
    [...graph.inputs, ...graph.initializers, ...graph.nodes.flatMap(({ outputs }) => outputs)].map(
      (value) => value?.name ?? '',
    ),
  )
  const hoist = (inner: Graph): void => {
    for (const value of [...inner.initializers]) {
      const { tensor } = value
      if (tensor?.dtype !== 'float32' || tensor.size < 2 || inner.outputs.includes(value)) continue
      inner.initializers.delete(value)
      // Branches may use one name for different things.
      if (taken.has(value.name)) value.name = graph.uniqueName(value.name)
      taken.add(value.name)
      graph.initializers.add(value)
    }
    for (const node of inner.nodes) node.subgraphs.forEach(hoist)
  }
  for (const node of graph.nodes) node.subgraphs.forEach(hoist)
}

/** Gives the new graph its inputs: those that all steps share, and those that are cut, by the input of one step. */
function interfaceOf(graph: Graph, whole: Graph, { steps, inputs, carried }: Unrolling) {
  const shared: Value[] = []
  const chunked = new Map<Value, Value>()
  for (const input of graph.feeds) {
    if (carried.some(({ input: name }) => name === input.name)) continue
    const chunk = inputs.find(({ name }) => name === input.name)?.chunk
    const { name, type, extra } = input
    if (chunk === undefined) shared.push(input)
    else {
      const axis = axisOf(input)
      const shape = type?.shape?.map((dim, at) => (at === axis ? steps * chunk : dim))
      chunked.set(input, new Value(name, { ...(type && { type: { ...type, shape } }), extra }))
    }
    whole.inputs.push(chunked.get(input) ?? input)
  }
  return { shared, chunked }
}

/** The axis that is cut: the last one behind the batch that is longer than 1. */
function axisOf({ type }: Value): number {
  const shape = type?.shape ?? [undefined, undefined]
  return Math.max(
    1,
    shape.findLastIndex((dim, axis) => axis > 0 && dim !== 1),
  )
}

/** Zeros of the type of a carried input; what is free in its shape is the batch. */
function zeroState(g: Builder, input: Value, first: Value | undefined, where: string): Value {
  const { name, type } = input
  if (!type?.shape)
    throw new UserError(
      `${where}: carried input '${name}': its shape is not stated — export the model with it`,
    )
  const { dtype, shape } = type
  const value = new Tensor(dtype, [1], new Uint8Array(byteLengthOf(dtype, [1])))
  const batch = () => {
    if (!first)
      throw new UserError(
        `${where}: carried input '${name}': no input says how large a batch is — export it with a fixed one`,
      )
    return g.Shape(first, { start: 0, end: 1 })
  }
  const sizes = shape.every((dim) => typeof dim === 'number')
    ? shape
    : g.Concat(
        ...shape.map((dim: Dim) => (typeof dim === 'number' ? g.constant([dim]) : batch())),
        { axis: 0 },
      )
  return g.node('ConstantOfShape', [sizes], { attributes: { value } })[0]!
}

/** An output of the whole: the parts side by side, under the name of the output of one step. */
function joined(whole: Graph, { name, type, extra }: Value, parts: readonly Value[]): Value {
  const [batch, ...rest] = type?.shape ?? []
  const known = type?.shape && rest.every((dim) => typeof dim === 'number')
  const width = known
    ? (rest as number[]).reduce((size, dim) => size * dim, parts.length)
    : undefined
  const output = new Value(name, {
    ...(type && { type: { dtype: type.dtype, shape: [batch, width] } }),
    extra,
  })
  const attributes = [['axis', { type: 'int', value: 1 }]] as const
  whole.add(new Node('Concat', parts, [output], { name: whole.uniqueName('Concat'), attributes }))
  return output
}

function checkNames(graph: Graph, { inputs, carried }: Unrolling, where: string): void {
  const check = (kind: string, values: readonly Value[], names: readonly string[]) => {
    const known = values.map(({ name }) => name)
    const missing = names.find((name) => !known.includes(name))
    if (missing !== undefined)
      throw new UserError(
        `${where}: has no ${kind} of that name: '${missing}' — ${suggest(missing, known)}`,
      )
  }
  check('input', graph.feeds, [
    ...inputs.map(({ name }) => name),
    ...carried.map(({ input }) => input),
  ])
  check(
    'output',
    graph.outputs,
    carried.map(({ output }) => output),
  )
}

const valueNamed = (values: readonly Value[], name: string): Value => {
  const found = values.find((value) => value.name === name)
  if (!found) throw new Error(`internal: no value '${name}'`)
  return found
}
