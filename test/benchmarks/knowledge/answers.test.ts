// What is made of answers alone: transfer, reliability, robustness, saliency.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { wilsonInterval } from '../../../base/statistics.ts'
import { reliabilityOf } from '../../../benchmarks/knowledge/reliability.ts'
import { bearingOf } from '../../../benchmarks/knowledge/robustness.ts'
import { saliencyAgreement } from '../../../benchmarks/knowledge/saliency.ts'
import { transferOf } from '../../../benchmarks/knowledge/transfer.ts'
import { ratioOfPairedShares } from '../../../benchmarks/statistics.ts'
import { tasks } from '../../../tasks/index.ts'
import type { Predictions, Truth } from '../../../tasks/task.ts'

const rowsOf = (rows: readonly (readonly number[])[]): Predictions => ({
  size: rows.length,
  width: rows[0]?.length ?? 0,
  row: (index) => Float32Array.from(rows[index]!),
})

/** Predictions that decide so, and are not sure of it. */
const deciding = (decisions: readonly number[], classes = 3): Predictions =>
  rowsOf(decisions.map((one) => Array.from({ length: classes }, (_, i) => Number(i === one))))

const truthFor = (labels: readonly number[], classes = ['a', 'b', 'c']): Truth => ({
  source: 'made up',
  size: labels.length,
  classes,
  labels: Int32Array.from(labels),
  group: 1,
  targetNames: [],
  targetWidth: 0,
  target: () => undefined,
})

describe('transferOf', () => {
  const truth = truthFor([0, 0, 0, 0, 1, 1, 1])
  const teacher = deciding([0, 0, 0, 2, 1, 1, 0])

  it("counts what is kept of the teacher's right answers and mended of its wrong ones", () => {
    const model = deciding([0, 0, 1, 0, 1, 2, 2])
    expect(transferOf(teacher, model, truth)).toEqual({
      right: { value: 3 / 5, interval: wilsonInterval(3, 5), of: 5 },
      wrong: { value: 1 / 2, interval: wilsonInterval(1, 2), of: 2 },
      perClass: {
        a: { right: 2 / 3, rightOf: 3, wrong: 1, wrongOf: 1 },
        b: { right: 1 / 2, rightOf: 2, wrong: 0, wrongOf: 1 },
        c: { right: null, rightOf: 0, wrong: null, wrongOf: 0 },
      },
    })
  })

  it('is whole for the teacher itself, and nothing for a model that decides nothing', () => {
    expect(transferOf(teacher, teacher, truth)).toMatchObject({
      right: { value: 1, of: 5 },
      wrong: { value: 0, of: 2 },
    })
    const silent = rowsOf([...truth.labels].map(() => [Number.NaN, 0, 0]))
    expect(transferOf(teacher, silent, truth).right.value).toBe(0)
  })
})

describe('reliabilityOf', () => {
  it('has the Brier score and what confidence is worth, bin by bin', () => {
    const model = rowsOf([
      [Math.log(0.9), Math.log(0.1)],
      [Math.log(0.3), Math.log(0.7)],
      [Math.log(0.92), Math.log(0.08)],
    ])
    const found = reliabilityOf(model, truthFor([0, 0, 1], ['a', 'b']))!
    expect(found.brier).toBeCloseTo((2 * 0.01 + 2 * 0.49 + 2 * 0.92 ** 2) / 3, 6)
    expect(found.bins).toHaveLength(15)
    expect(found.bins[13]).toEqual({
      count: 2,
      confidence: expect.closeTo(0.91, 6),
      accuracy: 0.5,
    })
    expect(found.bins[10]).toMatchObject({ count: 1, accuracy: 0 })
    expect(found.bins[0]).toEqual({ count: 0, confidence: null, accuracy: null })
  })

  it('says nothing of what is no number', () => {
    expect(reliabilityOf(rowsOf([[Number.NaN, 1]]), truthFor([0]))).toBeNull()
  })
})

describe('bearingOf', () => {
  const labels = Array.from({ length: 40 }, (_, i) => i % 3)
  const truth = truthFor(labels)
  const wrongAt = (...places: readonly number[]) =>
    deciding(labels.map((label, i) => (places.includes(i) ? (label + 1) % 3 : label)))

  it('is the accuracy, the ratio of accuracies and the agreement', () => {
    const found = bearingOf(wrongAt(0, 1, 2, 3), wrongAt(0, 4), truth, tasks.classification)
    expect(found).toMatchObject({ value: 38 / 40, agreement: 36 / 40, ratio: 38 / 36 })
    const [low, high] = found.interval!
    expect(low).toBeLessThan(38 / 36)
    expect(high).toBeGreaterThan(38 / 36)
  })

  it('has no ratio to a teacher that is always wrong', () => {
    const found = bearingOf(wrongAt(...labels.keys()), wrongAt(), truth, tasks.classification)
    expect(found).toMatchObject({ value: 1, ratio: null, interval: null })
  })
})

describe('ratioOfPairedShares', () => {
  it('is a point with room around it where two models answer alike', () => {
    const { value, interval } = ratioOfPairedShares({ both: 100, onlyFirst: 0, onlySecond: 0 })!
    expect(value).toBe(1)
    expect(interval[0]).toBeLessThan(1)
    expect(interval[0]).toBeGreaterThan(0.95)
    expect(interval[1]).toBeCloseTo(1 / interval[0], 10)
    expect(ratioOfPairedShares({ both: 0, onlyFirst: 3, onlySecond: 0 })).toBeUndefined()
    expect(ratioOfPairedShares({ both: 0, onlyFirst: 0, onlySecond: 9 })).toMatchObject({
      value: 0,
    })
  })

  it('encloses the true ratio about 95 times of 100', () => {
    const { uniform } = random(3, 'coverage')
    const rounds = 2000
    let enclosed = 0
    for (let round = 0; round < rounds; round++) {
      const counts = { both: 0, onlyFirst: 0, onlySecond: 0 }
      for (let sample = 0; sample < 200; sample++) {
        const drawn = uniform()
        if (drawn < 0.7) counts.both++
        else if (drawn < 0.78) counts.onlyFirst++
        else if (drawn < 0.92) counts.onlySecond++
      }
      const [low, high] = ratioOfPairedShares(counts)!.interval
      enclosed += Number(low <= 0.78 / 0.84 && 0.78 / 0.84 <= high)
    }
    expect(enclosed / rounds).toBeGreaterThan(0.935)
    expect(enclosed / rounds).toBeLessThan(0.97)
  })
})

describe('saliencyAgreement', () => {
  const first = Array.from({ length: 20 }, (_, i) => (i === 3 ? 9 : i === 7 ? -8 : 0.1 * (i % 4)))

  it('is 1 for equal gradients, of any scale', () => {
    const scaled = first.map((value) => 5 * value)
    const found = saliencyAgreement(rowsOf([first]), rowsOf([scaled]))!
    expect(found.cosine).toBeCloseTo(1, 6)
    expect(found.overlap).toBe(1)
  })

  it('takes the sign into account in the cosine, and not in the cells', () => {
    const turned = first.map((value) => -value)
    expect(saliencyAgreement(rowsOf([first]), rowsOf([turned]))).toEqual({
      cosine: expect.closeTo(-1, 6),
      overlap: 1,
    })
    const moved = first.map((value, i) => (i === 7 ? 0 : i === 8 ? 7 : value))
    expect(saliencyAgreement(rowsOf([first]), rowsOf([moved]))!.overlap).toBe(0.5)
  })

  it('counts a gradient of zeros as 0, and says nothing of what is no number', () => {
    const zero = first.map(() => 0)
    const half = saliencyAgreement(rowsOf([first, first]), rowsOf([first, zero]))!
    expect(half).toEqual({ cosine: expect.closeTo(0.5, 6), overlap: 0.5 })
    expect(saliencyAgreement(rowsOf([first]), rowsOf([zero.map(() => Number.NaN)]))).toBeNull()
  })
})
