// Whole runs of every task, and what knowledge is left.
import { describe, it } from '@jest/globals'
import { cases, expectWholeRun } from '../pipeline/task-runs.ts'

describe('a whole run', () => {
  it.each(Object.entries(cases))('of %s', (_, row) => expectWholeRun(row, { samples: 48 }))
})
