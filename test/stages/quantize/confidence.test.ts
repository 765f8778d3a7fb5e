// How sure a likeness is that was measured on a few samples.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { sureOf } from '../../../stages/quantize/confidence.ts'
import { likenessOf } from '../../../stages/quantize/noise.ts'

/** Means of all and of all but each. */
const left = (values: readonly number[]) => {
  const sum = values.reduce((a, b) => a + b, 0)
  return values.map((value) => (sum - value) / (values.length - 1))
}
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

describe('what a figure is with 95 % confidence', () => {
  it.each([
    [2, 6.3138],
    [3, 2.92],
    [4, 2.3534],
    [6, 2.015],
    [9, 1.8595],
    [31, 1.6973],
    [65, 1.669],
  ])("of the mean of %i normal numbers is Student's bound", (count, quantile) => {
    const { normal } = random(1, 'normal', count)
    const values = Array.from({ length: count }, () => normal())
    const deviation = Math.sqrt(
      values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (count - 1),
    )
    const bound = sureOf(mean(values), left(values))
    const expected = mean(values) - (quantile * deviation) / Math.sqrt(count)
    expect(Math.abs(bound - expected)).toBeLessThan((0.01 * deviation) / Math.sqrt(count))
  })

  it.each([3, 8])('is below the truth in 19 of 20 draws of %i', (count) => {
    const draws = 2000
    let below = 0
    for (let draw = 0; draw < draws; draw++) {
      const { normal } = random(2, 'draw', draw)
      const values = Array.from({ length: count }, () => 3 + normal())
      if (sureOf(mean(values), left(values)) <= 3) below++
    }
    expect(below / draws).toBeGreaterThan(0.935)
    expect(below / draws).toBeLessThan(0.965)
  })

  it('is the figure itself where nothing can be left out, and where nothing differs', () => {
    expect(sureOf(0.9, [])).toBe(0.9)
    expect(sureOf(0.9, [1])).toBe(0.9)
    expect(sureOf(0.9, [0.9, 0.9, 0.9])).toBe(0.9)
  })

  it('of a likeness is lower the more runs differ, and the fewer there are', () => {
    const like = (noises: readonly number[]) => {
      const runs = (scale: number) =>
        noises.map((noise) => ({ y: tensorOf('float32', [2], [1, scale * noise]) }))
      return likenessOf(runs(0), runs(1)).get('y')!
    }
    const even = like([0.1, 0.1, 0.1, 0.1])
    expect(even.sureCosine).toBeCloseTo(even.cosine, 12)
    const uneven = like([0.05, 0.15, 0.05, 0.15])
    expect(uneven.sureCosine).toBeLessThan(uneven.cosine - 1e-4)
    expect(like([0.05, 0.15]).sureCosine).toBeLessThan(uneven.sureCosine)
    expect(like([0.1]).sureCosine).toBe(like([0.1]).cosine)
    const run = (value: number) => ({ y: tensorOf('float32', [2], [1, value]) })
    const broken = likenessOf([run(0), run(0)], [run(0), run(Number.NaN)]).get('y')!
    expect(broken).toMatchObject({ cosine: 0, sqnrDb: -Infinity })
    expect(broken.sureCosine).toBeLessThanOrEqual(0)
  })
})
