import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { largestOf, scheduled, valueAt } from '../../train/scheduled.ts'

const schema = scheduled(z.number().min(0))
const at = (options: unknown, progress: readonly number[]) =>
  progress.map((share) => valueAt(schema.parse(options), share))
const quarters = [0, 0.25, 0.5, 0.75, 1]
const cosine = (share: number) => (1 - Math.cos(Math.PI * share)) / 2

describe('a number that changes', () => {
  it.each<[string, unknown, readonly number[]]>([
    ['a plain number', 3, [3, 3, 3, 3, 3]],
    ['a line, unless told otherwise', { from: 8, to: 4 }, [8, 7, 6, 5, 4]],
    ['a line', { from: 0, to: 1, shape: 'linear' }, quarters],
    ['half a cosine', { from: 0, to: 2, shape: 'cosine' }, quarters.map((q) => 2 * cosine(q))],
    ['a constant factor', { from: 1, to: 16, shape: 'exponential' }, [1, 2, 4, 8, 16]],
    ['one step at the start', { from: 1, to: 2, shape: 'step' }, [2, 2, 2, 2, 2]],
    ['one step later', { from: 1, to: 2, shape: 'step', start: 0.5 }, [1, 1, 2, 2, 2]],
    ['one step at the end', { from: 1, to: 2, shape: 'step', start: 1 }, [1, 1, 1, 1, 2]],
    ['a part of the training', { from: 4, to: 0, start: 0.25, end: 0.75 }, [4, 4, 2, 0, 0]],
    ['a part of no length', { from: 4, to: 1, start: 0.5, end: 0.5 }, [4, 4, 1, 1, 1]],
    [
      'a cosine in a part',
      { from: 1, to: 3, shape: 'cosine', end: 0.5 },
      [1, 1 + 2 * cosine(0.5), 3, 3, 3],
    ],
    ['a factor in a part', { from: 9, to: 1, shape: 'exponential', start: 0.5 }, [9, 9, 9, 3, 1]],
    ['no change', { from: 2, to: 2, shape: 'cosine' }, [2, 2, 2, 2, 2]],
  ])('goes by %s', (_what, options, expected) => {
    for (const [index, value] of at(options, quarters).entries())
      expect(value).toBeCloseTo(expected[index]!, 12)
  })

  it('never leaves the way between its ends', () => {
    for (const shape of ['linear', 'cosine', 'exponential', 'step'])
      for (const [from, to] of [
        [0.5, 20],
        [20, 0.5],
      ]) {
        const values = at(
          { from, to, shape, start: 0.1, end: 0.9 },
          [...Array(101).keys()].map((n) => n / 100),
        )
        const steps = values.slice(1).map((value, index) => value - values[index]!)
        expect(steps.every((step) => step === 0 || step > 0 === to! > from!)).toBe(true)
        expect([values[0], values.at(-1)]).toEqual([from, to])
      }
  })

  it('has the larger end for its largest value', () => {
    expect(largestOf(3)).toBe(3)
    expect(largestOf(schema.parse({ from: 2, to: 5 }))).toBe(5)
    expect(largestOf(schema.parse({ from: 5, to: 2, shape: 'step' }))).toBe(5)
  })

  it.each([
    [
      'an end before the start',
      { from: 1, to: 2, start: 0.6, end: 0.5 },
      'start must not be after end',
    ],
    [
      'a factor from nothing',
      { from: 0, to: 2, shape: 'exponential' },
      "shape 'exponential' needs numbers above 0",
    ],
    [
      'a factor to nothing',
      { from: 1, to: 0, shape: 'exponential' },
      "shape 'exponential' needs numbers above 0",
    ],
    ['a share above 1', { from: 1, to: 2, end: 1.5 }, 'Too big'],
    ['a share below 0', { from: 1, to: 2, start: -0.1 }, 'Too small'],
    ['a number out of its range', -1, 'Too small'],
    ['a start out of its range', { from: -1, to: 2 }, 'Too small'],
    ['an end out of its range', { from: 1, to: -2 }, 'Too small'],
    ['another shape', { from: 1, to: 2, shape: 'wave' }, 'Invalid option'],
    ['only one end', { from: 1 }, 'expected number'],
    ['another key', { from: 1, to: 2, steps: 3 }, 'Unrecognized key'],
    ['a word', 'half', 'expected number'],
  ])('refuses %s', (_what, options, message) => {
    const { error } = schema.safeParse(options)
    expect(JSON.stringify(error?.issues)).toContain(message)
  })
})
