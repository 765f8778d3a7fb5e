// Cases of reductions.
import { type Drawn, distinct, type GradientCase, nonzero, one, positive, x } from './case.ts'

const reduce = (draw: (...dims: readonly number[]) => Drawn): GradientCase[] => [
  one([draw(2, 3, 4)]),
  one([draw(2, 3, 4)], { keepdims: 0 }),
  one([draw(2, 3, 4), [1]]),
  one([draw(2, 3, 4), [-1, 0]], { keepdims: 0 }),
  one([draw(2, 3, 2, 2), [2, 3]]),
  one([draw(2, 3), []]),
  one([draw(2, 3), []], { noop_with_empty_axes: 1 }),
]

/** Cases by operator. */
export const reductionCases: Readonly<Record<string, readonly GradientCase[]>> = {
  ReduceL1: reduce(nonzero),
  ReduceL2: reduce(x),
  ReduceLogSum: reduce(positive),
  ReduceLogSumExp: reduce(x),
  ReduceMax: reduce(distinct),
  ReduceMin: reduce(distinct),
  ReduceProd: [
    ...reduce(nonzero),
    // Rows with a factor that is 0, or several.
    one([{ ...x(4, 3), step: 1 }, [1]]),
    one([{ ...x(5, 4), step: 1 }, [1]]),
  ],
  ReduceSumSquare: reduce(x),
}
