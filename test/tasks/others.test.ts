import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { tasks } from '../../tasks/index.ts'
import { letters, said, truthOf } from './truth.ts'

const { 'multi-label': multiLabel, regression, ranking, similarity, match } = tasks

describe('multi-label', () => {
  const truth = truthOf({ classes: letters(2), targetWidth: 2, targets: [1, 0, 0, 1, 1, 1] })
  it('reads probabilities of a Sigmoid as logits', () => {
    const { model, g } = newModel('sigmoid')
    const x = g.input('x', { dtype: 'float32', shape: [3, 2] })
    g.output('y', g.Reshape(g.Sigmoid(x), [-1, 2]))
    const logits = [3, -2, -1, 0.5, 20, -90]
    const probabilities = said(
      logits.map((z) => 1 / (1 + Math.exp(-z))),
      2,
    )
    const normal = multiLabel.normaliser(model.graph)(probabilities)
    const read = [0, 1, 2].flatMap((row) => [...normal.row(row)])
    for (const index of [0, 1, 2, 3]) expect(read[index]).toBeCloseTo(logits[index]!, 5)
    // What float32 rounded to 1 or to 0 stays finite.
    expect(read[4]).toBeGreaterThan(15)
    expect(read[5]).toBeCloseTo(-87.34, 1)
  })

  it('measures overlap with the teacher, and each class', () => {
    const teacher = said([4, -4, -4, 4, 4, 4], 2)
    const model = said([4, 4, -4, 4, -4, 4], 2)
    const retention = multiLabel.retain(teacher, model, truth)
    expect(retention.agreement).toBeCloseTo((2 * 3) / (4 + 4), 12)
    expect(retention.measures).toEqual({ 'same-sets': 1 / 3, 'same-decisions': 4 / 6 })
    expect(retention.accuracy).toBeCloseTo(0.75, 12)
    expect(retention.perClass).toEqual({ a: 2 / 3, b: 4 / 5 })
    // Two decisions are turned round: 2 · (p log p/q + q log q/p) over three samples.
    const p = 1 / (1 + Math.exp(-4))
    expect(retention.klDivergence).toBeCloseTo((2 * (2 * p - 1) * 4) / 3, 4)
  })

  it('guesses as often as there is something to find', () => {
    expect(multiLabel.chance(truth)).toBeCloseTo(4 / 6, 12)
  })
})

describe('regression', () => {
  it('explains nothing where it says the mean, and less than nothing beyond', () => {
    const truth = truthOf({ targetWidth: 1, targets: [1, 2, 3] })
    const value = (...numbers: number[]) =>
      regression.evaluate(said(numbers, 1), truth, said(numbers, 1)).accuracy.value
    expect(value(2, 2, 2)).toBe(0)
    expect(value(3, 2, 1)).toBe(-3)
    expect(value(1, 2, 3)).toBe(1)
  })

  it('has no R² where targets have no spread', () => {
    const truth = truthOf({ targetWidth: 1, targets: [2, 2] })
    const { metrics, value } = regression.evaluate(said([2, 3], 1), truth, said([2, 3], 1)).accuracy
    expect(metrics).toMatchObject({ r2: null, mae: 0.5 })
    expect(value).toBe(0.5)
  })

  it('tells a model that is worse throughout from one that is as good', () => {
    const targets = Array.from({ length: 200 }, (_, i) => Math.sin(i) + i / 50)
    const truth = truthOf({ targetWidth: 1, targets })
    const off = (by: number, phase: number) =>
      said(
        targets.map((target, i) => target + by * Math.sin(3 * i + phase)),
        1,
      )
    expect(regression.retain(off(0.2, 0), off(0.8, 0), truth).p).toBeLessThan(0.01)
    expect(regression.retain(off(0.4, 0), off(0.4, 1), truth).p).toBeGreaterThan(0.05)
  })
})

describe('ranking', () => {
  const truth = truthOf({ targetWidth: 1, group: 3, targets: [0, 1, 0, 0, 0, 0, -1, 0, 1] })
  const evaluate = (...scores: number[]) => {
    const predictions = said(scores, 1)
    return ranking.evaluate(predictions, truth, predictions)
  }

  it('puts equal scores in the worst order', () => {
    const { metrics } = evaluate(1, 1, 1, 0, 0, 0, 1, 1, 1).accuracy
    // Last of three, and last of two: a place of the last group is empty.
    expect(metrics.mrr).toBeCloseTo((1 / 3 + 1 / 2) / 2, 12)
    expect(metrics['hit-rate@1']).toBe(0)
  })

  it('leaves out groups without anything to find', () => {
    expect(evaluate(0, 1, 0, 0, 0, 0, 9, 0, 1).accuracy.value).toBe(1)
  })

  it('knows what any order gives', () => {
    const [one, two, three] = [1, 1 / Math.log2(3), 0.5]
    expect(ranking.chance(truth)).toBeCloseTo(((one + two + three) / 3 + (one + two) / 2) / 2, 12)
  })

  it('refuses samples without groups', () => {
    expect(() => ranking.chance({ ...truth, group: 1 })).toThrow(
      "data 'test': ranking needs groups of two candidates or more: 9 samples in groups of 1 — make them of who touched what, with data.interactions",
    )
  })

  it('compares orders with the teacher, whatever the scale', () => {
    const teacher = said([1, 2, 3, 1, 2, 3, 1, 2, 3], 1)
    const model = said([10, 20, 30, 3, 2, 1, 1, 3, 2], 1)
    const { agreement, measures } = ranking.retain(teacher, model, truth)
    expect(agreement).toBeCloseTo((1 - 1 + 0.5) / 3, 12)
    expect(measures).toMatchObject({ 'same-first': 1 / 3 })
  })
})

describe('similarity', () => {
  it('compares embeddings of different widths by what they hold alike', () => {
    const truth = truthOf({ targetWidth: 1, group: 2, targets: [0.1, 0, 0.5, 0, 0.9, 0] })
    const teacher = said([1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0], 2)
    const model = said([1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0.1, 0], 3)
    const { agreement, measures, accuracy } = similarity.retain(teacher, model, truth)
    expect(agreement).toBeCloseTo(1, 12)
    expect(accuracy).toBeCloseTo(1, 12)
    expect(measures).toEqual({ cosine: null })
    expect(similarity.retain(teacher, teacher, truth).measures.cosine).toBeCloseTo(1, 12)
  })
})

describe('match', () => {
  const truth = truthOf({ size: 2 })
  const teacher = said([1, 2, 3, 4], 2)
  it('has the teacher itself at 1', () => {
    const { accuracy } = match.evaluate(teacher, truth, teacher)
    expect(accuracy.value).toBe(1)
    expect(accuracy.metrics).toMatchObject({ psnr: 150, mae: 0, 'max-error': 0 })
  })

  it('refuses outputs of another size', () => {
    expect(() => match.evaluate(said([1, 2], 1), truth, teacher)).toThrow(
      "match: the outputs are not of the size of the teacher's: 1 numbers a sample, not 2 — use a model with the same outputs",
    )
  })

  it('has no test of a difference, for the teacher is the truth', () => {
    expect(match.retain(teacher, said([1, 2, 3, 5], 2), truth).p).toBeNull()
  })
})
