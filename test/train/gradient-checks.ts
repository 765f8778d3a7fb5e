// The gradient of a case on the graph that ONNX Runtime runs, against central differences of the float64 reference.
import { expect } from '@jest/globals'
import { operatorOf } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { backward } from '../../train/backward.ts'
import { decompositions } from '../../train/decompositions.ts'
import { gradients, passive } from '../../train/gradients.ts'
import type { Lowering } from '../../train/lowerings/lowering.ts'
import { writeOutBatchNormalization } from '../../train/training-form.ts'
import { type NdArray, nd } from '../support/reference/nd.ts'
import { straightThrough } from '../support/reference/quantization.ts'
import { differences, reference, relativeError } from '../support/reference.ts'
import {
  type CaseRow,
  caseGraph,
  evaluate,
  feedsOf,
  inputsOf,
  someOf,
  weighted,
  weightsOf,
} from './case-graph.ts'
import { isDrawn } from './cases/case.ts'

/** Expects outputs and gradients of a case to be the reference's, gradients at `most` evenly spread places of an input. */
export async function expectGradient(
  row: CaseRow,
  lowering: Lowering,
  most = Number.POSITIVE_INFINITY,
): Promise<void> {
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
    const loss = (moved: Float64Array) =>
      weighted(evaluate(row, inputs.with(index, nd(input.dims, moved)), table), weights)
    const { data } = inputs[index]!
    let places = someOf(data.length, most)
    let exact = differences(loss, data, places)
    if (Math.hypot(...exact) < 1e-3) {
      // Few places are read at all.
      places = [...data.keys()]
      exact = differences(loss, data)
    }
    expect(Math.hypot(...exact)).toBeGreaterThan(1e-3)
    const gradient = found.get(index)!
    expect(gradient.dims).toEqual(input.dims)
    const made = numbers(gradient)
    expect(made).toHaveLength(data.length)
    expect(
      relativeError(
        places.map((place) => made[place]!),
        exact,
      ),
    ).toBeLessThan(1e-4)
  }
}

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
