// Combined answers: what each rule promises, checked by definition.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import {
  type CombineOptions,
  combination,
  combineOptions,
} from '../../../stages/teaching/combine.ts'
import { type AnswerForm, checkCombination, type Panelist } from '../../../stages/teaching/panel.ts'
import { softmaxOf } from './support.ts'

const classes = 5
const rows = 4

/** Logits `[rows, width]`. */
const logits = (seed: number, width = classes, scale = 2) => {
  const source = random(seed, 'combine')
  return Float32Array.from({ length: rows * width }, () => scale * source.normal())
}

const panelOf = (count: number, rest: Partial<Panelist> = {}): Panelist[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ name: `teacher ${index + 1}`, weight: index + 1, width: classes },
    ...rest,
  }))

/** The probabilities of every row of a combination. */
function combined(
  options: Parameters<typeof combineOptions.parse>[0],
  answers: readonly Float32Array[],
  {
    panel = panelOf(answers.length),
    labels,
    form = 'classes',
    mix,
  }: {
    panel?: Panelist[]
    labels?: readonly number[]
    form?: AnswerForm
    mix?: { partners: Int32Array; shares: Float32Array }
  } = {},
): number[][] {
  const parsed: CombineOptions = combineOptions.parse(options)
  checkCombination(parsed, panel, form)
  const together = combination(parsed, panel, form, classes)
  const values = together(answers, {
    ...(labels && { labels: Int32Array.from(labels) }),
    ...(mix && { mix }),
  })
  return rowsOf(values)
}

const rowsOf = (values: Float32Array): number[][] =>
  Array.from({ length: rows }, (_, row) => [...values.subarray(row * classes, (row + 1) * classes)])

const probabilitiesOf = (values: Float32Array) => rowsOf(values).map(softmaxOf)

function expectNear(found: readonly number[][], wanted: readonly number[][], digits = 5) {
  expect(found).toHaveLength(wanted.length)
  for (const [row, values] of found.entries())
    for (const [place, value] of values.entries())
      expect(value).toBeCloseTo(wanted[row]![place]!, digits)
}

const [a, b, c] = [logits(1), logits(2), logits(3)]
const labels = [0, 1, 4, 2]

const everyRule = [
  { by: 'mean' },
  { by: 'mean', average: 'arithmetic' },
  { by: 'weighted' },
  { by: 'weighted', average: 'arithmetic' },
  { by: 'confidence' },
  { by: 'confidence', average: 'geometric' },
  { by: 'best' },
] as const

describe.each(everyRule)('combining by %j', (options) => {
  it.each([
    ['with labels', labels],
    ['without', undefined],
  ] as const)('one teacher is that teacher, %s', (_, labels) => {
    expect(combined(options, [a], { ...(labels && { labels }) })).toEqual(rowsOf(a))
  })

  it('equal teachers are as one of them', () => {
    const found = combined(options, [a, a, a], { labels })
    expectNear(found.map(softmaxOf), probabilitiesOf(a))
  })

  it('does not depend on the order of the teachers', () => {
    const panel = panelOf(3)
    const one = combined(options, [a, b, c], { panel, labels })
    const other = combined(options, [c, a, b], {
      panel: [panel[2]!, panel[0]!, panel[1]!],
      labels,
    })
    expectNear(one, other)
  })

  it('gives the logarithms of probabilities', () => {
    for (const row of combined(options, [a, b, c], { labels }))
      expect(row.reduce((sum, value) => sum + Math.exp(value), 0)).toBeCloseTo(1, 5)
  })

  it('stays finite for teachers that are as sure as can be', () => {
    const sure = logits(4, classes, 1e4)
    const found = combined(options, [sure, logits(5, classes, 1e4)], { labels }).flat()
    expect(found.filter((value) => !Number.isFinite(value))).toEqual([])
  })
})

describe('means', () => {
  it('are of probabilities, or of their logarithms', () => {
    const [p, q] = [probabilitiesOf(a), probabilitiesOf(b)]
    const arithmetic = combined({ by: 'mean', average: 'arithmetic' }, [a, b])
    expectNear(
      arithmetic.map(softmaxOf),
      p.map((row, at) => row.map((value, place) => (value + q[at]![place]!) / 2)),
    )
    const geometric = combined({ by: 'mean' }, [a, b])
    const roots = p.map((row, at) => row.map((value, place) => Math.sqrt(value * q[at]![place]!)))
    const sums = roots.map((row) => row.reduce((sum, value) => sum + value, 0))
    expectNear(
      geometric.map(softmaxOf),
      roots.map((row, at) => row.map((value) => value / sums[at]!)),
    )
  })

  it('count teachers by their weights, whatever those sum to', () => {
    const weights = (...all: number[]) =>
      all.map((weight, index) => ({ ...panelOf(all.length)[index]!, weight }))
    const options = { by: 'weighted' } as const
    const found = combined(options, [a, b], { panel: weights(2, 6) })
    expectNear(found, combined(options, [a, b], { panel: weights(0.25, 0.75) }))
    expectNear(
      combined(options, [a, b], { panel: weights(0, 3) }).map(softmaxOf),
      probabilitiesOf(b),
    )
    expectNear(
      combined(options, [a, b], { panel: weights(5, 5) }),
      combined({ by: 'mean' }, [a, b]),
    )
  })

  it('of numbers that are no classes are those of the numbers', () => {
    const panel = panelOf(2)
    expectNear(
      combined({ by: 'mean' }, [a, b], { form: 'values', panel }),
      rowsOf(a.map((value, at) => (value + b[at]!) / 2)),
    )
    expectNear(
      combined({ by: 'weighted' }, [a, b], { form: 'values', panel }),
      rowsOf(a.map((value, at) => (value + 2 * b[at]!) / 3)),
    )
  })

  it('of a yes or no each are those of logits, or of probabilities', () => {
    const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
    expectNear(
      combined({ by: 'mean' }, [a, b], { form: 'binary' }),
      rowsOf(a.map((value, at) => (value + b[at]!) / 2)),
    )
    const found = combined({ by: 'mean', average: 'arithmetic' }, [a, b], { form: 'binary' })
    expectNear(
      found.map((row) => row.map(sigmoid)),
      rowsOf(a.map((value, at) => (sigmoid(value) + sigmoid(b[at]!)) / 2)),
    )
  })
})

describe('confidence', () => {
  it('weighs every sample as in the paper', () => {
    const answers = [a, b, c]
    const all = answers.map(probabilitiesOf)
    const wanted = labels.map((label, row) => {
      const losses = all.map((p) => Math.exp(-Math.log(p[row]![label]!)))
      const total = losses.reduce((sum, loss) => sum + loss, 0)
      const weights = losses.map((loss) => (1 - loss / total) / 2)
      return a.slice(0, classes).reduce<number[]>((list, _, place) => {
        list.push(all.reduce((sum, p, k) => sum + weights[k]! * p[row]![place]!, 0))
        return list
      }, [])
    })
    expectNear(combined({ by: 'confidence' }, answers, { labels }).map(softmaxOf), wanted)
  })

  it('without a label is that of the surer teacher', () => {
    const sure = Float32Array.from({ length: rows * classes }, (_, at) => (at % classes ? 0 : 9))
    const unsure = new Float32Array(rows * classes)
    const found = combined({ by: 'confidence' }, [sure, unsure], { labels: [-1, -1, -1, -1] })
    const share = (found.map(softmaxOf)[0]![0]! - 0.2) / (softmaxOf([9, 0, 0, 0, 0])[0]! - 0.2)
    // Entropies near 0 and ln 5: exp gives 1 and 5.
    expect(share).toBeCloseTo(5 / 6, 2)
  })

  it('counts both labels of a sample that is mixed', () => {
    const [one, other] = [0, 1].map((label) =>
      Float32Array.from({ length: rows * classes }, (_, at) => (at % classes === label ? 5 : 0)),
    )
    const mix = { partners: Int32Array.of(1, 1, 1, 1), shares: Float32Array.of(1, 0.5, 0, 0.5) }
    const found = combined({ by: 'confidence' }, [one!, other!], { labels: [0, 0, 0, 0], mix })
    const [own, both, partner] = found.map(softmaxOf)
    expect(own![0]!).toBeGreaterThan(0.9)
    expect(both![0]!).toBeCloseTo(both![1]!, 6)
    expect(partner![1]!).toBeGreaterThan(0.9)
  })
})

describe('the best', () => {
  it('is for every sample the one that misses its label least', () => {
    const answers = [a, b, c]
    const all = answers.map(probabilitiesOf)
    const found = combined({ by: 'best' }, answers, { labels }).map(softmaxOf)
    for (const [row, label] of labels.entries()) {
      const best = Math.max(...all.map((p) => p[row]![label]!))
      expect(found[row]![label]).toBeCloseTo(best, 5)
    }
  })

  it('is the surest one for a sample without a label', () => {
    const sure = logits(1, classes, 20)
    const found = combined({ by: 'best' }, [a, sure], { labels: [-1, -1, -1, -1] })
    expectNear(found.map(softmaxOf), probabilitiesOf(sure))
    expectNear(combined({ by: 'best' }, [a, sure]).map(softmaxOf), probabilitiesOf(sure))
  })
})

describe('specialists', () => {
  const options = { by: 'specialists' } as const
  const specialist = (width: number, ...own: number[]): Panelist => ({
    ...{ name: `specialist for ${own}`, weight: 1, classes: own, width, sumsUp: width < classes },
  })
  const generalist = panelOf(1)[0]!

  /** The sum that is minimised, by its definition. */
  function divergence(q: readonly number[], p: readonly number[], others: [number[], number[]][]) {
    const kl = (from: readonly number[], to: readonly number[]) =>
      from.reduce((sum, value, at) => sum + value * Math.log(value / to[at]!), 0)
    return others.reduce(
      (sum, [own, believed]) => {
        const rest = q.reduce((all, value, at) => all + (own.includes(at) ? 0 : value), 0)
        return sum + kl(believed, [...own.map((at) => q[at]!), rest])
      },
      kl(p, q),
    )
  }

  it('find the distribution that diverges least from all that is said', () => {
    // The likeliest class is made to be 0, which all specialists know.
    const general = a.map((value, at) => value + (at % classes === 0 ? 9 : 0) * 0.5)
    const first = general.map((value, at) =>
      at % classes === 0 ? Math.max(...general) + 0.5 : value,
    )
    const others = [
      { own: [0, 1], values: logits(6, 3) },
      { own: [3, 0, 1], values: logits(7, 4) },
      { own: [0, 2, 3], values: logits(8, 4) },
    ]
    const panel = [generalist, ...others.map(({ own }) => specialist(own.length + 1, ...own))]
    const found = combined(options, [first, ...others.map(({ values }) => values)], { panel })
    const source = random(9)
    for (const [row, q] of found.map(softmaxOf).entries()) {
      const p = softmaxOf(rowsOf(first)[row]!)
      const said = others.map(({ own, values }): [number[], number[]] => {
        const width = own.length + 1
        return [own, softmaxOf([...values.subarray(row * width, (row + 1) * width)])]
      })
      const least = divergence(q, p, said)
      for (let trial = 0; trial < 50; trial++) {
        const other = softmaxOf(q.map((value) => Math.log(value) + 0.05 * source.normal()))
        expect(divergence(other, p, said)).toBeGreaterThanOrEqual(least - 1e-9)
      }
    }
  })

  it('pull probability to what they say of their classes, and leave the ratios of others', () => {
    const general = Float32Array.from(
      { length: rows * classes },
      (_, at) => [2, 1.9, 0, -1, -2][at % classes]!,
    )
    const sure = Float32Array.from({ length: rows * 3 }, (_, at) => [0, 6, 0][at % 3]!)
    const panel = [generalist, specialist(3, 0, 1)]
    const [row] = combined(options, [general, sure], { panel }).map(softmaxOf)
    const before = softmaxOf([2, 1.9, 0, -1, -2])
    expect(row![1]!).toBeGreaterThan(before[1]!)
    expect(row![0]!).toBeLessThan(before[0]!)
    expect(row![2]! / row![3]!).toBeCloseTo(before[2]! / before[3]!, 5)
    expect(row![3]! / row![4]!).toBeCloseTo(before[3]! / before[4]!, 4)
  })

  it('change nothing where the likeliest class is none of theirs', () => {
    const general = a.map((value, at) => (at % classes === 4 ? 50 : value))
    const panel = [generalist, specialist(3, 0, 1), specialist(3, 2, 3)]
    const found = combined(options, [general, logits(6, 3), logits(7, 3)], { panel })
    expectNear(found.map(softmaxOf), probabilitiesOf(general), 7)
  })

  it('are asked more often where more of the likeliest classes count', () => {
    const general = Float32Array.from(
      { length: rows * classes },
      (_, at) => [3, 2, 0, 0, 0][at % classes]!,
    )
    const panel = [generalist, specialist(3, 1, 2)]
    const answers = [general, logits(6, 3)]
    expectNear(combined(options, answers, { panel }).map(softmaxOf), probabilitiesOf(general))
    const [two] = combined({ ...options, top: 2 }, answers, { panel }).map(softmaxOf)
    expect(two![1]!).not.toBeCloseTo(softmaxOf([3, 2, 0, 0, 0])[1]!, 3)
  })

  it('may answer for all classes, of which those that are not theirs are summed up', () => {
    const general = a.map((value, at) => (at % classes === 2 ? 30 : value))
    const short = combined(
      options,
      [
        general,
        Float32Array.from(
          { length: rows * 3 },
          (_, at) => [Math.log(2), Math.log(5), Math.log(3)][at % 3]!,
        ),
      ],
      { panel: [generalist, specialist(3, 2, 4)] },
    )
    const whole = combined(
      options,
      [
        general,
        Float32Array.from(
          { length: rows * classes },
          (_, at) => [0, 0, Math.log(2), 0, Math.log(5)][at % classes]!,
        ),
      ],
      { panel: [generalist, specialist(classes, 2, 4)] },
    )
    expectNear(short, whole, 4)
  })

  it('do not depend on their order', () => {
    const panel = [generalist, specialist(3, 0, 1), specialist(4, 0, 2, 3)]
    const general = a.map((value, at) => (at % classes === 0 ? 20 : value))
    const [one, other] = [logits(6, 3), logits(7, 4)]
    expectNear(
      combined(options, [general, one, other], { panel }),
      combined(options, [general, other, one], { panel: [panel[0]!, panel[2]!, panel[1]!] }),
    )
  })
})

describe('teachers that do not go together', () => {
  const special = { ...panelOf(1)[0]!, name: 'special', classes: [0, 1] }
  const general = panelOf(1)[0]!
  const cases: [
    string,
    Parameters<typeof combineOptions.parse>[0],
    Omit<Panelist, 'width'>[],
    AnswerForm,
    string,
  ][] = [
    [
      'weights that sum to zero',
      { by: 'weighted' },
      panelOf(2, { weight: 0 }),
      'classes',
      'combine: the weights of the teachers sum to zero: teacher 1, teacher 2 — give one of them a weight',
    ],
    [
      'a weight below zero',
      { by: 'weighted' },
      panelOf(2, { weight: -1 }),
      'classes',
      'combine: a weight must be 0 or more: -1 of teacher 1 — correct it',
    ],
    [
      'specialists without a generalist',
      { by: 'specialists' },
      [special, { ...special, name: 'other' }],
      'classes',
      "combine: 'specialists' needs a first teacher for all classes and others for some: special, other — name the classes of all but the first",
    ],
    [
      'two generalists',
      { by: 'specialists' },
      [general, special, { ...general, name: 'second' }],
      'classes',
      'combine: only the first teacher may know all classes beside specialists: second — name its classes',
    ],
    [
      'a specialist in a mean',
      { by: 'mean' },
      [general, special],
      'classes',
      "combine: 'mean' cannot use a teacher for some classes: special — choose 'specialists', or leave its classes out",
    ],
    [
      'a class twice',
      { by: 'specialists' },
      [general, { ...special, classes: [1, 1] }],
      'classes',
      'combine: special names a class twice — leave one out',
    ],
    [
      'confidence in numbers',
      { by: 'confidence' },
      panelOf(2),
      'values',
      "combine: is for answers of which one class is right: 'confidence' — choose 'mean' or 'weighted'",
    ],
    [
      'the best of yes or no',
      { by: 'best' },
      panelOf(2),
      'binary',
      "combine: is for answers of which one class is right: 'best' — choose 'mean' or 'weighted'",
    ],
  ]
  it.each(cases)('%s', (_, options, panel, form, message) => {
    expect(() => checkCombination(combineOptions.parse(options), panel, form)).toThrow(message)
  })
})
