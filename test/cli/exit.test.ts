import { expect, it } from '@jest/globals'
import { Interrupted, UserError } from '../../base/errors.ts'
import { exitCodeOf } from '../../cli/exit.ts'

it.each([
  [new UserError('x'), 2],
  [new Interrupted(), 130],
  [new Error('internal: x'), 1],
  ['thrown text', 1],
])('gives %p the exit code %d', (thrown, code) => {
  expect(exitCodeOf(thrown)).toBe(code)
})
