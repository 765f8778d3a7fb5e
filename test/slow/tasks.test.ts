// Whole runs of tasks that the quick tests run on other data.
import { describe, it } from '@jest/globals'
import { cases, expectWholeRun } from '../pipeline/task-runs.ts'

describe('a whole run', () => {
  it.each(Object.entries(cases).filter(([, { slow }]) => slow))('of %s', (_, row) =>
    expectWholeRun(row),
  )
})
