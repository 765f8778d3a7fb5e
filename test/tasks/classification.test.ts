import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { classCurves } from '../../tasks/class-curves.ts'
import { tasks } from '../../tasks/index.ts'
import { said, truthOf } from './truth.ts'

const { classification } = tasks
const truth = truthOf({ classes: ['a', 'b', 'c'], labels: [0, 0, 1, 1] })

/** Logits that prefer the given classes. */
const preferring = (...classes: number[]): number[] =>
  classes.flatMap((one) => [0, 1, 2].map((each) => (each === one ? 4 : 0)))
const answers = (...classes: number[]) => said(preferring(...classes), 3)
const evaluate = (numbers: readonly number[]) => {
  const predictions = said(numbers, 3)
  return classification.evaluate(predictions, truth, predictions)
}

describe('evaluate', () => {
  it('counts right answers in all and by class', () => {
    const { accuracy, undecided } = evaluate(preferring(0, 1, 1, 1))
    expect(accuracy.metric).toBe('top1')
    expect(accuracy.value).toBe(0.75)
    expect(accuracy.interval[0]).toBeCloseTo(0.3006, 3)
    expect(accuracy.interval[1]).toBeCloseTo(0.9544, 3)
    expect(accuracy.perClass).toEqual({ a: 0.5, b: 1, c: null })
    expect(accuracy.classMetrics).toMatchObject({
      precision: { a: 1, b: 2 / 3, c: null },
      recall: { a: 0.5, b: 1, c: null },
      f1: { a: 2 / 3, b: 0.8, c: null },
    })
    expect(undecided).toBe(0)
  })

  it('compares confidence with accuracy', () => {
    const confidence = Math.exp(4) / (Math.exp(4) + 2)
    const { calibrationError } = evaluate(preferring(0, 1, 1, 1))
    expect(calibrationError).toBeCloseTo(Math.abs(0.75 - confidence), 6)
  })

  it('counts outputs that are no numbers as wrong and says how many they are', () => {
    const { accuracy, undecided, calibrationError } = evaluate(
      preferring(0, 0, 1, 1).with(4, Number.NaN),
    )
    expect(accuracy.value).toBe(0.75)
    expect(undecided).toBe(1)
    expect(calibrationError).toBeNull()
  })

  it('takes minus infinity for a class that is ruled out', () => {
    const { undecided, accuracy } = evaluate(
      preferring(0, 0, 1, 1).with(2, Number.NEGATIVE_INFINITY),
    )
    expect(undecided).toBe(0)
    expect(accuracy.value).toBe(1)
  })
})

describe('retain', () => {
  it('finds nothing missing where teacher and model are the same', () => {
    const same = answers(0, 1, 1, 1)
    expect(classification.retain(same, same, truth)).toEqual({
      accuracy: 1,
      agreement: 1,
      klDivergence: 0,
      perClass: { a: 1, b: 1, c: null },
      p: 1,
      measures: { 'rank-correlation': 1 },
    })
  })

  it('measures what is left of the teacher', () => {
    const retention = classification.retain(answers(0, 0, 1, 1), answers(0, 1, 1, 2), truth)
    expect(retention).toMatchObject({
      accuracy: 0.5,
      agreement: 0.5,
      perClass: { a: 0.5, b: 0.5, c: null },
      p: 0.5,
    })
    const [high, low] = [Math.exp(4) / (Math.exp(4) + 2), 1 / (Math.exp(4) + 2)]
    expect(retention.klDivergence).toBeCloseTo(0.5 * (high - low) * 4, 5)
  })

  it('correlates the order of the classes, sample by sample, where it says more than the decision', () => {
    const rows = (...of: number[][]) => said(of.flat(), 3)
    const three = truthOf({ classes: ['a', 'b', 'c'], labels: [0, 0, 0] })
    const teacher = rows([3, 2, 1], [3, 2, 1], [3, 2, 1])
    const model = rows([3, 1, 2], [1, 2, 3], [Number.NaN, 2, 1])
    // Spearman's 1 - 6 Σd² / (n³ - n): 0.5 and -1; what is undecided has no order.
    const { measures } = classification.retain(teacher, model, three)
    expect(measures['rank-correlation']).toBeCloseTo(-0.25, 12)
    const two = truthOf({ classes: ['a', 'b'], labels: [0] })
    const same = said([1, 0], 2)
    expect(classification.retain(same, same, two).measures).toEqual({})
  })

  it('has no divergence where an output is not finite', () => {
    const broken = said(new Array(12).fill(Number.NaN), 3)
    const retention = classification.retain(answers(0, 0, 1, 1), broken, truth)
    expect(retention).toMatchObject({ accuracy: 0, agreement: 0, klDivergence: null })
  })
})

it('makes probabilities of one model comparable with logits of another', () => {
  const { model, g } = newModel('ends with Softmax')
  g.output('y', g.Softmax(g.input('x', { dtype: 'float32', shape: [4, 3] })))
  const logits = preferring(0, 0, 1, 1)
  const [high, low] = [Math.exp(4) / (Math.exp(4) + 2), 1 / (Math.exp(4) + 2)]
  const probabilities = said(
    logits.map((x) => (x ? high : low)),
    3,
  )
  const normal = classification.normaliser(model.graph)(probabilities)
  expect(classification.retain(said(logits, 3), normal, truth).klDivergence).toBeCloseTo(0, 6)
})

it('wants an output a class', () => {
  expect(classification.width(truth)).toBe(3)
})

it('takes as many passes over the scores as they need room, with the same result', () => {
  // So many samples have room for two classes at a time. Each class has every third sample; the third has the lowest scores.
  const size = 400_000
  const firsts = new Set<number>()
  const curves = classCurves(size, 3, (sample, first, scores, truth) => {
    firsts.add(first)
    for (let i = 0; i < scores.length; i++) {
      const own = sample % 3 === first + i
      truth[i] = Number(own)
      scores[i] = own === first + i < 2 ? 1 : 0
    }
  })
  expect([...firsts]).toEqual([0, 2])
  expect(curves.auc).toEqual([1, 1, 0])
})
