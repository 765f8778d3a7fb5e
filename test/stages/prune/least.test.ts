import { describe, expect, it } from '@jest/globals'
import { leastThat, type Order } from '../../../stages/prune/least.ts'

/** Weights that go in this order, each of which can be given back. */
const orderOf = (weights: readonly number[]): Order<readonly number[]> => ({
  length: weights.length,
  first: (count) => weights.slice(0, count),
  parts: (count) =>
    weights
      .slice(0, count)
      .reverse()
      .map(
        (one) => (taken) => (taken.includes(one) ? taken.filter((own) => own !== one) : undefined),
      ),
})

const sum = (taken: readonly number[]) => taken.reduce((total, one) => total + one, 0)

describe('the least that is enough', () => {
  it.each<[number, readonly number[] | undefined]>([
    [0, []],
    [1, [1]],
    // 1 + 2 + 30 overshoots: without what need not go, 30 alone is enough.
    [30, [30]],
    [32, [2, 30]],
    [37, [1, 2, 30, 4]],
    [38, undefined],
  ])('of 1, 2, 30 and 4 for %d is %j', async (wanted, least) => {
    expect(await leastThat(orderOf([1, 2, 30, 4]), async (taken) => sum(taken) >= wanted)).toEqual(
      least,
    )
  })

  it('asks no more often than so many times in a row in vain', async () => {
    let asked = 0
    const weights = Array.from({ length: 1000 }, (_, at) => 1 + at / 1e6)
    const least = await leastThat(orderOf(weights), (taken) => {
      asked++
      return taken.length === weights.length
    })
    expect(least).toHaveLength(1000)
    expect(asked).toBeLessThan(80)
  })
})
