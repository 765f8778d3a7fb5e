// What of a model can be tapped: its float values with the samples as first axis, and their shapes.
import { UserError } from '../../base/errors.ts'
import type { Samples } from '../../base/samples.ts'
import type { Graph, Model, Value, ValueType } from '../../onnx/graph.ts'
import { bindInputs, freeDims } from '../../runtime/bind.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import { inputsOf } from '../feeding.ts'

/** A model whose values are to be tapped, and the samples that it is fed with. */
export interface TapSubject {
  readonly model: Model
  readonly samples: Pick<Samples, 'columns' | 'inputs'>
  /** What errors call the model. */
  readonly where: string
}

/** A value that can be tapped. */
export interface TapValue {
  readonly name: string
  readonly value: Value
  /** Its shape without the samples in front. */
  readonly shape: readonly number[]
}

/** What can be tapped of a model. */
export interface Tappable {
  readonly graph: Graph
  readonly where: string
  /** What can be tapped, in the order of the graph; the model's inputs come first. */
  readonly values: readonly TapValue[]
  /** The same by the value. */
  readonly byValue: ReadonlyMap<Value, TapValue>
  /** Every value of the graph with its type for so many samples, where that is known. */
  readonly types: ReadonlyMap<Value, ValueType>
  readonly batch: number
}

/** So many samples tell the batch's axis from most others. */
const unusual = 11

/** Finds out what can be tapped. Samples that do not fit the model are a `UserError`. */
export async function tappable({ model, samples, where }: TapSubject): Promise<Tappable> {
  const { graph } = model
  const inputs = inputsOf(graph)
  const binding = bindInputs(inputs, samples, where)
  const { fixedBatch } = binding
  const typesFor = async (batch: number) => {
    const dims = freeDims(inputs, binding, batch)
    return { batch, types: await inferTypes(model, { batch, dims, where }) }
  }
  let known: Awaited<ReturnType<typeof typesFor>>
  try {
    known = await typesFor(fixedBatch === undefined || fixedBatch === 1 ? unusual : fixedBatch)
  } catch (thrown) {
    // Some models for one sample cannot do with more.
    if (fixedBatch !== 1 || !(thrown instanceof UserError)) throw thrown
    known = await typesFor(1)
  }
  const { batch, types } = known
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  const values = [...graph.feeds, ...made].flatMap((value): TapValue[] => {
    const { dtype, shape } = types.get(value) ?? {}
    if (!dtype || !floats.has(dtype) || !isWhole(shape) || shape[0] !== batch) return []
    return [{ name: value.name, value, shape: shape.slice(1) }]
  })
  const byValue = new Map(values.map((each) => [each.value, each]))
  return { graph, where, values, byValue, types, batch }
}

/** The types of numbers that losses compare. */
export const floats: ReadonlySet<string> = new Set(['float32', 'float16', 'float64'])

/** True where every dimension is known. */
export const isWhole = (shape: ValueType['shape']): shape is readonly number[] =>
  shape?.every((dim) => typeof dim === 'number') === true

/** A name as errors and logs show it, on one line whatever it holds. */
export const quoted = (name: string): string => `'${name.replace(/\s+/g, ' ')}'`
