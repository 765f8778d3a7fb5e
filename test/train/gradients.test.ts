// Every gradient rule, on the graph that ONNX Runtime runs, against central differences of the float64 reference.
import { describe, expect, it } from '@jest/globals'
import { type Random, random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { gradients } from '../../train/gradients.ts'
import type { Lowering } from '../../train/lowerings/lowering.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { trainBatchNormalization, writeOutBatchNormalization } from '../../train/training-form.ts'
import { type NdArray, nd, sizeOf } from '../support/reference/nd.ts'
import { differences, reference, relativeError } from '../support/reference.ts'
import { type Drawn, type GradientCase, gradientCases, isDrawn } from './gradient-cases.ts'

const lowerings: readonly Lowering[] = [standard]

const rows = Object.entries(gradientCases).flatMap(([opType, cases]) =>
  cases.map((entry) => ({ opType, title: titleOf(opType, entry), ...entry })),
)

it('has a reference and at least two cases for every rule, and no others', () => {
  const rules = Object.keys(gradients).sort()
  expect(Object.keys(reference).sort()).toEqual(rules)
  expect(Object.keys(gradientCases).sort()).toEqual(rules)
  expect(rules.filter((opType) => gradientCases[opType]!.length < 2)).toEqual([])
})

describe.each(lowerings)('the $name lowering', (lowering) => {
  it.each(rows)('gives the gradient of $title', async ({ opType, title, ...entry }) => {
    const inputs = entry.inputs.map((input, index) =>
      isDrawn(input) ? draw(input, random(1, title, index)) : arrayOf(input),
    )
    const attributes = { ...entry.attributes, ...(entry.training && { training_mode: 1 }) }
    const evaluate = (arrays: readonly (NdArray | undefined)[]) =>
      reference[opType]!(arrays, attributes)
    const expected = evaluate(inputs)
    // Multiples of 1/64 survive a cast to float16.
    const source = random(2, title)
    const weights = expected.data.map(() => (source.integer(255) - 127) / 64)

    const { y, found } = await run(opType, entry, inputs, weights, expected.dims, lowering)
    expect(y.dims).toEqual(expected.dims)
    expect(relativeError(numbers(y), expected.data)).toBeLessThan(1e-5)
    for (const [index, input] of entry.inputs.entries()) {
      if (!isDrawn(input)) continue
      const loss = (data: Float64Array) =>
        dot(evaluate(inputs.with(index, nd(input.dims, data))).data, weights)
      const exact = differences(loss, inputs[index]!.data)
      expect(Math.hypot(...exact)).toBeGreaterThan(1e-3)
      const gradient = found.get(index)!
      expect(gradient.dims).toEqual(input.dims)
      expect(relativeError(numbers(gradient), exact)).toBeLessThan(1e-4)
    }
  })
})

/** The node in ONNX Runtime: its output, and the gradients of Σ output · weights by the number of the input. */
async function run(
  opType: string,
  entry: GradientCase,
  arrays: readonly (NdArray | undefined)[],
  weights: Float64Array,
  shape: readonly number[],
  lowering: Lowering,
): Promise<{ y: Tensor; found: Map<number, Tensor> }> {
  const { model, g } = newModel('case')
  const values = entry.inputs.map((input, index) => {
    if (isDrawn(input)) return g.input(`x${index}`, { dtype: 'float32', shape: input.dims })
    return input === undefined ? undefined : g.constant(input)
  })
  const [made] = g.node(opType, values, { attributes: entry.attributes ?? {} })
  const output = entry.castBack ? g.Cast(made, { to: 1 }) : made!
  const products = g.Mul(output, tensorOf('float32', shape, Array.from(weights)))
  const loss = g.ReduceSum(products, { keepdims: 0 })
  const statistics = entry.training ? trainBatchNormalization(g.graph, new Set()) : []
  g.graph.outputs.push(output, loss)
  await inferShapes(model)

  const wanted = new Map<Value, number>()
  for (const [index, value] of values.entries())
    if (value && isDrawn(entry.inputs[index])) wanted.set(value, index)
  const found = backward(g, loss, new Set(wanted.keys()), lowering)
  for (const each of statistics) writeOutBatchNormalization(g.graph, each)
  for (const [value, gradient] of found) g.output(`gradient${wanted.get(value)}`, gradient)
  removeDeadNodes(g.graph)
  const feeds = Object.fromEntries(
    [...wanted].map(([{ name }, index]) => {
      const { dims, data } = arrays[index]!
      return [name, tensorOf('float32', dims, Float32Array.from(data))]
    }),
  )
  const results = await withSession(model, {}, (session) => session.run(feeds))
  return {
    y: results[g.graph.outputs[0]!.name]!,
    found: new Map([...wanted.values()].map((index) => [index, results[`gradient${index}`]!])),
  }
}

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

const dot = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, value, index) => sum + value * b[index]!, 0)

function titleOf(
  opType: string,
  { inputs, attributes = {}, training, castBack }: GradientCase,
): string {
  const shapes = inputs.map((input) => {
    if (input === undefined) return '-'
    if (isDrawn(input)) return `[${input.dims}]`
    return input instanceof Tensor ? `constant [${input.dims}]` : JSON.stringify(input)
  })
  const settings = Object.entries(attributes).map(([name, value]) => `${name}=${value}`)
  const form = training ? ['in training'] : castBack ? ['and back'] : []
  return [opType, shapes.join(' '), ...settings, ...form].join(' ')
}
