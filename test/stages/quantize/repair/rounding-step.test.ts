// Learned rounding of one layer, compared with trying all roundings.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../../base/random.ts'
import {
  openRounding,
  type RoundingProblem,
} from '../../../../stages/quantize/repair/rounding-step.ts'

/** A layer with inputs that go along with each other, which is where rounding to nearest is not best. */
function problemOf(groups: number, rows: number, columns: number): RoundingProblem {
  const { normal, uniform } = random(5, columns)
  const inputs = new Float32Array(groups * columns * columns)
  for (let group = 0; group < groups; group++)
    for (let sample = 0; sample < 200; sample++) {
      const common = normal()
      const x = Array.from({ length: columns }, () => Math.max(0, common + 0.7 * normal()))
      for (const [a, left] of x.entries())
        for (const [b, right] of x.entries())
          inputs[(group * columns + a) * columns + b]! += left * right
    }
  const size = groups * rows * columns
  return {
    form: { groups, rows, columns, strides: { group: 0, row: 0, column: 0 } },
    inputs,
    residuals: new Float32Array(size),
    constant: 0,
    rests: Float32Array.from({ length: size }, uniform),
    steps: Float32Array.from({ length: groups * rows }, () => 0.01 + 0.02 * uniform()),
  }
}

/** The error in float64, from its definition. */
function errorOf({ form, inputs, rests, steps }: RoundingProblem, ups: ArrayLike<number>): number {
  const { groups, rows, columns } = form
  let sum = 0
  for (let row = 0; row < groups * rows; row++) {
    const group = Math.floor(row / rows)
    const change = (at: number) =>
      (ups[row * columns + at]! - rests[row * columns + at]!) * steps[row]!
    for (let a = 0; a < columns; a++)
      for (let b = 0; b < columns; b++)
        sum += change(a) * change(b) * inputs[(group * columns + a) * columns + b]!
  }
  return sum
}

describe('learned rounding', () => {
  it('computes the error from the sums over samples', async () => {
    const problem = problemOf(2, 3, 4)
    const rounding = await openRounding(problem, 1)
    const ups = problem.rests.map((_, at) => at % 2)
    const exact = errorOf(problem, ups)
    expect((await rounding.errorOf(ups)) / exact).toBeCloseTo(1, 4)
    await rounding.dispose()
  })

  it('comes close to the best of all roundings', async () => {
    const problem = problemOf(1, 1, 10)
    const rounding = await openRounding(problem, 1)
    const ups = await rounding.learn(500, async () => undefined)
    await rounding.dispose()
    const all = Array.from({ length: 2 ** 10 }, (_, bits) =>
      errorOf(
        problem,
        Array.from({ length: 10 }, (_, at) => (bits >> at) & 1),
      ),
    )
    const nearest = errorOf(problem, problem.rests.map(Math.round))
    const learned = errorOf(problem, ups)
    expect(learned).toBeLessThanOrEqual(nearest * 1.0001)
    expect(all.filter((error) => error < learned).length).toBeLessThan(20)
  })

  it('has a fraction of the error of rounding to nearest', async () => {
    const problem = problemOf(2, 8, 48)
    const rounding = await openRounding(problem, 1)
    const ups = await rounding.learn(300, async () => undefined)
    const [nearest, learned] = [
      await rounding.errorOf(problem.rests.map(Math.round)),
      await rounding.errorOf(ups),
    ]
    await rounding.dispose()
    expect(new Set(ups)).toEqual(new Set([0, 1]))
    expect(learned).toBeLessThan(0.5 * nearest)
  })
})
