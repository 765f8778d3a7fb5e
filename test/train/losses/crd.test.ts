import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { inferShapes } from '../../../runtime/shapes.ts'
import { onnx } from '../../../train/engines/onnx.ts'
import { optimizerOptions } from '../../../train/options.ts'
import { Stepper, type StepperSettings } from '../../../train/stepper.ts'
import {
  computedLoss,
  expectLoss,
  holding,
  type LossCase,
  parsed,
  type Tensors,
} from '../loss-harness.ts'
import { layer, logSoftmax, rowOf, type Shaped, shaped, softplus, sum, unit } from './layers.ts'

const [batch, samples, dimension, count] = [3, 7, 4, 5]
const [own, theirs] = [
  [batch, 2, 2, 2],
  [batch, 3],
]
const indices = [5, 0, 2]
const terms = (options = {}) => [
  {
    loss: 'crd',
    taps: [{ teacher: 't', student: 's' }],
    dimension,
    negatives: count,
    temperature: 0.5,
    ...options,
  },
]

const pooled = (x: Float64Array): Shaped =>
  shaped(
    Float64Array.from({ length: batch * 2 }, (_, row) => sum(x.subarray(row * 4, row * 4 + 4)) / 4),
    [batch, 2],
  )

const known = new WeakMap<Tensors, number[][][]>()

/** Both sides' unit vectors: the student's, the teacher's. */
function vectors(x: Tensors): number[][][] {
  const found = known.get(x) ?? computed(x)
  known.set(x, found)
  return found
}

function computed(x: Tensors): number[][][] {
  const heads = [
    layer(x, 'crd.pair0.student.head', pooled(x['student/s']!)),
    layer(x, 'crd.pair0.teacher.head', shaped(x['teacher/t']!, theirs)),
  ]
  return heads.map((head) => indices.map((_, row) => unit(rowOf(head, row))))
}

const dot = (a: readonly number[], b: readonly number[]) => sum(a.map((value, i) => value * b[i]!))
const bankOf = (x: Tensors, side: number) => shaped(x[`memory${side}`]!, [samples, dimension])

/** eˢ of one side's sample to the negatives in the other side's memory, its own left in. */
const scores = (x: Tensors, side: number, row: number): number[] =>
  [...x.drawn0!].map(
    (place) => dot(vectors(x)[side]![row]!, rowOf(bankOf(x, 1 - side), place)) / 0.5,
  )

const constantOf = (x: Tensors, side: number): number =>
  sum(indices.flatMap((_, row) => scores(x, side, row).map(Math.exp))) / (batch * count)

function noiseContrast(x: Tensors, constants: readonly number[]): number {
  let loss = 0
  for (const side of [0, 1])
    for (const [row, place] of indices.entries()) {
      const bar = Math.log(count * constants[side]!)
      const positive = dot(vectors(x)[side]![row]!, rowOf(bankOf(x, 1 - side), place)) / 0.5
      // -log h = log(1 + e^(bar - s)), -log(1 - h) = log(1 + e^(s - bar))
      loss += softplus(bar - positive)
      for (const [index, score] of scores(x, side, row).entries())
        if (x.drawn0![index] !== place) loss += softplus(score - bar)
    }
  return loss / batch
}

/** What both banks hold afterwards. */
const remembered = (x: Tensors): Float64Array[] =>
  [0, 1].map((side) => {
    const bank = Float64Array.from(x[`memory${side}`]!)
    for (const [row, place] of indices.entries()) {
      const old = rowOf(bankOf(x, side), place)
      const mixed = old.map((value, i) => 0.5 * value + 0.5 * vectors(x)[side]![row]![i]!)
      bank.set(unit(mixed), place * dimension)
    }
    return bank
  })

const base = {
  taps: { s: { shape: own } },
  teacherTaps: { t: { shape: theirs } },
  indices,
  facts: { batch, samples },
}

const cases: readonly LossCase[] = [
  {
    title: 'noise contrast at the first step, which sets the constants',
    ...base,
    terms: terms(),
    expected: holding((x, held) => noiseContrast(x, [constantOf(held, 0), constantOf(held, 1)])),
    remembered: (x) => [
      ...remembered(x),
      ...[0, 1].map((side) => Float64Array.of(constantOf(x, side))),
    ],
  },
  {
    title: 'noise contrast at a later step, which keeps them',
    ...base,
    terms: terms(),
    memories: [undefined, undefined, [2], [0.7]],
    expected: (x) => noiseContrast(x, [x.memory2![0]!, x.memory3![0]!]),
    remembered: (x) => [...remembered(x), Float64Array.of(2), Float64Array.of(0.7)],
  },
  {
    title: 'the own sample among all',
    ...base,
    terms: terms({ form: 'info-nce' }),
    expected: (x) =>
      sum(
        [0, 1].flatMap((side) =>
          indices.map((place, row) => {
            const positive = dot(vectors(x)[side]![row]!, rowOf(bankOf(x, 1 - side), place)) / 0.5
            const others = scores(x, side, row).filter((_, index) => x.drawn0![index] !== place)
            return -logSoftmax([positive, ...others])[0]! / batch
          }),
        ),
      ),
    remembered,
  },
]

describe('contrastive representation distillation', () => {
  it.each(cases)('is what the formula says, with its gradient: $title', expectLoss)

  it('draws a sample that is its own negative', async () => {
    // Otherwise the cases would say nothing of such a one.
    const { inputs } = await computedLoss(cases[0]!)
    expect([...inputs.drawn0!].some((place) => indices.includes(place))).toBe(true)
  })

  it('is finite for zeros, a single sample and no other to tell it from', async () => {
    const { value, gradients, memories } = await computedLoss({
      title: 'zeros',
      terms: terms(),
      taps: { s: { shape: [1, 2], content: [0, 0] } },
      teacherTaps: { t: { shape: [1, 3], content: [0, 0, 0] } },
      indices: [0],
      facts: { batch: 1, samples: 1 },
      expected: () => 0,
    })
    const all = [value, ...Object.values(gradients), ...memories].flatMap((values) =>
      typeof values === 'number' ? [values] : [...Array.from(values)],
    )
    expect(all.every(Number.isFinite)).toBe(true)
  })

  it('remembers vectors of length 1', async () => {
    const { memories } = await computedLoss(cases[0]!)
    const bank = shaped(Float64Array.from(Array.from(memories[0]!)), [samples, dimension])
    for (const place of indices) expect(Math.hypot(...rowOf(bank, place))).toBeCloseTo(1, 5)
  })
})

describe('the memory of the contrast', () => {
  const taught = [{ name: 't', shape: [3] }]
  const forward = {
    ...{ batch: 4, samples: 12, freeze: [], batchStatistics: true, dropout: true },
    taught: { outputs: 1, taps: taught },
  }

  /** Takes 12 steps; gives all vectors. */
  async function stepped(engine: StepperSettings['engine'], mostSteps = 1) {
    const model = buildArchitecture(
      { architecture: 'mlp', hidden: [6] },
      { ...oneInput([5], 2), seed: 1 },
    )
    await inferShapes(model)
    const hidden = model.graph.nodes.find(({ opType }) => opType === 'Relu')!.output().name
    const taps = [{ teacher: 't', student: hidden }]
    const stepper = await Stepper.open({
      definition: {
        model,
        forward: { ...forward, losses: parsed([{ loss: 'crd', taps, dimension: 4 }]) },
        update: { optimizer: optimizerOptions.parse({ name: 'sgd', rate: 0.1 }) },
      },
      ...{ engine, mostSteps, seed: 9, steps: 100, rate: () => 0.1 },
      options: { provider: 'cpu', threads: 1, sharesCores: false, log: () => undefined },
    })
    try {
      const before = stepper.vectors.memory0!.slice()
      for (let number = 0; number < 12; number++) {
        const source = random(4, number)
        const noise = (size: number) => Float32Array.from({ length: size }, () => source.normal())
        // The last samples never come.
        const indices = Uint32Array.from({ length: 4 }, (_, row) => (number + row * 3) % 10)
        const answers = [noise(8), noise(12)]
        await stepper.take(number, { inputs: [noise(20)], size: 4, indices }, answers)
      }
      await stepper.flush()
      const vectors = Object.entries(stepper.vectors).map(([name, vector]) => [name, [...vector]])
      return { before, vectors: Object.fromEntries(vectors), inPlace: stepper.graph.inPlace }
    } finally {
      await stepper.dispose()
    }
  }

  it('is written over in its place, with the same numbers as in a copy', async () => {
    const copying: StepperSettings['engine'] = {
      ...onnx,
      async step(...given) {
        const runner = await onnx.step(...given)
        return { ...runner, graph: { ...runner.graph, inPlace: new Set() } }
      },
    }
    const { before, vectors, inPlace } = await stepped(onnx)
    expect([...inPlace]).toEqual(expect.arrayContaining(['memory0', 'memory1']))
    expect((await stepped(copying)).vectors).toEqual(vectors)
    // Several steps a run.
    expect((await stepped(onnx, 50)).vectors).toEqual(vectors)
    const rows = (bank: ArrayLike<number>) =>
      Array.from({ length: 12 }, (_, row) => Array.from(bank).slice(row * 4, row * 4 + 4))
    const [old, now] = [rows(before), rows(vectors.memory0)]
    for (const row of [10, 11]) expect(now[row]).toEqual(old[row])
    for (let row = 0; row < 10; row++) expect(Math.hypot(...now[row]!)).toBeCloseTo(1, 5)
  })
})
