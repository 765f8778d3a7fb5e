// Every gradient rule at every place of its inputs, and second derivatives of every case.
import { describe, it } from '@jest/globals'
import { standard } from '../../train/lowerings/standard.ts'
import { caseRows } from '../train/case-graph.ts'
import { expectGradient } from '../train/gradient-checks.ts'
import { expectSecondDerivative, smoothRows } from '../train/second-derivative-checks.ts'

describe('the standard lowering', () => {
  it.each(caseRows)('gives the whole gradient of $title', (row) => expectGradient(row, standard))
})

describe('a gradient', () => {
  it.each(smoothRows)('of $title can be differentiated again', expectSecondDerivative)
})
