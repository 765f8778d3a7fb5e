import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { tasks } from '../../tasks/index.ts'

const { classification } = tasks
const truth = { source: 'test', classes: ['a', 'b', 'c'], labels: Int32Array.of(0, 0, 1, 1) }

/** Logits that prefer the given classes. */
const preferring = (...classes: number[]) => ({
  width: 3,
  outputs: Float32Array.from(classes.flatMap((one) => [0, 1, 2].map((c) => (c === one ? 4 : 0)))),
})

describe('evaluate', () => {
  it('counts right answers in all and by class', () => {
    const { accuracy, undecided } = classification.evaluate(preferring(0, 1, 1, 1), truth)
    expect(accuracy.top1).toBe(0.75)
    expect(accuracy.top1Interval[0]).toBeCloseTo(0.3006, 3)
    expect(accuracy.top1Interval[1]).toBeCloseTo(0.9544, 3)
    expect(accuracy.perClass).toEqual({ a: 0.5, b: 1, c: null })
    expect(undecided).toBe(0)
  })

  it('compares confidence with accuracy', () => {
    const confidence = Math.exp(4) / (Math.exp(4) + 2)
    const { calibrationError } = classification.evaluate(preferring(0, 1, 1, 1), truth)
    expect(calibrationError).toBeCloseTo(Math.abs(0.75 - confidence), 6)
  })

  it('counts outputs that are no numbers as wrong and says how many they are', () => {
    const predictions = preferring(0, 0, 1, 1)
    predictions.outputs[4] = Number.NaN
    const { accuracy, undecided, calibrationError } = classification.evaluate(predictions, truth)
    expect(accuracy.top1).toBe(0.75)
    expect(undecided).toBe(1)
    expect(calibrationError).toBeNull()
  })

  it('takes minus infinity for a class that is ruled out', () => {
    const predictions = preferring(0, 0, 1, 1)
    predictions.outputs[2] = Number.NEGATIVE_INFINITY
    expect(classification.evaluate(predictions, truth).undecided).toBe(0)
  })
})

describe('retain', () => {
  it('finds nothing missing where teacher and model are the same', () => {
    const same = preferring(0, 1, 1, 1)
    expect(classification.retain(same, same, truth)).toEqual({
      accuracy: 1,
      agreement: 1,
      klDivergence: 0,
      perClass: { a: 1, b: 1, c: null },
      mcnemarP: 1,
    })
  })

  it('measures what is left of the teacher', () => {
    const teacher = preferring(0, 0, 1, 1)
    const retention = classification.retain(teacher, preferring(0, 1, 1, 2), truth)
    expect(retention).toMatchObject({
      accuracy: 0.5,
      agreement: 0.5,
      perClass: { a: 0.5, b: 0.5, c: null },
      mcnemarP: 0.5,
    })
    const [high, low] = [Math.exp(4) / (Math.exp(4) + 2), 1 / (Math.exp(4) + 2)]
    expect(retention.klDivergence).toBeCloseTo(0.5 * (high - low) * 4, 5)
  })

  it('has no divergence where an output is not finite', () => {
    const broken = preferring(0, 0, 1, 1)
    broken.outputs.fill(Number.NaN)
    const retention = classification.retain(preferring(0, 0, 1, 1), broken, truth)
    expect(retention).toMatchObject({ accuracy: 0, agreement: 0, klDivergence: null })
  })
})

describe('normaliser', () => {
  it('makes probabilities of one model comparable with logits of another', () => {
    const { model, g } = newModel('ends with Softmax')
    g.output('y', g.Softmax(g.input('x', { dtype: 'float32', shape: [4, 3] })))
    const logits = preferring(0, 0, 1, 1)
    const [high, low] = [Math.exp(4) / (Math.exp(4) + 2), 1 / (Math.exp(4) + 2)]
    const probabilities = { width: 3, outputs: logits.outputs.map((x) => (x ? high : low)) }
    const normal = classification.normaliser(model.graph)(probabilities)
    expect(classification.retain(logits, normal, truth).klDivergence).toBeCloseTo(0, 6)
  })
})

it('refuses outputs that do not fit the labels', () => {
  expect(() => classification.check(1000, truth, 'net.onnx')).toThrow(
    "net.onnx: its outputs do not fit the labels: 1000 outputs for the 3 classes of data 'test'",
  )
})
