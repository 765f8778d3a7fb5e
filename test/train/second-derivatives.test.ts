// Gradients of gradients, of a few cases of every operator; the slow tests have all.
import { describe, it } from '@jest/globals'
import { caseRows } from './case-graph.ts'
import { expectSecondDerivative, smoothRows } from './second-derivative-checks.ts'

const rows = smoothRows.filter((row) => {
  const first = caseRows.findIndex(({ operator }) => operator === row.operator)
  return caseRows.indexOf(row) < first + 2 || row.training === true
})

describe('a gradient', () => {
  it.each(rows)('of $title can be differentiated again', expectSecondDerivative)
})
