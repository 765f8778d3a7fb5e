// Fake quantization: forward as ONNX rounds, gradients as the papers have them, against formulas in float64.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { elements, numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import {
  type FakeQuantized,
  largestSteps,
  learnedClipping,
  learnedSteps,
  observedSteps,
  quantizerNotes,
  ternary,
  type Writing,
} from '../../train/fake-quantize.ts'
import { forwardPass } from '../../train/forward.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { differentiate } from '../../train/training-graph.ts'

const [rows, columns] = [6, 5]
const count = rows * columns

/** Weights `[6, 5]` that are quantized and multiplied with what is fed; gradients of Σ y² / 2 over the batch of one. */
async function gradientsOf(write: (writing: Writing, x: Value) => FakeQuantized) {
  const { model, g } = newModel('fake', 21)
  const source = random(3, 'fake')
  const weights = Float32Array.from({ length: count }, () => source.normal())
  const notes = quantizerNotes()
  const w = g.graph.addInitializer('w', tensorOf('float32', [rows, columns], weights))
  const x = g.input('x', { dtype: 'float32', shape: ['N', count] })
  const done = write({ g, notes, opset: 21 }, w)
  g.output('y', g.Mul(x, g.Reshape(done.output, [1, count])), {
    dtype: 'float32',
    shape: ['N', count],
  })
  const fed = Float32Array.from({ length: count }, () => source.normal())
  const target = Float32Array.from({ length: count }, () => source.normal())
  const quantizers = { ...notes, momentum: 0.9 }
  const pass = await forwardPass(model, {
    ...{
      batch: 1,
      losses: [{ loss: 'squared-error', weight: 1 }],
      freeze: [],
      quantizers,
      seed: 1,
    },
    ...{ targetWidth: count, batchStatistics: true, dropout: true },
  } as unknown as Parameters<typeof forwardPass>[1])
  const found = differentiate(pass, standard)
  const names = pass.weights.map(({ name }, index) => {
    pass.g.output(`gradient ${name}`, found[index]!)
    return name
  })
  pass.g.output('loss', pass.loss)
  const feeds = {
    x: tensorOf('float32', [1, count], fed),
    values: tensorOf('float32', [1, count], target),
    ...(pass.feeds.numbers[0] && { [pass.feeds.numbers[0].name]: tensorOf('float32', [], [0.9]) }),
  }
  const results = await withSession(pass.model, { optimization: 'disabled' }, (s) => s.run(feeds))
  const quantized = await contentOf(model, done.output.name)
  const upstream = [...quantized].map(
    (value, at) => (2 / count) * (fed[at]! * value - target[at]!) * fed[at]!,
  )
  const gradients = new Map(names.map((name) => [name, numbers(results[`gradient ${name}`]!)]))
  return { weights: [...weights], quantized, upstream, gradients, notes }
}

/** A value that depends on constants alone. */
async function contentOf(model: Model, name: string): Promise<Float32Array> {
  const { graph } = model
  const value = graph.nodes.map((node) => node.output()).find((each) => each.name === name)!
  if (!graph.outputs.includes(value)) graph.outputs.push(value)
  const x = tensorOf('float32', [1, count], new Float32Array(count))
  const results = await withSession(model, {}, (session) => session.run({ x }, [name]))
  return elements(results[name]!, 'float32')
}

const expectClose = (found: readonly number[], expected: readonly number[]): void => {
  const norm = Math.hypot(...expected)
  const distance = Math.hypot(...found.map((value, at) => value - expected[at]!))
  expect(found).toHaveLength(expected.length)
  expect(distance).toBeLessThanOrEqual(1e-5 * Math.max(norm, 1e-3))
}

const half = (value: number): number => {
  const rounded = Math.round(value)
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

describe('learned step sizes', () => {
  it.each([
    ['a step for all', undefined],
    ['a step for each row', 0],
    ['a step for each column', 1],
  ])('have the gradients of LSQ, equations 3 and 5, with its factor: %s', async (_name, axis) => {
    const bounds = { lowest: -3, highest: 3 }
    const channels = axis === undefined ? 1 : [rows, columns][axis]!
    const steps = Array.from({ length: channels }, (_, channel) =>
      Math.fround(0.3 + 0.05 * channel),
    )
    const initial = tensorOf('float32', axis === undefined ? [] : [channels], steps)
    const sharing = count / channels
    const { weights, quantized, upstream, gradients } = await gradientsOf((writing, x) =>
      learnedSteps(
        writing,
        x,
        bounds,
        { name: 's', initial, sharing },
        { dims: [rows, columns], axis },
      ),
    )
    const channelOf = (at: number) =>
      axis === undefined ? 0 : axis === 0 ? Math.floor(at / columns) : at % columns
    const factor = 1 / Math.sqrt(sharing * 3)
    const byStep = new Array<number>(channels).fill(0)
    const byWeight = weights.map((weight, at) => {
      const v = weight / steps[channelOf(at)]!
      const inside = v > -3 && v < 3
      expect(quantized[at]).toBeCloseTo(
        Math.min(3, Math.max(-3, half(v))) * steps[channelOf(at)]!,
        5,
      )
      byStep[channelOf(at)]! += upstream[at]! * (inside ? half(v) - v : Math.sign(v) * 3) * factor
      return inside ? upstream[at]! : 0
    })
    expect(byWeight).toContain(0)
    expectClose(gradients.get('w')!, byWeight)
    expectClose(gradients.get('s')!, byStep)
  })
})

describe('learned clipping', () => {
  it('has the gradients of PACT, equation 3, and of its penalty', async () => {
    const [alpha, decay] = [0.75, 0.01]
    const { weights, upstream, gradients } = await gradientsOf((writing, x) =>
      learnedClipping(writing, x, 15, { name: 'alpha', initial: alpha, decay }),
    )
    expectClose(
      gradients.get('w')!,
      weights.map((weight, at) => (weight > 0 && weight < alpha ? upstream[at]! : 0)),
    )
    const clipped = weights.map((weight, at) => (weight >= alpha ? upstream[at]! : 0))
    const sum = clipped.reduce((a, b) => a + b, 0)
    expectClose(gradients.get('alpha')!, [sum + 2 * decay * alpha])
  })
})

describe('steps that are computed', () => {
  const spread = { dims: [rows, columns], axis: 0 }

  it('come from the largest weight of a channel, and let all gradients pass', async () => {
    const { weights, quantized, upstream, gradients } = await gradientsOf((writing, x) =>
      largestSteps(writing, x, 7, spread),
    )
    for (const [at, weight] of weights.entries()) {
      const row = Math.floor(at / columns)
      const own = weights.slice(row * columns, (row + 1) * columns)
      const step = Math.max(...own.map(Math.abs)) / 7
      expect(quantized[at]).toBeCloseTo(half(weight / step) * step, 5)
    }
    expectClose(gradients.get('w')!, upstream)
  })

  it('are those of ternary weight networks, equations 5 and 6, with two bits', async () => {
    const { weights, quantized, upstream, gradients } = await gradientsOf((writing, x) =>
      ternary(writing, x, spread),
    )
    for (const [at, weight] of weights.entries()) {
      const row = Math.floor(at / columns)
      const own = weights.slice(row * columns, (row + 1) * columns).map(Math.abs)
      const threshold = (0.7 * own.reduce((a, b) => a + b)) / columns
      const beyond = own.filter((size) => size > threshold)
      const mean = beyond.reduce((a, b) => a + b, 0) / beyond.length
      expect(quantized[at]).toBeCloseTo(
        Math.abs(weight) > threshold ? Math.sign(weight) * mean : 0,
        5,
      )
    }
    expectClose(gradients.get('w')!, upstream)
  })

  it('of a range let the gradient pass inside of it', async () => {
    const initial = [-0.5, 1] as const
    const { weights, quantized, upstream, gradients, notes } = await gradientsOf((writing, x) =>
      observedSteps(writing, x, 15, { name: 'range', initial, middle: undefined }),
    )
    expect(notes.observers).toEqual([{ value: 'w', range: 'range' }])
    expect(gradients.has('range')).toBe(false)
    const inside = weights.map((weight, at) => {
      const level = half(weight / 0.1) + 5
      expect(quantized[at]).toBeCloseTo((Math.min(15, Math.max(0, level)) - 5) * 0.1, 5)
      return level >= 0 && level <= 15 ? upstream[at]! : 0
    })
    expect(inside).toContain(0)
    expectClose(gradients.get('w')!, inside)
  })
})
