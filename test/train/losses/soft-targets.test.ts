import { describe, expect, it } from '@jest/globals'
import { lossOptions } from '../../../train/losses.ts'
import { computedLoss, expectLoss, type LossCase } from '../loss-harness.ts'

type Tensors = Readonly<Record<string, Float64Array>>

const [batch, classes] = [5, 4]
const shape = [batch, classes]
const labels = [2, 0, 3, 3, 1]
const oneHot = (rows: readonly number[], width = classes) =>
  rows.flatMap((label) => Array.from({ length: width }, (_, each) => Number(each === label)))
const given = {
  outputs: [{ shape }],
  teacher: [{ shape }],
  facts: { batch, classes },
}
const labelled = { ...given, targets: { shape, content: oneHot(labels) } }

/** The rows of a tensor. */
const rowsOf = (values: Float64Array, width = classes): number[][] =>
  Array.from({ length: values.length / width }, (_, row) => [
    ...values.subarray(row * width, (row + 1) * width),
  ])
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const mean = (values: readonly number[]) => sum(values) / values.length
const softmax = (logits: readonly number[], T = 1): number[] => {
  const powers = logits.map((logit) => Math.exp(logit / T))
  return powers.map((power) => power / sum(powers))
}
/** Σ p ln(p/q) */
const kullbackLeibler = (p: readonly number[], q: readonly number[]) =>
  sum(p.map((each, index) => (each === 0 ? 0 : each * Math.log(each / q[index]!))))
const softened = (teacher: readonly number[], student: readonly number[], T: number) =>
  T ** 2 * kullbackLeibler(softmax(teacher, T), softmax(student, T))
/** The mean of a function of the rows of student and teacher, weighted. */
const ofRows =
  (
    f: (student: readonly number[], teacher: readonly number[], row: number) => number,
    weights?: (x: Tensors) => readonly number[],
  ) =>
  (x: Tensors): number => {
    const [student, teacher] = [rowsOf(x.output0!), rowsOf(x.teacher0!)]
    const weight = weights?.(x) ?? student.map(() => 1)
    return mean(student.map((row, index) => weight[index]! * f(row, teacher[index]!, index)))
  }

/** Population Z-scores (Sun et al. 2024). */
const standard = (logits: readonly number[]) => {
  const middle = mean(logits)
  const deviation = Math.sqrt(mean(logits.map((each) => (each - middle) ** 2)))
  return logits.map((each) => (each - middle) / deviation)
}

/** Zhao et al. 2022, equation 7, of one row. */
function decoupled(
  student: readonly number[],
  teacher: readonly number[],
  label: number,
  { alpha = 1, beta = 8, T = 4 },
): number {
  const [q, p] = [softmax(student, T), softmax(teacher, T)]
  const others = (all: readonly number[]) => {
    const kept = all.filter((_, index) => index !== label)
    return kept.map((each) => each / sum(kept))
  }
  const pair = (all: readonly number[]) => [all[label]!, 1 - all[label]!]
  const target = kullbackLeibler(pair(p), pair(q))
  return T ** 2 * (alpha * target + beta * kullbackLeibler(others(p), others(q)))
}

const pearson = (a: readonly number[], b: readonly number[]) => {
  const [meanA, meanB] = [mean(a), mean(b)]
  const covariance = sum(a.map((each, index) => (each - meanA) * (b[index]! - meanB)))
  const spread = (values: readonly number[], middle: number) =>
    Math.sqrt(sum(values.map((each) => (each - middle) ** 2)))
  return covariance / (spread(a, meanA) * spread(b, meanB))
}

/** Huang et al. 2022 of some rows. */
function correlations(
  student: readonly number[][],
  teacher: readonly number[][],
  { beta = 2, gamma = 2, T = 1 },
): number {
  const [s, t] = [student, teacher].map((rows) => rows.map((row) => softmax(row, T)))
  const column = (rows: readonly number[][], at: number) => rows.map((row) => row[at]!)
  const inter = mean(s!.map((row, index) => 1 - pearson(row, t![index]!)))
  const intra = mean(s![0]!.map((_, at) => 1 - pearson(column(s!, at), column(t!, at))))
  return T ** 2 * (beta * inter + gamma * intra)
}

/** Yuan et al. 2020 of one row. */
function virtual(student: readonly number[], label: number, share: number, T: number): number {
  const answer = student.map((_, index) =>
    index === label ? share : (1 - share) / (student.length - 1),
  )
  const powers = answer.map((each) => each ** (1 / T))
  const soft = powers.map((each) => each / sum(powers))
  return T ** 2 * kullbackLeibler(soft, softmax(student, T))
}

const largest = (row: readonly number[]) => row.indexOf(Math.max(...row))

/** (1 - p)^power over its mean (Lin et al. 2017), p the probability of the label or the largest one. */
const focusOf = (rows: readonly number[][], power: number, label?: readonly number[]) => {
  const raw = rows.map((row, index) => {
    const p = softmax(row)
    return (1 - p[label ? label[index]! : largest(row)]!) ** power
  })
  return raw.map((each) => each / mean(raw))
}

// Two samples of three positions, two of which do not count.
const tags = [2, -1, 0, 3, 1, -1]
const tagged = {
  outputs: [{ shape: [2, 3, classes] }],
  teacher: [{ shape: [2, 3, classes] }],
  targets: { shape: [6, classes], content: oneHot(tags) },
  facts: { batch: 2, classes },
}
const countedTags = tags.flatMap((tag, row) => (tag < 0 ? [] : [{ tag, row }]))

// The third and the last sample have no label.
const partly = [2, 0, -1, 3, -1]
const unlabelled = {
  ...given,
  targets: { shape, content: oneHot(partly) },
  facts: { batch, classes, unlabelled: true },
}
const withLabel = partly.flatMap((label, row) => (label < 0 ? [] : [{ label, row }]))

const fixed = Array.from({ length: batch * classes }, (_, index) => Math.sin(3 * index) * 2)

const cases: readonly LossCase[] = [
  {
    ...given,
    title: 'kl, standardised',
    terms: [{ loss: 'kl', standardise: true, temperature: 2 }],
    expected: ofRows((s, t) => softened(standard(t), standard(s), 2)),
  },
  {
    ...given,
    title: 'kl, a temperature half way down',
    terms: [{ loss: 'kl', temperature: { from: 8, to: 2 } }],
    progress: 0.5,
    expected: ofRows((s, t) => softened(t, s, 5)),
  },
  {
    ...given,
    title: 'kl, standardised, a weight and a temperature on the way',
    terms: [
      {
        loss: 'kl',
        standardise: true,
        temperature: { from: 1, to: 4, shape: 'exponential' },
        weight: { from: 1, to: 0, shape: 'cosine' },
      },
    ],
    progress: 0.25,
    expected: ofRows(
      (s, t) => ((1 + Math.cos(Math.PI / 4)) / 2) * softened(standard(t), standard(s), 4 ** 0.25),
    ),
  },
  {
    ...given,
    title: 'kl, focus by the teacher',
    terms: [{ loss: 'kl' }],
    facts: { batch, classes, focus: { by: 'teacher', power: 2 } },
    expected: ofRows(
      (s, t) => softened(t, s, 4),
      (x) => focusOf(rowsOf(x.teacher0!), 2),
    ),
  },
  {
    ...labelled,
    title: 'kl and cross-entropy, focus by the student on the label',
    terms: [{ loss: 'kl' }, { loss: 'cross-entropy', weight: 0.5 }],
    outputs: [{ shape, content: fixed }],
    facts: { batch, classes, focus: { by: 'student', power: 1 } },
    expected: ofRows(
      (s, t, row) => softened(t, s, 4) - 0.5 * Math.log(softmax(s)[labels[row]!]!),
      // No gradient passes through the weights: they are those of the student as it is.
      () => focusOf(rowsOf(Float64Array.from(fixed, Math.fround)), 1, labels),
    ),
  },
  {
    ...tagged,
    title: 'kl, word-level: at each position that counts',
    terms: [
      { loss: 'kl', temperature: 3 },
      { loss: 'cross-entropy', weight: 0 },
    ],
    expected: (x) => {
      const [student, teacher] = [rowsOf(x.output0!), rowsOf(x.teacher0!)]
      return mean(countedTags.map(({ row }) => softened(teacher[row]!, student[row]!, 3)))
    },
  },
  {
    ...tagged,
    title: 'kl, word-level: at all positions without labels',
    terms: [{ loss: 'kl', temperature: 1 }],
    targets: undefined as never,
    expected: (x) => {
      const [student, teacher] = [rowsOf(x.output0!), rowsOf(x.teacher0!)]
      return mean(student.map((row, at) => softened(teacher[at]!, row, 1)))
    },
  },
  {
    ...labelled,
    title: 'dkd',
    terms: [{ loss: 'dkd' }],
    expected: ofRows((s, t, row) => decoupled(s, t, labels[row]!, {})),
  },
  {
    ...labelled,
    title: 'dkd, other weights, a temperature on the way, focus',
    terms: [{ loss: 'dkd', alpha: 0.5, beta: 2, temperature: { from: 1, to: 3 } }],
    facts: { batch, classes, focus: { by: 'teacher', power: 1 } },
    progress: 0.5,
    expected: ofRows(
      (s, t, row) => decoupled(s, t, labels[row]!, { alpha: 0.5, beta: 2, T: 2 }),
      (x) => focusOf(rowsOf(x.teacher0!), 1, labels),
    ),
  },
  {
    ...unlabelled,
    title: "dkd, the teacher's class where there is no label",
    terms: [{ loss: 'dkd' }],
    expected: ofRows((s, t, row) =>
      decoupled(s, t, partly[row]! < 0 ? largest(t) : partly[row]!, {}),
    ),
  },
  {
    ...tagged,
    title: 'dkd at positions',
    terms: [{ loss: 'dkd', beta: 1 }],
    expected: (x) => {
      const [student, teacher] = [rowsOf(x.output0!), rowsOf(x.teacher0!)]
      return mean(
        countedTags.map(({ tag, row }) =>
          decoupled(student[row]!, teacher[row]!, tag, { beta: 1 }),
        ),
      )
    },
  },
  {
    ...given,
    title: 'dist',
    terms: [{ loss: 'dist' }],
    expected: (x) => correlations(rowsOf(x.output0!), rowsOf(x.teacher0!), {}),
  },
  {
    ...given,
    title: 'dist, other weights, a temperature on the way',
    terms: [{ loss: 'dist', beta: 1, gamma: 0.25, temperature: { from: 2, to: 6 } }],
    progress: 0.5,
    expected: (x) =>
      correlations(rowsOf(x.output0!), rowsOf(x.teacher0!), { beta: 1, gamma: 0.25, T: 4 }),
  },
  {
    ...tagged,
    title: 'dist at positions, some of which do not count',
    terms: [{ loss: 'dist' }, { loss: 'cross-entropy', weight: 0 }],
    expected: (x) => {
      const counted = (rows: readonly number[][]) => countedTags.map(({ row }) => rows[row]!)
      return correlations(counted(rowsOf(x.output0!)), counted(rowsOf(x.teacher0!)), {})
    },
  },
  {
    ...labelled,
    title: 'teacher-free',
    terms: [{ loss: 'teacher-free' }],
    expected: (x) => mean(rowsOf(x.output0!).map((row, at) => virtual(row, labels[at]!, 0.99, 20))),
  },
  {
    ...unlabelled,
    title: 'teacher-free, some labels missing, a temperature on the way',
    terms: [{ loss: 'teacher-free', share: 0.7, temperature: { from: 1, to: 5 } }],
    progress: 0.25,
    expected: (x) => {
      const student = rowsOf(x.output0!)
      return mean(withLabel.map(({ label, row }) => virtual(student[row]!, label, 0.7, 2)))
    },
  },
  {
    ...tagged,
    title: 'teacher-free at positions',
    terms: [{ loss: 'teacher-free', share: 0.9, temperature: 1 }],
    expected: (x) => {
      const student = rowsOf(x.output0!)
      return mean(countedTags.map(({ tag, row }) => virtual(student[row]!, tag, 0.9, 1)))
    },
  },
  {
    ...unlabelled,
    title: 'cross-entropy, some labels missing',
    terms: [{ loss: 'cross-entropy', labelSmoothing: 0.1 }],
    expected: (x) => {
      const student = rowsOf(x.output0!)
      return mean(
        withLabel.map(({ label, row }) => {
          const q = softmax(student[row]!)
          return -sum(
            q.map((each, at) => (0.9 * Number(at === label) + 0.1 / classes) * Math.log(each)),
          )
        }),
      )
    },
  },
  {
    ...unlabelled,
    title: 'kl, whatever is labelled',
    terms: [{ loss: 'kl' }, { loss: 'cross-entropy', weight: 0 }],
    expected: ofRows((s, t) => softened(t, s, 4)),
  },
  {
    ...given,
    title: 'sequence, hard labels of samples',
    terms: [{ loss: 'sequence' }],
    expected: ofRows((s, t) => -Math.log(softmax(s)[largest(t)]!)),
  },
  {
    ...given,
    title: 'sequence, two classes equally probable, focus',
    terms: [{ loss: 'sequence' }],
    teacher: [{ shape, content: fixed.map((_, index) => [1, 3, -2, 3][index % 4]! + index / 99) }],
    facts: { batch, classes, focus: { by: 'teacher', power: 3 } },
    expected: ofRows(
      (s, t) => -Math.log(softmax(s)[largest(t)]!),
      (x) => focusOf(rowsOf(x.teacher0!), 3),
    ),
  },
  {
    ...tagged,
    title: 'sequence, the most probable label at each position that counts',
    terms: [{ loss: 'sequence' }, { loss: 'cross-entropy', weight: 0 }],
    expected: (x) => {
      const [student, teacher] = [rowsOf(x.output0!), rowsOf(x.teacher0!)]
      return mean(
        countedTags.map(({ row }) => -Math.log(softmax(student[row]!)[largest(teacher[row]!)]!)),
      )
    },
  },
]

const value = async (entry: Omit<LossCase, 'expected' | 'title'>) =>
  await computedLoss({ ...entry, title: 'other', expected: () => 0 })
const gradientOf = (found: Awaited<ReturnType<typeof value>>) =>
  Array.from(found.gradients.output0!)

describe('losses with soft targets', () => {
  it.each(cases)('are what the formula says, with the gradient: $title', expectLoss)

  it.each([
    ['kl', {}],
    ['kl', { standardise: true }],
    ['dkd', {}],
    ['dist', {}],
  ])('%s %o is zero for a student that answers as the teacher does', async (loss, options) => {
    const found = await value({
      ...labelled,
      terms: [{ loss, ...options }],
      outputs: [{ shape, content: fixed }],
      teacher: [{ shape, content: fixed }],
    })
    expect(Math.abs(found.value)).toBeLessThan(1e-5)
    expect(Math.hypot(...gradientOf(found))).toBeLessThan(1e-5)
  })

  it.each([
    ['kl', { standardise: true }, (z: number) => 3 * z + 7],
    ['kl', {}, (z: number) => z + 7],
    ['dkd', {}, (z: number) => z + 7],
    ['dist', {}, (z: number) => z + 7],
  ])('%s %o does not see a change that keeps the relations', async (loss, options, change) => {
    const of = (content: readonly number[]) =>
      value({ ...labelled, terms: [{ loss, ...options }], outputs: [{ shape, content }] })
    const [one, other] = [await of(fixed), await of(fixed.map(change))]
    expect(Math.abs(one.value - other.value) / one.value).toBeLessThan(1e-4)
  })

  it('dist is zero for probabilities in a line with those of the teacher', async () => {
    // With p = (q + 1/K)/2 all correlations are 1.
    const theirs = rowsOf(Float64Array.from(fixed)).map((row) => softmax(row))
    const own = theirs.flatMap((row) => row.map((each) => Math.log((each + 1 / classes) / 2)))
    const found = await value({
      ...given,
      terms: [{ loss: 'dist' }],
      outputs: [{ shape, content: own }],
      teacher: [{ shape, content: fixed }],
    })
    expect(Math.abs(found.value)).toBeLessThan(1e-5)
  })

  it('dkd of a mixture of equal shares takes both as the label', async () => {
    const halves = [0, 0.5, 0, 0.5]
    const found = await value({
      ...given,
      outputs: [{ shape: [1, 4], content: [1, 2, 3, 4] }],
      teacher: [{ shape: [1, 4], content: [0, 1, -1, 2] }],
      targets: { shape: [1, 4], content: halves },
      facts: { batch: 1, classes },
      terms: [{ loss: 'dkd', temperature: 1, beta: 0 }],
    })
    const pair = (row: readonly number[]) => {
      const p = softmax(row)
      return [p[1]! + p[3]!, p[0]! + p[2]!]
    }
    const expected = kullbackLeibler(pair([0, 1, -1, 2]), pair([1, 2, 3, 4]))
    expect(Math.abs(found.value - expected)).toBeLessThan(1e-6)
  })

  it.each(['cross-entropy', 'teacher-free'])(
    '%s is zero, with its gradient, for a batch without labels',
    async (loss) => {
      for (const setting of [unlabelled, tagged]) {
        const { shape } = setting.targets
        const targets = { shape, content: new Array(shape[0]! * shape[1]!).fill(0) }
        const found = await value({ ...setting, targets, terms: [{ loss }] })
        expect(Math.abs(found.value)).toBe(0)
        expect(gradientOf(found).every((each) => Math.abs(each) === 0)).toBe(true)
      }
    },
  )

  it.each(['kl', 'dkd', 'dist', 'sequence', 'mse'])(
    '%s is zero where no position counts',
    async (loss) => {
      const targets = { shape: [6, classes], content: new Array(24).fill(0) }
      const terms = [{ loss, ...(loss === 'dist' ? { gamma: 0 } : {}) }]
      const found = await value({
        ...tagged,
        targets,
        terms: [...terms, { loss: 'cross-entropy' }],
      })
      expect(Math.abs(found.value)).toBe(0)
      expect(gradientOf(found).every((each) => Math.abs(each) === 0)).toBe(true)
    },
  )

  it.each([
    ['kl', { standardise: true }],
    ['dkd', { temperature: 1 }],
    ['dist', {}],
    ['teacher-free', {}],
    ['sequence', {}],
  ])(
    '%s %o stays finite for logits of any size, equal ones, and one sample',
    async (loss, options) => {
      for (const size of [batch, 1])
        for (const scale of [0, 1, 1e4])
          for (const other of [0, 1e4]) {
            const of = (factor: number) => [
              {
                shape: [size, classes],
                content: fixed.slice(0, size * classes).map((each) => factor * each),
              },
            ]
            const found = await value({
              outputs: of(scale),
              teacher: of(-other),
              targets: { shape: [size, classes], content: oneHot(labels.slice(0, size)) },
              facts: { batch: size, classes },
              terms: [{ loss, ...options }],
            })
            expect([found.value, ...gradientOf(found)].every(Number.isFinite)).toBe(true)
          }
    },
  )

  it.each([
    [{ loss: 'kl', temperature: 0 }, 'Too small'],
    [{ loss: 'kl', temperature: { from: 4, to: 0 } }, 'Too small'],
    [{ loss: 'dkd', temperature: -1 }, 'Too small'],
    [{ loss: 'dkd', alpha: 0, beta: 0 }, 'alpha and beta must not both be 0'],
    [{ loss: 'dist', beta: 0, gamma: 0 }, 'beta and gamma must not both be 0'],
    [{ loss: 'teacher-free', share: 1 }, 'Too big'],
  ])('refuse %o', (options, message) => {
    expect(JSON.stringify(lossOptions.safeParse(options).error?.issues)).toContain(message)
  })
})
