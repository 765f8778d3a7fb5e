// Teachers as a training asks them: logits in the data's order, taps and gradients, and what is refused.
import { describe, expect, it } from '@jest/globals'
import { withClasses } from '../../../models/class-names.ts'
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { predict } from '../../../runtime/predict.ts'
import { tasks } from '../../../tasks/index.ts'
import { mixedData, numbersOf } from '../mixed-data.ts'
import { contextOf, data as quarters } from '../support.ts'
import {
  anew,
  answersOf,
  architecture,
  first,
  kept,
  member,
  softmaxOf,
  written,
} from './support.ts'

const data = mixedData(10)
const both = [
  ['from disk', kept],
  ['asked anew', anew],
] as const

/** v and the sum of its numbers: three logits that begin with 0.5, 1.5, 2. */
const three = (g: Builder, v: Value) =>
  g.Mul(g.Concat(v, g.ReduceSum(v, [1], { keepdims: 1 }), { axis: 1 }), 0.125)
const logitsOf = (sample: number) => {
  const [a, b] = numbersOf(sample, 0.5, 2)
  return [a!, b!, a! + b!].map((value) => value / 8)
}
const everySample = Array.from({ length: 10 }, (_, sample) => sample)

describe.each(both)('a teacher %s', (_, how) => {
  const ask = async (model: Model, options: Parameters<typeof answersOf>[3] = {}) => {
    const { context, messages } = contextOf(model)
    const answers = await answersOf([member('teacher', model)], data, context, { how, ...options })
    return { answers, messages: messages.filter((line) => !/^teacher answers/.test(line)) }
  }

  it.each<[string, (g: Builder, v: Value) => Value]>([
    ['logits', three],
    ['a Softmax', (g, v) => g.Softmax(three(g, v), { axis: 1 })],
    [
      'a Softmax behind Reshape and Cast',
      (g, v) => g.Cast(g.Reshape(g.Softmax(three(g, v), { axis: 1 }), [-1, 3]), { to: 1 }),
    ],
  ])('that ends with %s gives logits', async (_, write) => {
    const { answers, messages } = await ask(written(3, write))
    expect(answers).toEqual([everySample.map(logitsOf)])
    expect(messages).toEqual([])
  })

  it('whose probabilities are made by other operators gives their logarithms, which is said', async () => {
    const model = written(3, (g, v) => {
      const squares = g.Add(g.Mul(three(g, v), three(g, v)), 0.001)
      return g.Div(squares, g.ReduceSum(squares, [1], { keepdims: 1 }))
    })
    const { answers, messages } = await ask(model)
    for (const sample of everySample) {
      const squares = logitsOf(sample).map((value) => value ** 2 + 0.001)
      const sum = squares.reduce((all, value) => all + value, 0)
      for (const [place, z] of answers[0]![sample]!.entries())
        expect(z).toBeCloseTo(Math.log(squares[place]! / sum), 4)
    }
    expect(messages).toEqual([
      "teacher: its output 'y' holds probabilities; their logarithms are learned from",
    ])
  })

  it('that is sure takes no logarithm of 0', async () => {
    const { answers } = await ask(
      written(3, (g, v) => g.Pad(g.Mul(g.Slice(v, [0], [1], [1]), 0), [0, 0, 0, 2], 0.5)),
    )
    const floor = Math.fround(Math.log(1e-7))
    expect(answers[0]![0]).toEqual([floor, Math.fround(Math.log(0.5)), Math.fround(Math.log(0.5))])
  })

  it('of a yes or no each gives what goes into its Sigmoid, or the logits of probabilities', async () => {
    const asked = { ...first, binary: true }
    const closed = await ask(
      written(3, (g, v) => g.Sigmoid(three(g, v))),
      { asked },
    )
    expect(closed).toEqual({ answers: [everySample.map(logitsOf)], messages: [] })
    const open = await ask(
      written(3, (g, v) => g.Reciprocal(g.Add(g.Exp(g.Neg(three(g, v))), 1))),
      { asked },
    )
    expect(open.messages).toHaveLength(1)
    // Beyond 16 a probability is 1 in float32, and 1e-7 stands for what is left.
    expect(open.answers[0]![0]![0]).toBeCloseTo(logitsOf(0)[0]!, 4)
    expect(open.answers[0]![9]![2]).toBeCloseTo(Math.log(1 / 1e-7), 4)
  })

  it('that states its classes in another order is put into the order of the data', async () => {
    const model = withClasses(written(3, three), ['C', 'a', 'b'])
    const { answers, messages } = await ask(model)
    const wanted = everySample.map((sample) => {
      const [c, a, b] = logitsOf(sample)
      return [a!, b!, c!]
    })
    expect(answers).toEqual([wanted])
    expect(messages).toEqual(["teacher: its classes are put into the order of the data's, by name"])
  })

  it.each([
    ['the same names', ['a', 'b', 'c']],
    ['numbers alone', ['LABEL_2', 'LABEL_0', 'LABEL_1']],
  ])('that states %s stays as it is', async (_, names) => {
    const { answers, messages } = await ask(withClasses(written(3, three), names))
    expect(answers).toEqual([everySample.map(logitsOf)])
    expect(messages).toEqual([])
  })

  it.each([
    [
      'other classes',
      ['a', 'b', 'd'],
      "teacher: was made for other classes: it states a, b, d, …, and no 'c' — use a teacher for the same classes, or name them alike",
    ],
    [
      'more classes',
      ['a', 'b', 'c', 'd'],
      'teacher: was made for other classes: it states 4 of them, 3 are wanted — use a teacher for the same classes',
    ],
  ])('that states %s is refused', async (_, names, message) => {
    await expect(ask(withClasses(written(3, three), names))).rejects.toThrow(message)
  })

  it('with another number of outputs is refused', async () => {
    await expect(ask(written(2, (g, v) => g.Neg(v)))).rejects.toThrow(
      'teacher: its output does not fit the data: 2 numbers a sample for 3 classes of made up — use a teacher for the same classes',
    )
  })

  it.each([
    // The logarithm of what is below zero for the samples from the third on.
    ['NaN', (g: Builder, v: Value) => g.Log(g.Sub(8, g.Mul(three(g, v), 2)))],
    ['Infinity', (g: Builder, v: Value) => g.Exp(g.Mul(three(g, v), 11))],
  ])('that answers %s is refused', async (value, write) => {
    await expect(ask(written(3, write))).rejects.toThrow(
      new RegExp(
        `^teacher: 'y' is not finite for training sample \\d+: ${value} — use another teacher, or leave the sample out$`,
      ),
    )
  })

  it('gives values inside it as they are, and its gradient', async () => {
    const { model, g } = newModel('teacher')
    const v = g.input('v', { dtype: 'float32', shape: ['N', 2] })
    const weights = tensorOf('float32', [2, 3], [0.1, -0.2, 0.3, 0.25, 0, -0.05])
    const hidden = g.Tanh(g.Mul(v, 0.01))
    hidden.name = 'hidden'
    const p = g.Softmax(g.MatMul(hidden, weights), { axis: 1 })
    g.output('p', p, { dtype: 'float32', shape: ['N', 3] })
    const taps = [
      { name: 'hidden', shape: [2] },
      { name: 'p', shape: [3] },
    ]
    const z = (a: number, b: number) => {
      const [s, t] = [Math.tanh(a / 100), Math.tanh(b / 100)]
      return [0.1 * s + 0.25 * t, -0.2 * s, 0.3 * s - 0.05 * t]
    }
    const { answers } = await ask(model, { asked: { ...first, taps, gradient: true } })
    const none = await ask(model, { asked: { ...first, outputs: 'none', taps, gradient: true } })
    const tapsAlone = await ask(model, { asked: { ...first, outputs: 'none', taps } })
    expect(none.answers).toEqual(answers.slice(1))
    for (const [place, values] of tapsAlone.answers.entries())
      for (const [sample, row] of values.entries())
        for (const [at, value] of row.entries())
          expect(value).toBeCloseTo(none.answers[place]![sample]![at]!, 6)
    for (const sample of everySample) {
      const [a, b] = numbersOf(sample, 0.5, 2) as [number, number]
      const logits = z(a, b)
      const wanted = [logits, [Math.tanh(a / 100), Math.tanh(b / 100)], softmaxOf(logits)]
      const top = logits.indexOf(Math.max(...logits))
      const step = 1e-3
      wanted.push([
        (z(a + step, b)[top]! - z(a - step, b)[top]!) / (2 * step),
        (z(a, b + step)[top]! - z(a, b - step)[top]!) / (2 * step),
      ])
      for (const [place, row] of wanted.entries())
        for (const [at, value] of row.entries())
          expect(answers[place]![sample]![at]).toBeCloseTo(value, 5)
    }
  })

  it('that lacks a tapped value, or has it in another shape, is refused', async () => {
    const model = written(3, three)
    const tapping = (name: string, ...shape: number[]) =>
      ask(model, { asked: { ...first, taps: [{ name, shape }] } })
    await expect(tapping('w', 2)).rejects.toThrow(/^teacher: has no value of that name: 'w' — .*$/)
    await expect(tapping('v', 2, 2)).rejects.toThrow(
      "teacher: 'v' has 2 numbers a sample, not [2,2] — tap another value",
    )
  })
})

describe('several teachers', () => {
  const convolutional = architecture({ architecture: 'lenet', channels: [4, 6] }, 1)
  const dense = architecture({ architecture: 'mlp', hidden: [20] }, 2)
  const residual = architecture({ architecture: 'resnet', depth: 8, width: 4 }, 3)
  const members = [
    member('lenet', convolutional),
    member('mlp', dense, { weight: 3 }),
    member('resnet', residual),
  ]
  const samples = { ...quarters.train, size: 40 }

  it.each(both)('of different architectures are combined, %s', async (_, how) => {
    const { context } = contextOf(convolutional)
    const [found] = await answersOf(members, samples, context, { how })
    const each = await Promise.all(members.map(({ model }) => predict(model, samples)))
    for (let sample = 0; sample < samples.size; sample++) {
      const sum = each.reduce<number[]>(
        (all, { row }) => [...row(sample)].map((z, place) => (all[place] ?? 0) + z / 3),
        [],
      )
      const wanted = softmaxOf(sum)
      for (const [place, value] of softmaxOf(found![sample]!).entries())
        expect(value).toBeCloseTo(wanted[place]!, 5)
    }
  })

  it('say the same from disk and asked anew, bit by bit, whatever the rule', async () => {
    const { context, messages } = contextOf(convolutional)
    for (const combine of [{ by: 'weighted' }, { by: 'confidence' }, { by: 'best' }]) {
      const fromDisk = await answersOf(members, samples, context, { combine })
      expect(await answersOf(members, samples, context, { combine, how: anew })).toEqual(fromDisk)
    }
    // Each is asked once, whatever is made of its answers.
    expect(messages).toEqual([
      'lenet answers 40 training samples',
      'mlp answers 40 training samples',
      'resnet answers 40 training samples',
    ])
  })

  it('may read other inputs of the data', async () => {
    const { model, g } = newModel('other')
    const ids = g.input('text', { dtype: 'int64', shape: ['N', 3] })
    g.output('y', g.Mul(g.Cast(ids, { to: 1 }), 0.125), { dtype: 'float32', shape: ['N', 3] })
    const { context } = contextOf(model)
    const [found] = await answersOf(
      [member('numbers', written(3, three)), member('text', model)],
      data,
      context,
    )
    for (const sample of everySample) {
      const text = numbersOf(sample, 1, 3)
      const wanted = softmaxOf(logitsOf(sample).map((z, place) => (z + text[place]! / 8) / 2))
      for (const [place, value] of softmaxOf(found![sample]!).entries())
        expect(value).toBeCloseTo(wanted[place]!, 5)
    }
  })

  it('are each put into the order of the data, specialists with what stands for the rest', async () => {
    const { context } = contextOf(dense)
    const generalist = written(3, three)
    const turned = withClasses(
      written(3, (g, v) => {
        const z = three(g, v)
        return g.Concat(g.Slice(z, [2], [3], [1]), g.Slice(z, [0], [2], [1]), { axis: 1 })
      }),
      ['c', 'a', 'b'],
    )
    const [found] = await answersOf(
      [member('one', generalist), member('turned', turned)],
      data,
      context,
    )
    const [alone] = await answersOf([member('one', generalist)], data, context)
    for (const sample of everySample)
      for (const [place, value] of softmaxOf(found![sample]!).entries())
        expect(value).toBeCloseTo(softmaxOf(alone![sample]!)[place]!, 5)
    // c is always the likeliest; the specialist knows c and a, and states them the other way round.
    const constant = (values: readonly number[]) =>
      written(values.length, (g, v) =>
        g.Add(g.Mul(g.Slice(v, [0], [1], [1]), 0), tensorOf('float32', [1, values.length], values)),
      )
    const special = (model: Model, ...classes: number[]) =>
      answersOf([member('one', generalist), member('special', model, { classes })], data, context, {
        combine: { by: 'specialists' },
      })
    const straight = await special(withClasses(constant([1, 3, 0]), ['c', 'a', 'rest']), 2, 0)
    const reversed = await special(withClasses(constant([3, 1, 0]), ['a', 'c', 'rest']), 2, 0)
    const nearly = (values: number[][][]) =>
      values[0]!.map((row) => row.map((value) => Math.round(value * 1e5)))
    expect(nearly(reversed)).toEqual(nearly(straight))
    expect(nearly(straight)).not.toEqual(nearly([alone!]))
  })

  it('whose answers do not go together are refused', async () => {
    const { context } = contextOf(dense)
    const matching = { ...context, task: tasks.match }
    const wide = member(
      'wide',
      written(3, (g, v) => three(g, v)),
    )
    const narrow = member(
      'narrow',
      written(2, (g, v) => g.Neg(v)),
    )
    await expect(answersOf([wide, narrow], data, matching)).rejects.toThrow(
      'narrow: its answers do not go with those of wide: 2 and 3 numbers a sample — use teachers with the same outputs',
    )
    await expect(answersOf([wide, narrow], data, context)).rejects.toThrow(
      'narrow: its output does not fit the data: 2 numbers a sample for 3 classes of made up — use a teacher for the same classes',
    )
    await expect(
      answersOf([wide, { ...narrow, classes: [0, 1] }], data, context, {
        combine: { by: 'specialists' },
      }),
    ).rejects.toThrow(
      'narrow: its output does not fit the data: 2 numbers a sample for 3 classes of made up, of which it knows 2 — use a teacher for the same classes',
    )
  })

  it('of words are combined word by word, by the label of each', async () => {
    const { context } = contextOf(dense)
    const tagging = { ...context, task: tasks.tagging }
    // Two words of three classes; data has a label for the first word of a sample alone.
    const words = (...values: number[]) =>
      written(6, (g, v) => {
        const zero = g.Mul(g.Slice(v, [0], [1], [1]), 0)
        return g.Reshape(g.Add(zero, tensorOf('float32', [1, 6], values)), [-1, 2, 3])
      })
    const [one, other] = [words(4, 0, 0, 4, 0, 0), words(0, 4, 0, 0, 5, 0)]
    const [found] = await answersOf([member('one', one), member('other', other)], data, tagging, {
      combine: { by: 'best' },
    })
    for (const sample of everySample) {
      const row = found![sample]!
      const [first, second] = [softmaxOf(row.slice(0, 3)), softmaxOf(row.slice(3))]
      expect(first.indexOf(Math.max(...first))).toBe(sample % 2)
      // The second word has no label: the surer one is taken.
      expect(second.indexOf(Math.max(...second))).toBe(1)
    }
  })

  it('for a task without classes give the mean of their numbers', async () => {
    const { context } = contextOf(dense)
    const matching = { ...context, task: tasks.match }
    const scaled = (factor: number) =>
      member(
        `times ${factor}`,
        written(2, (g, v) => g.Mul(v, factor)),
        { weight: factor },
      )
    const members = [scaled(1), scaled(3)]
    const [mean] = await answersOf(members, data, matching)
    expect(mean).toEqual(
      everySample.map((sample) => numbersOf(sample, 0.5, 2).map((value) => 2 * value)),
    )
    const asked = { ...first, outputs: 'all' } as const
    const [weighted] = await answersOf(members, data, matching, {
      ...{ asked, combine: { by: 'weighted' } },
    })
    expect(weighted).toEqual(
      everySample.map((sample) => numbersOf(sample, 0.5, 2).map((value) => 2.5 * value)),
    )
  })
})
