// Advice on a distillation: when each kind is given, and what it is measured by.
import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { newModel } from '../../../onnx/build.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { predictionsIn } from '../../../runtime/predict.ts'
import {
  advise,
  type DistillFacts,
  hottest,
  kinds,
  lastShares,
} from '../../../stages/distill/advice.ts'
import { adviseOn, lowBitsOf, softenedAt, surenessOf } from '../../../stages/distill/advise.ts'
import { distill } from '../../../stages/distill/index.ts'
import type { Truth } from '../../../tasks/task.ts'
import { type LossOptions, lossOptions } from '../../../train/losses.ts'
import { imagesOf } from '../../support/samples.ts'
import { classes, contextOf, data, shape } from '../support.ts'

const loss = (options: object): LossOptions => lossOptions.parse(options)
const [kl, labels, attention] = [
  loss({ loss: 'kl', temperature: 4 }),
  loss({ loss: 'cross-entropy' }),
  loss({ loss: 'attention-transfer', taps: 'auto', weight: 1000 }),
]
const epochsOf = (...terms: number[][]) =>
  terms.map((each, index) => ({ epoch: index + 1, loss: 1, score: 0.5, terms: each }))

/** Facts that give no cause for advice. */
const fine: DistillFacts = {
  phases: [{ losses: [kl, labels], epochs: epochsOf([3, 1], [2, 1], [1, 1]) }],
  hasAssistants: false,
  metric: 'top1',
  samples: 1000,
  student: { name: 'student', parameters: 1000, score: 0.9 },
  teacher: { name: 'the teacher', parameters: 8000, score: 0.92 },
  p: 0.2,
  sureness: { confidence: 0.93, right: 0.92, rightAtMost: 0.94, error: 0.02 },
  softened: { temperature: 4, largest: 0.6, said: 0.3 },
  augmented: { samples: 1000, plain: 0.95, changed: 0.93, p: 0.01 },
}
const withTaps = (...terms: number[][]) => ({
  phases: [{ losses: [kl, attention], epochs: epochsOf(...terms) }],
})
const far = { name: 'student', parameters: 650, score: 0.8 }
const sure = { confidence: 0.995, right: 0.99, rightAtMost: 0.995, error: 0.01 }

describe('advice', () => {
  it('is not given without cause', () => {
    expect(advise(fine)).toEqual([])
  })

  it.each([
    [
      'dominance',
      withTaps([5, 5], [1, 1], [2, 48]),
      /^feature loss dominates: 'attention-transfer' is 96\s% of the loss in the last epoch — lower its weight: 41\.7 in place of 1000 would make it half/,
    ],
    [
      'lowBits',
      { lowBits: 'its graph quantizes values in 3 places' },
      /^temperature too high for a low-bit student: .* 3 places, and 'kl' has T = 4 — use a temperature of 1/,
    ],
    [
      'capacity',
      { student: far },
      /^capacity gap: the teacher has 12\.3 times the parameters \(8\.00\sk to 650\), and the student keeps 87\s% of its accuracy .*'assistants: auto'/,
    ],
    [
      'overConfidence',
      { sureness: { confidence: 0.99, right: 0.92, rightAtMost: 0.94, error: 0.07 } },
      /^teacher over-confident: the teacher is sure to 99\s% and right in 92\s% \(calibration error 0\.0700 on 1000 validation samples\) — raise the temperature \(it is 4\)/,
    ],
    [
      'overConfidence',
      { sureness: sure, softened: { temperature: 4, largest: 0.97, said: 0.8 } },
      /gives its decision 99\.5\s% on average, and 97\s% at T = 4/,
    ],
    [
      'augmentation',
      { augmented: { samples: 1000, plain: 0.95, changed: 0.6, p: 1e-9 } },
      /^augmentation mismatch: on 1000 training samples the teacher has accuracy 95\.00\s%, .* 60\.00\s% \(p < 0\.0001\)/,
    ],
    [
      'better',
      { student: { ...far, score: 0.95 }, p: 0.01 },
      /^student better than its teacher: accuracy 95\.00\s% against 92\.00\s% on 1000 validation samples \(p = 0\.01\)/,
    ],
    [
      'silence',
      { softened: { temperature: 40, largest: 0.11, said: 0.002 } },
      /^teacher says nothing: at T = 40 the answers of the teacher are uniform but for 0\.20\s%/,
    ],
  ] as [string, Partial<DistillFacts>, RegExp][])('%s is given (%#)', (kind, facts, line) => {
    const all = { ...fine, ...facts }
    expect(kinds[kind]!(all)).toMatch(line)
    expect(advise(all)).toEqual([kinds[kind]!(all)])
  })

  it.each([
    ['dominance', withTaps([1, 99], [20, 80], [20, 80])],
    ['dominance', { phases: [{ losses: [attention], epochs: epochsOf([5]) }] }],
    ['dominance', { phases: [...withTaps([1, 99]).phases, ...fine.phases] }],
    // Of what is no loss on taps, dominating is what its weight says.
    ['dominance', { phases: [{ losses: [kl, labels], epochs: epochsOf([99, 1]) }] }],
    ['lowBits', { lowBits: 'coarse', phases: [{ losses: [labels], epochs: [] }] }],
    [
      'lowBits',
      {
        lowBits: 'coarse',
        phases: [{ losses: [loss({ loss: 'kl', temperature: 2 })], epochs: [] }],
      },
    ],
    ['capacity', { student: far, hasAssistants: true }],
    ['capacity', { student: { ...far, score: 0.91 } }],
    ['capacity', { student: { ...far, parameters: 900 } }],
    ['capacity', { student: undefined }],
    // Few samples: the error is not near 0, but the mean is not too high.
    [
      'overConfidence',
      { sureness: { confidence: 0.93, right: 0.9, rightAtMost: 0.96, error: 0.09 } },
    ],
    ['overConfidence', { sureness: sure }],
    ['augmentation', { augmented: { samples: 20, plain: 0.95, changed: 0.85, p: 0.5 } }],
    ['better', { student: { ...far, score: 0.95 }, p: 0.4 }],
    ['better', { student: { ...far, score: 0.95 }, p: null }],
  ] as [string, Partial<DistillFacts>][])('%s is not given (%#)', (kind, facts) => {
    expect(kinds[kind]!({ ...fine, ...facts })).toBeUndefined()
  })

  it('knows the hottest loss, also where temperatures change', () => {
    const falling = loss({ loss: 'dkd', temperature: { from: 8, to: 1 } })
    expect(hottest([{ losses: [kl, falling, labels], epochs: [] }])).toEqual({
      loss: 'dkd',
      temperature: 8,
    })
    // The temperature of a contrastive loss is about something else.
    expect(hottest([{ losses: [loss({ loss: 'crd', taps: 'auto' })], epochs: [] }])).toBe(undefined)
  })

  it('takes the shares over the last third, by size', () => {
    const epochs = epochsOf([9, 1], [9, 1], [9, 1], [9, 1], [-1, 1], [-5, 5])
    expect(lastShares({ losses: [kl, labels], epochs })).toEqual({ shares: [0.5, 0.5], epochs: 2 })
    // Penalties come behind the losses, and are none of them.
    expect(lastShares({ losses: [kl], epochs })).toEqual({ shares: [1], epochs: 2 })
    expect(lastShares({ losses: [kl, labels, kl], epochs })).toEqual({ shares: [], epochs: 0 })
  })
})

const answersOf = (rows: number[][]) =>
  predictionsIn(Float32Array.from(rows.flat()), [rows[0]!.length])
const truthOf = (...numbers: number[]) =>
  ({ labels: Int32Array.from(numbers), size: numbers.length }) as unknown as Truth

describe('measures', () => {
  it('how sure a classifier is', () => {
    const found = surenessOf(
      answersOf([
        [Math.log(9), 0],
        [0, Math.log(4)],
      ]),
      truthOf(0, 0),
    )!
    expect(found.confidence).toBeCloseTo(0.85, 6)
    expect(found.right).toBe(0.5)
    expect(found.error).toBeCloseTo((0.1 + 0.8) / 2, 6)
    expect(surenessOf(answersOf([[Number.NaN, 0]]), truthOf(0))).toBeUndefined()
  })

  it('what a temperature leaves of the answers', () => {
    const answers = answersOf([[2 * Math.log(3), 0]])
    const { largest, said } = softenedAt(2, answers)!
    expect(largest).toBeCloseTo(0.75, 6)
    const entropy = -(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25))
    expect(said).toBeCloseTo(1 - entropy / Math.LN2, 6)
    expect(softenedAt(1e4, answers)!.said).toBeLessThan(1e-6)
    expect(softenedAt(1, answersOf([[0], [1]]))).toBeUndefined()
  })

  it('whether a model is a low-bit one', () => {
    const weights = (values: (index: number) => number) => {
      const { model, g } = newModel('weights')
      const x = g.input('x', { dtype: 'float32', shape: ['N', 64] })
      const w = tensorOf(
        'float32',
        [64, 100],
        Float32Array.from({ length: 6400 }, (_, i) => values(i)),
      )
      g.output('y', g.MatMul(x, g.constant(w, 'w')), { dtype: 'float32', shape: ['N', 100] })
      return model
    }
    expect(lowBitsOf(weights((i) => Math.sin(i)))).toBeUndefined()
    expect(lowBitsOf(weights((i) => i % 7))).toMatch(/at most 16 levels/)
    // Other levels in every row.
    expect(lowBitsOf(weights((i) => Math.floor(i / 100) + (i % 3) / 9))).toMatch(/levels/)
    const { model, g } = newModel('quantized')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const q = g.QuantizeLinear(x, tensorOf('float32', [], [0.1]), tensorOf('int8', [], [0]))
    g.output(
      'y',
      g.DequantizeLinear(q, tensorOf('float32', [], [0.1]), tensorOf('int8', [], [0])),
      {
        dtype: 'float32',
        shape: ['N', 4],
      },
    )
    expect(lowBitsOf(model)).toBe('its graph quantizes values in 2 places')
  })
})

const mlp = (hidden: number, seed: number) =>
  buildArchitecture(
    { architecture: 'mlp', hidden: [hidden] },
    { ...oneInput(shape, classes), seed },
  )

describe('a distillation', () => {
  it('logs its advice and keeps it among the facts', async () => {
    const { context, messages } = contextOf(mlp(200, 1))
    const options = distill.options.parse({
      ...{ stage: 'distill', epochs: 1, batch: 32 },
      losses: [{ loss: 'kl', temperature: 1000 }],
    })
    const { facts } = await distill.run({ model: mlp(2, 2), facts: {} }, options, context)
    expect(facts.advice).toContainEqual(expect.stringMatching(/^teacher says nothing: at T = 1000/))
    for (const line of facts.advice!) expect(messages).toContain(`advice: ${line}`)
  })

  it('gets none where nobody teaches', async () => {
    const { context } = contextOf(mlp(200, 1))
    const distilled = { student: mlp(2, 2), teachers: [], hasAssistants: false, augment: undefined }
    const phases = [{ losses: [labels], epochs: [] }]
    expect(await adviseOn({ ...distilled, phases }, context)).toEqual([])
  })

  it('asks the teacher about augmented samples', async () => {
    // Class 1 is bright on the left, which erasing and flipping take away.
    const size = 200
    const pixels = Uint8Array.from({ length: size * 64 }, (_, index) =>
      Math.floor(index / 64) % 2 === 1 && index % 8 < 4 ? 255 : 0,
    )
    const samples = imagesOf(pixels, [1, 8, 8], {
      classes: ['dark', 'bright'],
      labels: Int32Array.from({ length: size }, (_, index) => index % 2),
    })
    const { model, g } = newModel('left')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 1, 8, 8] })
    const left = Float32Array.from({ length: 128 }, (_, i) =>
      i % 2 === 1 && (i >> 1) % 8 < 4 ? 1 : 0,
    )
    const flat = g.Reshape(x, [-1, 64])
    const logits = g.Add(
      g.MatMul(flat, tensorOf('float32', [64, 2], left)),
      tensorOf('float32', [2], [8, 0]),
    )
    g.output('y', logits, { dtype: 'float32', shape: ['N', 2] })
    const { context } = contextOf(model)
    const splits = { ...data, train: samples, validation: samples }
    const distilled = {
      student: model,
      teachers: [{ name: 'teacher', model, weight: 1 }],
      phases: [{ losses: [kl], epochs: [] }],
      hasAssistants: false,
    }
    const adviceFor = (augment: object) =>
      adviseOn({ ...distilled, augment }, { ...context, data: splits })
    expect(await adviceFor({ flip: true })).toContainEqual(
      expect.stringMatching(
        /^augmentation mismatch: on 200 training samples the teacher has accuracy 100\.00/,
      ),
    )
    for (const same of [{ noise: 0.01 }, { mixup: 1 }])
      expect((await adviceFor(same)).filter((line) => line.startsWith('augm'))).toEqual([])
  })
})
