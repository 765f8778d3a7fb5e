// What is added to logits after a training, on ONNX Runtime.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { softmax } from '../../../base/statistics.ts'
import type { Splits } from '../../../data/dataset.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { parseModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { predict } from '../../../runtime/predict.ts'
import {
  type BiasOptions,
  biasOptions,
  checkBias,
  correctBias,
  matchMeans,
  meanProbabilities,
  priorShift,
} from '../../../stages/distill/bias-correction.ts'
import { reorderLogits, shiftLogits } from '../../../stages/distill/shift-logits.ts'
import { tasks } from '../../../tasks/index.ts'
import { toLogits } from '../../../tasks/outputs.ts'
import { classes, contextOf, data, shape } from '../support.ts'

const mlp = (hidden: number, seed: number): Model =>
  buildArchitecture(
    { architecture: 'mlp', hidden: [hidden] },
    { ...oneInput(shape, classes), seed },
  )

const weights = tensorOf(
  'float32',
  [64, 4],
  Float32Array.from({ length: 256 }, (_, at) => Math.sin(at)),
)
const bias = tensorOf('float32', [4], [0.5, -0.5, 1, 0])

/** A model of the samples that ends with what is written. */
function ending(
  write: (g: Builder, x: Value) => Value,
  dims: readonly (number | string)[] = ['N', 4],
) {
  const { model, g } = newModel('ending')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 1, 8, 8] })
  g.output('y', write(g, g.Flatten(x)), { dtype: 'float32', shape: dims })
  return model
}

const gemm = (g: Builder, x: Value) => g.Gemm(x, weights, bias)
const shift = [0, 3.5, -1.25, 0]
const nodes = (model: Model) => model.graph.nodes.length
const outputsOf = async (model: Model) =>
  (await predict(parseModel(serializeModel(model)), data.test)).outputs

describe('the logits', () => {
  it.each<[string, Model, number]>([
    ['a Gemm with a bias', ending(gemm), 0],
    ['a scaled bias', ending((g, x) => g.Gemm(x, weights, bias, { beta: 0.5 })), 0],
    ['an Add of a constant', ending((g, x) => g.Add(g.MatMul(x, weights), bias)), 0],
    [
      'a Gemm behind which the answer is only reshaped',
      ending((g, x) => g.Identity(gemm(g, x))),
      0,
    ],
    ['a Gemm without a bias', ending((g, x) => g.Gemm(x, weights)), 1],
    ['anything else', ending((g, x) => g.Mul(gemm(g, x), 2)), 1],
    [
      'logits that more reads',
      ending((g, x) => {
        const z = gemm(g, x)
        return g.Add(z, g.Identity(z))
      }),
      1,
    ],
    [
      'classes along the second of four axes',
      ending((g, x) => g.Reshape(g.Mul(gemm(g, x), 2), [0, 4, 1, 1]), ['N', 4, 1, 1]),
      1,
    ],
  ])('of a model that ends with %s are changed by the shift', async (_, model, more) => {
    const before = await outputsOf(model)
    const print = serializeModel(model)
    const shifted = shiftLogits(model, shift)
    expect(nodes(shifted)).toBe(nodes(model) + more)
    expect(shifted.graph.outputs.map(({ name }) => name)).toEqual(['y'])
    const after = await outputsOf(shifted)
    // An Add is exact; a bias is rounded at another place of the sum.
    const expected = before.map((value, at) => value + shift[at % 4]!)
    if (more === 1) expect([...after]).toEqual([...expected])
    else
      for (const [at, value] of expected.entries())
        expect(Math.abs(after[at]! - value)).toBeLessThan(2e-6)
    expect(serializeModel(model)).toEqual(print)
  })

  it.each<[string, (g: Builder, z: Value) => Value, boolean]>([
    ['Softmax', (g, z) => g.Softmax(z), false],
    [
      'Softmax behind which the answer is reshaped',
      (g, z) => g.Reshape(g.Softmax(z), [-1, 4]),
      false,
    ],
    [
      'Softmax written out',
      (g, z) => {
        const e = g.Exp(z)
        return g.Div(e, g.ReduceSum(e, [1], { keepdims: 1 }))
      },
      false,
    ],
    ['LogSoftmax', (g, z) => g.LogSoftmax(z), true],
  ])('before a closing %s are changed', async (_, close, logarithms) => {
    for (const [added, before] of [
      [0, gemm],
      [1, (g: Builder, x: Value) => g.Mul(gemm(g, x), 2)],
    ] as const) {
      const logits = await outputsOf(ending(before))
      const model = ending((g, x) => close(g, before(g, x)))
      const shifted = shiftLogits(model, shift)
      expect(nodes(shifted)).toBe(nodes(model) + added)
      const after = await outputsOf(shifted)
      for (let row = 0; row < data.test.size; row++) {
        const expected = softmax(
          logits.subarray(row * 4, row * 4 + 4).map((value, at) => value + shift[at]!),
        )
        for (const [at, p] of expected.entries()) {
          const found = after[row * 4 + at]!
          expect(logarithms ? Math.exp(found) : found).toBeCloseTo(p, 5)
        }
      }
    }
  })

  it('are changed alone where the model has other outputs, and others share the bias', async () => {
    const model = ending((g, x) => {
      const shared = g.constant(bias)
      const other = g.Gemm(x, weights, shared)
      g.output('other', other)
      return g.Gemm(g.Mul(x, 2), weights, shared)
    })
    model.graph.outputs.reverse()
    const all = (one: Model) => predict(one, data.test, { outputs: 'all' })
    const [before, after] = [await all(model), await all(shiftLogits(model, shift))]
    for (let row = 0; row < data.test.size; row++)
      for (let at = 0; at < 8; at++)
        expect(after.row(row)[at]).toBeCloseTo(before.row(row)[at]! + (shift[at] ?? 0), 5)
  })

  it('are those of half precision, too', async () => {
    const half = 10
    const model = ending((g, x) => g.Cast(g.Cast(gemm(g, x), { to: half }), { to: half }))
    model.graph.outputs[0]!.type = { dtype: 'float16', shape: ['N', 4] }
    const [before, after] = [await outputsOf(model), await outputsOf(shiftLogits(model, shift))]
    for (const [at, value] of before.entries())
      expect(Math.abs(after[at]! - value - shift[at % 4]!)).toBeLessThan(0.01)
  })

  it.each<[string, Model, string]>([
    ['a Gemm', ending(gemm), 'Gather'],
    ['Softmax', ending((g, x) => g.Softmax(gemm(g, x))), 'Softmax'],
    [
      'classes along the second of four axes',
      ending((g, x) => g.Reshape(g.Mul(gemm(g, x), 2), [0, 4, 1, 1]), ['N', 4, 1, 1]),
      'Gather',
    ],
  ])('of a model that ends with %s are put into another order', async (_, model, last) => {
    const order = [2, 0, 3, 1]
    const turned = reorderLogits(model, order)
    expect(turned.graph.outputs.map(({ name }) => name)).toEqual(['y'])
    // Whoever looks for the logits before a Softmax finds it at the end still.
    expect(turned.graph.outputs[0]!.producer!.opType).toBe(last)
    const [before, after] = [await outputsOf(model), await outputsOf(turned)]
    for (const [at, value] of after.entries())
      expect(value).toBeCloseTo(before[at - (at % 4) + order[at % 4]!]!, 6)
  })

  it.each<[string, Model, RegExp]>([
    [
      'a Sigmoid',
      ending((g, x) => g.Sigmoid(gemm(g, x))),
      /the student ends with Sigmoid, before which there is no logit/,
    ],
    [
      'another number of classes',
      ending(
        (g, x) => g.Relu(g.Gemm(x, tensorOf('float32', [64, 2], new Float32Array(128)))),
        ['N', 2],
      ),
      /the logits \[N,2\] do not have 4 classes/,
    ],
  ])('cannot be changed of a model that ends with %s', (_, model, message) => {
    expect(() => shiftLogits(model, shift)).toThrow(UserError)
    expect(() => shiftLogits(model, shift)).toThrow(message)
  })
})

describe('matching means', () => {
  const predictions = (rows: readonly (readonly number[])[]) => ({
    ...{ size: rows.length, width: rows[0]!.length },
    row: (index: number) => Float32Array.from(rows[index]!),
  })

  it('finds the shift that two classes have in closed form', () => {
    const rows = [
      [0.3, -0.4],
      [1, 2],
    ]
    const wanted = meanProbabilities(predictions(rows.map(([a, b]) => [a! + 1.75, b!])), [0])
    expect(matchMeans(predictions(rows), [0], wanted)[0]).toBeCloseTo(1.75, 5)
  })

  it('undoes shifts of several classes at once', () => {
    const rows = Array.from({ length: 50 }, (_, row) =>
      [0, 1, 2, 3, 4].map((at) => 2 * Math.sin(row * 5 + at)),
    )
    const shifts = [2, -3, 0.5]
    const [first, second, third] = shifts as [number, number, number]
    const wanted = meanProbabilities(
      predictions(rows.map(([a, b, c, d, e]) => [a! + first, b!, c! + second, d!, e! + third])),
      [0, 2, 4],
    )
    const found = matchMeans(predictions(rows), [0, 2, 4], wanted)
    for (const [at, value] of shifts.entries()) expect(found[at]).toBeCloseTo(value, 4)
  })

  it('does without samples of which nothing is said', () => {
    const rows = [
      [Number.NaN, 0],
      [0, 0],
      [0, Number.POSITIVE_INFINITY],
    ]
    expect(meanProbabilities(predictions(rows), [1])).toEqual([0.5])
    expect(matchMeans(predictions(rows), [0], [0.5])[0]).toBeCloseTo(0, 6)
    expect(() => matchMeans(predictions(rows.slice(0, 1)), [0], [0.5])).toThrow(
      'not finite for any',
    )
  })

  it('says so where no shift does it', () => {
    expect(() => matchMeans(predictions([[0, 0]]), [0], [0], ['3'])).toThrow(
      "bias.by: no shift makes class '3' as likely as the teacher says: 0 — give a number",
    )
  })
})

it('tells the prior of classes that were taught more or less often', () => {
  const shifts = priorShift({ all: [50, 30, 20, 0], used: [10, 10, 0, 0] })
  expect(shifts).toEqual([0, Math.log(0.3 / 0.5), 0, 0])
})

describe('bias correction', () => {
  const parsed = (options: object) => biasOptions.parse(options)
  /** Says which quarter of an image is bright, after something was added to the logit of each class. */
  const quarters = (added: readonly number[]) => {
    const brightness = Float32Array.from({ length: 256 }, (_, at) => {
      const [pixel, label] = [Math.floor(at / 4), at % 4]
      return (pixel >> 5) * 2 + ((pixel >> 2) & 1) === label ? 0.25 : 0
    })
    const masks = tensorOf('float32', [64, 4], brightness)
    return ending((g, x) => g.Gemm(x, masks, tensorOf('float32', [4], added)))
  }
  const right = async (model: Model, wanted?: number) => {
    const { outputs } = await predict(model, data.test)
    let [count, hits] = [0, 0]
    for (const [row, label] of data.test.labels.entries()) {
      if (wanted !== undefined && label !== wanted) continue
      const values = [...outputs.subarray(row * 4, row * 4 + 4)]
      count++
      hits += Number(values.indexOf(Math.max(...values)) === label)
    }
    return hits / count
  }

  it('gives a class back that was hardly ever taught, without labels and without the test split', async () => {
    const teacher = quarters([0, 0, 0, 0])
    const student = quarters([0, 0, 0, -4])
    const test = new Proxy(data.test, {
      get: () => {
        throw new Error('the test split was read')
      },
    })
    const { context } = contextOf(teacher)
    const { model, summary } = await correctBias(
      student,
      parsed({ classes: ['d'] }),
      { ...data, test },
      context,
    )
    const validated = async (one: Model) =>
      meanProbabilities(await predict(one, data.validation), [3])[0]!
    expect(await validated(model)).toBeCloseTo(await validated(teacher), 4)
    expect(summary).toBe("added to the logits: +4.00 to 'd'")
    expect(await right(model, 3)).toBeGreaterThan(await right(student, 3))
    expect(await right(model)).toBeGreaterThan(await right(student))
  })

  it('adds a given number', async () => {
    const { context } = contextOf(mlp(8, 1))
    const options = parsed({ classes: ['b', 'd'], by: -1.5 })
    const { model, summary } = await correctBias(mlp(8, 1), options, data, context)
    expect(summary).toBe("added to the logits: -1.50 to 'b', -1.50 to 'd'")
    const [before, after] = [await outputsOf(mlp(8, 1)), await outputsOf(model)]
    for (const [at, value] of before.entries())
      expect(after[at]).toBeCloseTo(value - (at % 2 ? 1.5 : 0), 5)
  })

  it('corrects for what was taught more often than it is', async () => {
    const student = quarters([-4, 0, 0, 0])
    const counts = async () => ({ all: [64, 64, 64, 64], used: [16, 64, 64, 64] })
    const { context } = contextOf(student)
    const { model, summary } = await correctBias(
      student,
      parsed({ prior: true }),
      data,
      context,
      counts,
    )
    const [a, b] = [Math.log(0.25 / (16 / 208)), Math.log(0.25 / (64 / 208))].map((value) =>
      value.toFixed(2),
    )
    expect(summary).toBe(`added to the logits: +${a} to 'a', ${b} to 'b', ${b} to 'c', ${b} to 'd'`)
    expect(await right(model, 0)).toBeGreaterThan(await right(student, 0))
    const same = async () => ({ all: [2, 2, 2, 2], used: [1, 1, 1, 1] })
    const left = await correctBias(student, parsed({ prior: true }), data, context, same)
    expect(left).toEqual({ model: student, summary: 'nothing added to the logits' })
  })

  it('asks models of probabilities for the same', async () => {
    const closed = ending((g, x) => g.Softmax(gemm(g, x)))
    const { context } = contextOf(mlp(8, 1))
    const options = parsed({ classes: ['c'], by: 'auto' })
    const [one, two] = [
      await correctBias(closed, options, data, context),
      await correctBias(ending(gemm), options, data, context),
    ]
    expect(one.summary).toBe(two.summary)
    const normalised = tasks.classification.normaliser(one.model.graph)(
      await predict(one.model, data.test),
    )
    const expected = toLogits(await outputsOf(one.model), 'probabilities')
    expect([...normalised.row(5)]).toEqual([...expected.subarray(20, 24)])
  })

  it.each<[unknown, Splits, string]>([
    [
      { classes: ['e'] },
      data,
      "bias.classes: no such class: 'e' — did you mean 'a'? known: a, b, c, d",
    ],
    [
      { classes: ['a'] },
      { ...data, train: { ...data.train, targetWidth: 3 } },
      'bias: is for samples of one class each, which those of quarters are not — leave it out',
    ],
    [
      { prior: true },
      data,
      'bias.prior: all training samples are taught with, each class as often as there is — leave it out, or choose samples by transfer.select',
    ],
  ])('refuses %j in one line', async (options, splits, message) => {
    const { context } = contextOf(mlp(8, 1))
    const given = biasOptions.parse(options) as BiasOptions
    await expect(correctBias(mlp(8, 1), given, splits, context)).rejects.toThrow(
      new UserError(message),
    )
    if (!('prior' in given)) expect(() => checkBias(given, splits)).toThrow(message)
  })

  it.each([
    {},
    { classes: [] },
    { classes: ['a'], by: 'much' },
    { prior: false },
    { classes: ['a'], prior: true },
  ])('refuses %j by its schema', (options) =>
    expect(biasOptions.safeParse(options).success).toBe(false),
  )
})
