// Shapes and types of all values, by ONNX Runtime's own inference: with the free dimensions fixed and every value made
// an output, a session's metadata says them.
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Dim, Graph, Model, Value, ValueType } from '../onnx/graph.ts'
import { freeBatch } from '../onnx/passes/free-batch.ts'
import { byteLengthOf, type DataType, Tensor } from '../onnx/tensor.ts'
import { openSession, type Session, type ValueInfo } from './session.ts'

/** Which numbers the free dimensions of a model's inputs get. */
export interface FixedDims {
  /** The batch: the first dimension of the inputs, and wherever its symbol stands. */
  readonly batch?: number
  /** Numbers by symbol (`sequence`), or by input and axis (`x:2`) for dimensions without one. */
  readonly dims?: Readonly<Record<string, number>>
}

/**
 * Fixes free dimensions of a model's inputs and outputs in place, and forgets the shapes between them.
 *
 * Where nothing is free and the first dimension of every input is 1, that is taken for the batch, and shapes that hold
 * it are freed; whether the nodes can do with another batch shows when shapes are inferred. A batch that no input can have, and a key of `dims` that
 * fits nothing, are a {@link UserError}.
 */
export function fixDims(model: Model, { batch, dims = {} }: FixedDims, where = 'model'): void {
  const { graph } = model
  const numbers = new Map(Object.entries(dims))
  const used = new Set<string>()
  const { feeds } = graph
  const first = feeds.flatMap((feed) => (feed.type?.shape?.length ? [feed.type.shape[0]] : []))
  const symbol = first.find((dim) => typeof dim === 'string')
  const onlyOnes = first.length > 0 && first.every((dim) => dim === 1)
  if (batch !== undefined) {
    if (!onlyOnes && first.every((dim) => typeof dim === 'number' && dim !== batch))
      throw new UserError(
        `${where}: no input can have a batch of ${batch}: ${feeds.map(describe).join(', ')} — export it with a free first dimension`,
      )
    if (symbol !== undefined && !numbers.has(symbol)) numbers.set(symbol, batch)
    if (onlyOnes && batch !== 1) freeBatch(graph)
  }

  const fix = (value: Value, dim: Dim, axis: number): Dim => {
    const key = [typeof dim === 'string' ? dim : '', `${value.name}:${axis}`].find((name) =>
      numbers.has(name),
    )
    if (key !== undefined && typeof dim !== 'number') {
      used.add(key)
      return numbers.get(key)
    }
    if (batch === undefined || axis > 0) return dim
    // Without a symbol the first free dimension is the batch; in a model for one sample it is 1.
    return (dim === undefined && symbol === undefined) || (dim === 1 && onlyOnes) ? batch : dim
  }
  for (const value of new Set([...feeds, ...graph.outputs])) {
    const { type } = value
    if (type?.shape)
      value.type = { ...type, shape: type.shape.map((dim, axis) => fix(value, dim, axis)) }
  }
  const unknown = Object.keys(dims).find((key) => !used.has(key))
  if (unknown !== undefined) {
    const free = feeds.flatMap(freeDims)
    throw new UserError(
      `${where}: no free dimension of that name: '${unknown}' — ${suggest(unknown, free)}`,
    )
  }
  forgetShapes(graph)
}

const describe = ({ name, type }: Value): string =>
  `'${name}' [${type?.shape?.map((dim) => dim ?? '?').join(',') ?? '?'}]`

const freeDims = ({ name, type }: Value): string[] =>
  (type?.shape ?? []).flatMap((dim, axis) =>
    typeof dim === 'number' ? [] : [dim ?? `${name}:${axis}`],
  )

/** What a file says of inner values holds for the dimensions that it was written with. */
function forgetShapes(graph: Graph): void {
  const known = new Set([...graph.inputs, ...graph.outputs])
  for (const node of graph.nodes) {
    for (const output of node.outputs)
      if (output?.type && !known.has(output)) output.type = { dtype: output.type.dtype }
    for (const subgraph of node.subgraphs) forgetAll(subgraph)
  }
}

function forgetAll(graph: Graph): void {
  for (const output of graph.outputs)
    if (output.type && !output.tensor) output.type = { dtype: output.type.dtype }
  forgetShapes(graph)
}

/** How types are inferred. */
export interface InferenceOptions extends FixedDims {
  /** Input to settle with what inference leaves open; zeros unless given. */
  readonly sample?: Readonly<Record<string, Tensor>>
  /** What error messages call the model. */
  readonly where?: string
}

/**
 * Infers dtype and shape of all values of a model's graph (not of its subgraphs) and leaves the model as it is.
 *
 * What inference leaves open — an unknown rank, a size that depends on data — is settled by running the graph once,
 * and stays open where that fails or an input's own dimensions are free. Values that are no tensors are left out. A
 * model that ONNX Runtime cannot open is a {@link UserError}.
 */
export async function inferTypes(
  model: Model,
  options: InferenceOptions = {},
): Promise<ReadonlyMap<Value, ValueType>> {
  const { batch, dims, where = 'model' } = options
  const copy = cloneModel(model)
  if (batch !== undefined || dims !== undefined)
    fixDims(copy, { ...(batch !== undefined && { batch }), ...(dims && { dims }) }, where)
  const made = valuesOf(copy.graph)
  const listed = new Set(copy.graph.outputs)
  for (const value of made) if (!listed.has(value)) copy.graph.outputs.push(value)

  const types = new Map<string, ValueType>()
  for (const value of [...copy.graph.feeds, ...copy.graph.initializers])
    if (value.type) types.set(value.name, value.type)
  const put = takeLarge(copy.graph)
  let session = await openForInference(copy, where, put)
  try {
    if (put && openOutputs(session).length > 0 && (options.sample || isFixed(session.inputs))) {
      put()
      const whole = await openForInference(copy, where)
      await session.dispose()
      session = whole
    }
    for (const { name, dtype, shape } of session.outputs) types.set(name, { dtype, shape })
    await settle(session, types, options.sample)
  } finally {
    await session.dispose()
  }
  const originals = [...model.graph.inputs, ...model.graph.initializers, ...valuesOf(model.graph)]
  return new Map(
    originals.flatMap((value) => {
      const type = types.get(value.name)
      return type ? [[value, type] as const] : []
    }),
  )
}

/** No tensor that says a shape is as large as this, in bytes; weights of large models are. */
const largeTensor = 2 ** 20

/**
 * Makes inputs of large initializers, in place, whose content no inference asks for: ONNX Runtime would copy it twice.
 * Returns what undoes that; undefined where there are none.
 */
function takeLarge(graph: Graph): (() => void) | undefined {
  const taken = [...graph.initializers].flatMap((value) => {
    const { tensor } = value
    const isLarge = tensor && !tensor.strings && tensor.byteLength >= largeTensor
    return isLarge && !graph.inputs.includes(value) ? [{ value, tensor }] : []
  })
  if (taken.length === 0) return undefined
  for (const { value, tensor } of taken) {
    value.tensor = undefined
    value.type = { dtype: tensor.dtype, shape: tensor.dims }
    graph.initializers.delete(value)
    graph.inputs.push(value)
  }
  return () => {
    // Undone once.
    for (const { value, tensor } of taken.splice(0)) {
      value.tensor = tensor
      graph.inputs.splice(graph.inputs.indexOf(value), 1)
      graph.initializers.add(value)
    }
  }
}

/**
 * Level `basic` infers most, for it knows constants. It also checks branches of If that are never taken with these
 * dimensions, which a model may fail: then the level without any rewriting says what it can.
 */
async function openForInference(model: Model, where: string, put?: () => void): Promise<Session> {
  try {
    return await openSession(model, { optimization: 'basic', where })
  } catch (thrown) {
    if (put) {
      // Some operators want their weights to be constant.
      put()
      return openForInference(model, where)
    }
    if (!model.graph.nodes.some((node) => node.subgraphs.length > 0)) throw thrown
    return await openSession(model, { optimization: 'disabled', where })
  }
}

/**
 * Writes the inferred types into a model's values, inputs and outputs too.
 *
 * For a copy that the caller owns: a model that is to be saved should keep the free dimensions of its interface.
 */
export async function inferShapes(model: Model, options: InferenceOptions = {}): Promise<void> {
  for (const [value, type] of await inferTypes(model, options)) value.type = type
}

const valuesOf = (graph: Graph): Value[] =>
  graph.nodes.flatMap((node) => node.outputs.filter((output) => output !== undefined))

/** Inference says `[]` for a scalar and for an unknown rank alike, and leaves sizes open that depend on data. */
async function settle(
  session: Session,
  types: Map<string, ValueType>,
  sample?: Readonly<Record<string, Tensor>>,
): Promise<void> {
  const open = openOutputs(session)
  if (open.length === 0) return
  const feeds = sample ?? zeros(session.inputs)
  const names = open.map((output) => output.name)
  try {
    const results = feeds && (await session.run(feeds, names))
    for (const { name, dtype, shape } of open) {
      const dims = results?.[name]?.dims
      if (dims) types.set(name, { dtype, shape: dims })
      else if (shape.length === 0) types.set(name, { dtype })
    }
  } catch (thrown) {
    // Zeros do not suit every model; a sample is the caller's word.
    if (sample || !(thrown instanceof UserError)) throw thrown
    for (const { name, dtype, shape } of open) if (shape.length === 0) types.set(name, { dtype })
  }
}

const openOutputs = ({ outputs }: Session) =>
  outputs.filter(({ shape }) => shape.length === 0 || shape.some((dim) => typeof dim !== 'number'))

/** A feed of zeros; undefined where an input's dimensions are free or its elements are strings. */
function zeros(inputs: readonly ValueInfo[]): Record<string, Tensor> | undefined {
  if (!isFixed(inputs)) return undefined
  const feeds: Record<string, Tensor> = {}
  for (const { name, dtype, shape } of inputs)
    feeds[name] = zeroTensor(dtype, shape as readonly number[])
  return feeds
}

const isFixed = (inputs: readonly ValueInfo[]): boolean =>
  inputs.every(
    ({ dtype, shape }) => dtype !== 'string' && shape.every((dim: Dim) => typeof dim === 'number'),
  )

const zeroTensor = (dtype: DataType, dims: readonly number[]): Tensor =>
  new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims)))
