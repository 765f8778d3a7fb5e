// Every gradient rule and decomposition, on the graph that ONNX Runtime runs, against central differences of the
// float64 reference.
import { describe, expect, it } from '@jest/globals'
import { operatorOf } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { backward } from '../../train/backward.ts'
import { decompositions } from '../../train/decompositions.ts'
import { gradients, passive } from '../../train/gradients.ts'
import type { Lowering } from '../../train/lowerings/lowering.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { writeOutBatchNormalization } from '../../train/training-form.ts'
import { type NdArray, nd } from '../support/reference/nd.ts'
import { straightThrough } from '../support/reference/quantization.ts'
import { differences, reference, relativeError } from '../support/reference.ts'
import {
  type CaseRow,
  caseGraph,
  caseRows,
  evaluate,
  feedsOf,
  inputsOf,
  weighted,
  weightsOf,
} from './case-graph.ts'
import { isDrawn } from './cases/case.ts'
import { gradientCases } from './gradient-cases.ts'

const lowerings: readonly Lowering[] = [standard]

it('has a reference and at least two cases for every rule and decomposition, and no others', () => {
  const operators = [...new Set([...Object.keys(gradients), ...Object.keys(decompositions)])].sort()
  expect(Object.keys(reference).sort()).toEqual(operators)
  expect(Object.keys(gradientCases).sort()).toEqual(operators)
  expect(operators.filter((operator) => gradientCases[operator]!.length < 2)).toEqual([])
})

const composite = caseRows.filter(({ operator }) => operator in decompositions)

it.each(composite)('has a reference that agrees with ONNX Runtime on $title', async (row) => {
  const inputs = inputsOf(row)
  const expected = evaluate(row, inputs)
  const graph = await caseGraph(row, weightsOf(row, expected), { whole: true })
  const results = await withSession(graph.model, {}, (session) =>
    session.run(feedsOf(graph, inputs)),
  )
  for (const [index, output] of [...expected.values()].entries()) {
    const made = results[graph.g.graph.outputs[index]!.name]!
    expect(relativeError(numbers(made), output.data)).toBeLessThan(1e-5)
  }
})

describe.each(lowerings)('the $name lowering', (lowering) => {
  it.each(caseRows)('gives the gradient of $title', async (row) => {
    const inputs = inputsOf(row)
    const expected = evaluate(row, inputs)
    const weights = weightsOf(row, expected)
    const { outputs, found } = await run(row, inputs, weights, lowering)
    for (const [index, output] of [...expected.values()].entries()) {
      expect(outputs[index]!.dims).toEqual(output.dims)
      expect(relativeError(numbers(outputs[index]!), output.data)).toBeLessThan(1e-5)
    }
    // What passes straight through a rounding is held against the function without it.
    const table = { ...reference, ...straightThrough }
    for (const [index, input] of row.inputs.entries()) {
      if (!isDrawn(input)) continue
      const loss = (data: Float64Array) =>
        weighted(evaluate(row, inputs.with(index, nd(input.dims, data)), table), weights)
      const exact = differences(loss, inputs[index]!.data)
      expect(Math.hypot(...exact)).toBeGreaterThan(1e-3)
      const gradient = found.get(index)!
      expect(gradient.dims).toEqual(input.dims)
      expect(relativeError(numbers(gradient), exact)).toBeLessThan(1e-4)
    }
  })
})

/** The node in ONNX Runtime: its weighted outputs, and the gradients of the loss by the number of the input. */
async function run(
  row: CaseRow,
  arrays: readonly (NdArray | undefined)[],
  weights: ReadonlyMap<number, NdArray>,
  lowering: Lowering,
): Promise<{ outputs: Tensor[]; found: Map<number, Tensor> }> {
  const graph = await caseGraph(row, weights)
  const { model, g, wanted, loss } = graph
  const found = backward(g, loss, new Set(wanted.keys()), lowering)
  for (const each of graph.statistics) writeOutBatchNormalization(g.graph, each)
  for (const [value, gradient] of found) g.output(`gradient${wanted.get(value)}`, gradient)
  removeDeadNodes(g.graph)
  // So that it can be differentiated again.
  const differentiable = { ...gradients, ...decompositions, ...passive }
  for (const node of g.graph.nodes) expect(differentiable).toHaveProperty([operatorOf(node)])
  const results = await withSession(model, {}, (session) => session.run(feedsOf(graph, arrays)))
  return {
    outputs: g.graph.outputs.slice(0, weights.size).map(({ name }) => results[name]!),
    found: new Map([...wanted.values()].map((index) => [index, results[`gradient${index}`]!])),
  }
}
