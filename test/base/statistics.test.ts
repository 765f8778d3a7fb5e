import { describe, expect, it } from '@jest/globals'
import {
  calibration,
  klDivergence,
  logSoftmax,
  mcnemarExact,
  softmax,
  wilsonInterval,
} from '../../base/statistics.ts'

describe('wilsonInterval', () => {
  // Newcombe (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
  it.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
    [29, 29, 0.883, 1],
  ])('encloses %d of %d as published', (successes, trials, low, high) => {
    const interval = wilsonInterval(successes, trials)
    expect(interval[0]).toBeCloseTo(low, 4)
    expect(interval[1]).toBeCloseTo(high, 4)
  })

  it('knows nothing without trials', () => {
    expect(wilsonInterval(0, 0)).toEqual([0, 1])
  })
})

describe('mcnemarExact', () => {
  it.each([
    [0, 0, 1],
    [5, 5, 1],
    [0, 1, 1],
    [0, 5, 2 / 2 ** 5],
    [1, 9, (2 * (1 + 10)) / 2 ** 10],
    [3, 12, (2 * (1 + 15 + 105 + 455)) / 2 ** 15],
  ])('of %d against %d is the binomial tail', (first, second, probability) => {
    expect(mcnemarExact(first, second)).toBeCloseTo(probability, 12)
    expect(mcnemarExact(second, first)).toBeCloseTo(probability, 12)
  })

  it('neither overflows nor vanishes for large counts', () => {
    // The normal approximation with continuity correction: z = (|300| − 1) / sqrt(19700), two-sided.
    expect(mcnemarExact(10000, 9700)).toBeCloseTo(0.0331, 3)
    expect(mcnemarExact(0, 5000)).toBe(0)
    expect(mcnemarExact(0, 1000)).toBeGreaterThan(0)
  })
})

describe('softmax and klDivergence', () => {
  it('give probabilities that do not depend on a shift of the logits', () => {
    expect([...softmax([0, Math.log(3)])]).toEqual([
      expect.closeTo(0.25, 12),
      expect.closeTo(0.75, 12),
    ])
    expect([...softmax([1000, 1000 + Math.log(3)])]).toEqual([
      expect.closeTo(0.25, 12),
      expect.closeTo(0.75, 12),
    ])
    expect(logSoftmax([-1e4, 1e4])[0]).toBe(-2e4)
  })

  it('measures the divergence in nats', () => {
    const teacher = [Math.log(0.5), Math.log(0.5)]
    const student = [Math.log(0.9), Math.log(0.1)]
    expect(klDivergence(teacher, student)).toBeCloseTo(0.510826, 6)
    expect(klDivergence(student, teacher)).toBeCloseTo(0.368064, 6)
    expect(klDivergence(Float32Array.of(3, -1, 2), [4, 0, 3])).toBeCloseTo(0, 12)
  })

  it('stays finite where the teacher gives a class no probability', () => {
    expect(klDivergence([0, -2000], [-2000, 0])).toBeCloseTo(2000, 6)
  })
})

describe('calibration', () => {
  const expectedCalibrationError = (
    confidences: readonly number[],
    correct: readonly (number | boolean)[],
  ) => {
    const gathered = calibration()
    for (const [index, confidence] of confidences.entries())
      gathered.add(confidence, correct[index]!)
    return gathered.error()
  }

  it('is the gap between confidence and accuracy, weighted by the bins', () => {
    // Bin of 0.9: accuracy 0.5, gap 0.4, two samples of three; bin of 0.6: accuracy 1, gap 0.4.
    expect(expectedCalibrationError([0.9, 0.9, 0.6], [1, 0, 1])).toBeCloseTo(0.4, 12)
    expect(expectedCalibrationError([1, 1], [true, true])).toBe(0)
    expect(expectedCalibrationError([], [])).toBe(0)
  })

  it('lets over- and underconfidence cancel inside a bin only', () => {
    expect(expectedCalibrationError([0.61, 0.65], [1, 0])).toBeCloseTo(0.13, 12)
    expect(expectedCalibrationError([0.61, 0.95], [1, 0])).toBeCloseTo((0.39 + 0.95) / 2, 12)
  })
})
