// From a case of the gradient tables to a graph with a loss, ready to be differentiated.
import { type Random, random } from '../../base/random.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { numbers, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { decompose } from '../../train/decompose.ts'
import { type Statistics, trainBatchNormalization } from '../../train/training-form.ts'
import { type NdArray, nd, sizeOf } from '../support/reference/nd.ts'
import { reference } from '../support/reference.ts'
import { type Drawn, type GradientCase, isDrawn } from './cases/case.ts'
import { gradientCases } from './gradient-cases.ts'

/** A case with the operator that it is of and a title for the test. */
export interface CaseRow extends GradientCase {
  readonly operator: string
  readonly title: string
}

/** All cases. */
export const caseRows: readonly CaseRow[] = Object.entries(gradientCases).flatMap(
  ([operator, cases]) =>
    cases.map((entry) => ({ operator, title: titleOf(operator, entry), ...entry })),
)

/** The inputs of a case, drawn ones and constants. */
export const inputsOf = ({ inputs, title }: CaseRow): (NdArray | undefined)[] =>
  inputs.map((input, index) =>
    isDrawn(input) ? draw(input, random(1, title, index)) : arrayOf(input),
  )

/** What the reference makes of inputs: the outputs that the loss depends on, by their number. */
export function evaluate(
  row: CaseRow,
  arrays: readonly (NdArray | undefined)[],
  table = reference,
): ReadonlyMap<number, NdArray> {
  const attributes = { ...row.attributes, ...(row.training && { training_mode: 1 }) }
  const given = table[row.operator]!(arrays, attributes)
  const list = [given, ...(given.more ?? [])]
  const made = row.outputs ?? 1
  return new Map(
    list.flatMap((output, index) =>
      output && index < made && (row.weighted?.includes(index) ?? true)
        ? [[index, output] as const]
        : [],
    ),
  )
}

/** Weights for the outputs of a case; multiples of 1/64 survive a cast to float16. */
export const weightsOf = (
  row: CaseRow,
  outputs: ReadonlyMap<number, NdArray>,
): ReadonlyMap<number, NdArray> =>
  new Map(
    [...outputs].map(([index, { dims, data }]) => {
      const source = random(2, row.title, ...(index ? [index] : []))
      return [
        index,
        nd(
          dims,
          data.map(() => (source.integer(255) - 127) / 64),
        ),
      ]
    }),
  )

/** Σ outputs · weights. */
export function weighted(
  outputs: ReadonlyMap<number, NdArray>,
  weights: ReadonlyMap<number, NdArray>,
): number {
  let sum = 0
  for (const [number, { data }] of weights) sum += dot(outputs.get(number)!.data, data)
  return sum
}

/** The sum of the products of two vectors. */
export const dot = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, value, index) => sum + value * b[index]!, 0)

/** At most so many places of a vector's, evenly spread. */
export const someOf = (size: number, most: number): number[] =>
  Array.from({ length: Math.min(size, most) }, (_, index) =>
    Math.floor((index * size) / Math.min(size, most)),
  )

/** A case as a graph whose values have settled shapes, in operators that have rules. */
export interface CaseGraph {
  readonly model: Model
  readonly g: Builder
  /** The drawn inputs, by their number. */
  readonly wanted: ReadonlyMap<Value, number>
  /** Σ outputs · weights. */
  readonly loss: Value
  /** BatchNormalization nodes that were put into training form. */
  readonly statistics: readonly Statistics[]
}

/**
 * Builds a case: the weighted outputs come first among the graph's outputs, then the loss. Its operator is decomposed
 * if it can be, unless `whole` says not to.
 */
export async function caseGraph(
  row: CaseRow,
  weights: ReadonlyMap<number, NdArray>,
  { whole = false } = {},
): Promise<CaseGraph> {
  const { model, g } = newModel('case', row.opset)
  const [opType, ...domains] = row.operator.split('.').reverse() as [string, ...string[]]
  const domain = domains.reverse().join('.')
  if (domain) model.opsets.set(domain, 1)
  const values = row.inputs.map((input, index) => {
    if (isDrawn(input)) return g.input(`x${index}`, { dtype: 'float32', shape: input.dims })
    return input === undefined ? undefined : g.constant(input)
  })
  const made = g.node(opType, values, {
    attributes: row.attributes ?? {},
    outputs: row.outputs ?? 1,
    domain,
  })
  const losses = [...weights].map(([index, { dims, data }]) => {
    const output = row.castBack && index === 0 ? g.Cast(made[0], { to: 1 }) : made[index]!
    g.graph.outputs.push(output)
    const products = g.Mul(output, tensorOf('float32', dims, Array.from(data)))
    return g.ReduceSum(products, { keepdims: 0 })
  })
  const loss = losses.reduce((sum, each) => g.Add(sum, each))
  g.graph.outputs.push(loss)
  const statistics = row.training ? trainBatchNormalization(g.graph, new Set()) : []
  await inferShapes(model)
  if (!whole) await decompose(model)
  const wanted = new Map<Value, number>()
  for (const [index, value] of values.entries())
    if (value && isDrawn(row.inputs[index])) wanted.set(value, index)
  return { model, g, wanted, loss, statistics }
}

/** Feeds for the drawn inputs of a case. */
export const feedsOf = (
  { wanted }: CaseGraph,
  arrays: readonly (NdArray | undefined)[],
): Record<string, Tensor> =>
  Object.fromEntries(
    [...wanted].map(([{ name }, index]) => {
      const { dims, data } = arrays[index]!
      return [name, tensorOf('float32', dims, Float32Array.from(data))]
    }),
  )

type Input = GradientCase['inputs'][number]

const arrayOf = (input: Exclude<Input, Drawn>): NdArray | undefined => {
  if (input === undefined) return undefined
  if (typeof input === 'number') return nd([], [input])
  if (input instanceof Tensor) return nd(input.dims, numbers(input))
  return nd([input.length], input)
}

/** Draws an input as float32 numbers. */
function draw({ dims, low, high, kinks, step, distinct }: Drawn, source: Random): NdArray {
  const size = sizeOf(dims)
  if (distinct) {
    const order = source.permutation(size)
    return nd(
      dims,
      Float32Array.from(order, (place) => 0.05 * (place - size / 2)),
    )
  }
  const next = (): number => {
    const uniform = low + (high - low) * source.uniform()
    const value = Math.fround(step ? Math.round(uniform / step) * step : uniform)
    return kinks.some((kink) => Math.abs(value - kink) < 0.05) ? next() : value
  }
  return nd(dims, Array.from({ length: size }, next))
}

function titleOf(operator: string, entry: GradientCase): string {
  const { inputs, attributes = {}, training, castBack, outputs = 1, weighted } = entry
  const shapes = inputs.map((input) => {
    if (input === undefined) return '-'
    if (isDrawn(input)) return `[${input.dims}]`
    return input instanceof Tensor ? `constant [${input.dims}]` : JSON.stringify(input)
  })
  const settings = Object.entries(attributes).map(([name, value]) => `${name}=${value}`)
  const form = training ? ['in training'] : castBack ? ['and back'] : []
  if (outputs > 1) form.push(`with ${weighted ? `output ${weighted} of ` : ''}${outputs} outputs`)
  return [operator, shapes.join(' '), ...settings, ...form].join(' ')
}
