// Every gradient rule and decomposition, on the graph that ONNX Runtime runs, against central differences of the
// float64 reference: two cases of an operator, large inputs at some places. The slow tests have all.
import { describe, expect, it } from '@jest/globals'
import { numbers } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { decompositions } from '../../train/decompositions.ts'
import { gradients } from '../../train/gradients.ts'
import type { Lowering } from '../../train/lowerings/lowering.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { reference, relativeError } from '../support/reference.ts'
import { caseGraph, caseRows, evaluate, feedsOf, inputsOf, weightsOf } from './case-graph.ts'
import { gradientCases } from './gradient-cases.ts'
import { expectGradient } from './gradient-checks.ts'

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

const rows = caseRows.filter((row, index) => {
  const first = caseRows.findIndex(({ operator }) => operator === row.operator)
  return index < first + 2 || row.training === true
})

describe.each(lowerings)('the $name lowering', (lowering) => {
  it.each(rows)('gives the gradient of $title', (row) => expectGradient(row, lowering, 16))
})
