// Gradients of gradients, of the first smooth case of every operator; the slow tests have all.
import { describe, it } from '@jest/globals'
import { expectSecondDerivative, smoothRows } from './second-derivative-checks.ts'

const rows = smoothRows.filter(
  (row) =>
    row.training === true || row === smoothRows.find(({ operator }) => operator === row.operator),
)

describe('a gradient', () => {
  it.each(rows)('of $title can be differentiated again', expectSecondDerivative)
})
