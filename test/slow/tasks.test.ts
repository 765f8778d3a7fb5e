// Whole runs of tasks that take long or that the quick tests run on other data, and what knowledge is left.
import { describe, it } from '@jest/globals'
import { cases, expectWholeRun } from '../pipeline/task-runs.ts'

describe('a whole run', () => {
  it.each(Object.entries(cases).filter(([, { slow }]) => slow))('of %s', (_, row) =>
    expectWholeRun(row, {}),
  )
})
