// Losses that write more than one pass into the graph: the gradient by the input, and a second pass through the model.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { openSession } from '../../../runtime/session.ts'
import { FeedMemory } from '../../../train/feed-memory.ts'
import { needsTeacher } from '../../../train/losses.ts'
import { loweringFor } from '../../../train/lowerings/choose.ts'
import type { Lowering } from '../../../train/lowerings/lowering.ts'
import { standard } from '../../../train/lowerings/standard.ts'
import { optimizerOptions } from '../../../train/options.ts'
import { wholeGraph } from '../../../train/training-graph.ts'
import { relativeError } from '../../support/reference.ts'
import { parsed } from '../loss-harness.ts'

const drawn = (label: string, count: number, spread = 1) => {
  const source = random(11, label)
  return Float32Array.from({ length: count }, () => spread * source.normal())
}

interface Net {
  readonly model: Model
  readonly input: readonly number[]
  readonly classes: number
}

/** Convolution, normalization, a smooth activation, pooling, matrix: everything whose second derivative is needed. */
function convolutionNet(batch: number, channels = 4, dropout = 0): Net {
  const { model, g } = newModel('net')
  const [size, classes] = [6, 3]
  const x = g.input('x', { dtype: 'float32', shape: ['N', channels, size, size] })
  const weight = (name: string, dims: readonly number[], spread = 1) =>
    g.constant(tensorOf('float32', dims, drawn(name, sizeOf(dims), spread)), name)
  const filled = (name: string, length: number, value: number) =>
    g.constant(tensorOf('float32', [length], new Float32Array(length).fill(value)), name)
  const normalised = (value: Value, name: string, out: number, stride: number) => {
    const pads = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [stride, stride] }
    const from = name === 'one' ? channels : 16
    const convolved = g.Conv(value, weight(`${name}.weight`, [out, from, 3, 3], 0.3), pads)
    const scale = weight(`${name}.scale`, [out])
    return g.Tanh(
      g.BatchNormalization(
        ...[convolved, scale, weight(`${name}.shift`, [out])],
        ...[filled(`${name}.mean`, out, 0), filled(`${name}.variance`, out, 1)],
      ),
    )
  }
  let inner = normalised(normalised(x, 'one', 16, 1), 'two', 16, 2)
  if (dropout > 0) inner = g.Dropout(inner, dropout)
  const row = g.Flatten(g.GlobalAveragePool(inner))
  const [logits] = g.node('Gemm', [row, weight('out', [16, classes], 1.5), filled('b', classes, 0)])
  g.output('logits', logits!, { dtype: 'float32', shape: ['N', classes] })
  return { model, input: [batch, channels, size, size], classes }
}

/** x → tanh(x A) B: what a formula in float64 can follow. */
function perceptron(batch: number): Net {
  const { model, g } = newModel('perceptron')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 5] })
  const inner = g.Tanh(g.MatMul(x, g.constant(tensorOf('float32', [5, 4], drawn('a', 20)), 'a')))
  const logits = g.MatMul(inner, g.constant(tensorOf('float32', [4, 3], drawn('b', 12)), 'b'))
  g.output('logits', logits, { dtype: 'float32', shape: ['N', 3] })
  return { model, input: [batch, 5], classes: 3 }
}

/** A step of a training on random data, whose weights may be changed: its loss and gradient. */
async function opened(
  { model, input, classes }: Net,
  terms: readonly object[],
  { lowering = standard, dropout = true }: { lowering?: Lowering; dropout?: boolean } = {},
) {
  const batch = input[0]!
  const forward = {
    ...{ batch, classes, losses: parsed(terms), freeze: [] },
    ...{ batchStatistics: true, dropout, seed: 1 },
  }
  const update = { optimizer: optimizerOptions.parse({ name: 'sgd' }), clip: undefined }
  const graph = await wholeGraph({ model, forward, update }, 'accumulate', lowering)
  const { feeds, weights, statistics } = graph
  const x = drawn('x', sizeOf(input))
  const teacher = [drawn('teacher', batch * classes), drawn('slope', sizeOf(input))]
  const memory = new FeedMemory(feeds, 1)
  memory.write(
    0,
    { inputs: [x], size: batch, indices: Uint32Array.from({ length: batch }, (_, at) => at) },
    teacher,
  )
  const session = await openSession(graph.model)
  const flat = (values: Float32Array): Tensor => tensorOf('float32', [values.length], values)
  const zeros = new Float32Array(weights.initial.length)
  const run = async (at = weights.initial, step = 0) => {
    memory.draw(0, { seed: 3, step, steps: 10 })
    const all = {
      ...memory.tensors(),
      ...{ weights: flat(at), accumulated: flat(zeros), statistics: flat(statistics.initial) },
    }
    const fed = session.inputs.map(({ name }) => [name, all[name as keyof typeof all]!] as const)
    const found = await session.run(Object.fromEntries(fed))
    return {
      loss: numbers(found.loss!)[0]!,
      gradient: numbers(found.accumulated_next!),
      statistics: found.statistics_next && numbers(found.statistics_next),
    }
  }
  const drawnNow = () =>
    feeds.draws.map(({ name, draw }) => ({ draw, values: numbers(memory.tensors()[name]!) }))
  return { run, weights, teacher, x, drawnNow, graph, dispose: () => session.dispose() }
}

/** Compares the gradient along itself and along some directions with the rise of the loss. */
async function expectRises(net: Net, terms: readonly object[]): Promise<void> {
  const { run, weights, dispose } = await opened(net, terms)
  try {
    const at = weights.initial
    const { gradient } = await run()
    const length = Math.hypot(...gradient)
    expect(length).toBeGreaterThan(1e-4)
    const directions = [
      gradient.map((value) => value / length),
      ...['one', 'other'].map((label) => {
        const values = [...drawn(label, at.length)]
        return values.map((value) => value / Math.hypot(...values))
      }),
    ]
    const h = 5e-3
    for (const direction of directions) {
      const moved = (share: number) => at.map((value, cell) => value + share * direction[cell]!)
      const losses: number[] = []
      for (const share of [2 * h, h, -h, -2 * h]) losses.push((await run(moved(share))).loss)
      // Differences of the fourth order (Abramowitz and Stegun 25.3.6).
      const rise = (-losses[0]! + 8 * losses[1]! - 8 * losses[2]! + losses[3]!) / (12 * h)
      const expected = gradient.reduce((sum, value, cell) => sum + value * direction[cell]!, 0)
      expect(Math.abs(rise - expected)).toBeLessThan(0.01 * length)
    }
  } finally {
    await dispose()
  }
}

describe('the distance of input gradients', () => {
  it.each([{ normalise: true }, { normalise: false }])(
    'is what the formula says: %j',
    async (options) => {
      const batch = 4
      const terms = [{ loss: 'jacobian', ...options }]
      const { run, weights, teacher, x, dispose } = await opened(perceptron(batch), terms)
      const { loss, gradient } = await run()
      await dispose()
      const [logits, slopes] = teacher as [Float32Array, Float32Array]
      const expected = (flat: Float64Array) => {
        const of = (name: string) => {
          const { offset, size } = weights.slots.find((slot) => slot.name === name)!
          return flat.subarray(offset, offset + size)
        }
        const [a, b] = [of('a'), of('b')]
        let sum = 0
        for (let row = 0; row < batch; row++) {
          const said = [...logits.subarray(row * 3, row * 3 + 3)]
          const chosen = said.indexOf(Math.max(...said))
          const sample = x.subarray(row * 5, row * 5 + 5)
          const slope = [0, 1, 2, 3, 4].map((cell) => {
            let total = 0
            for (let unit = 0; unit < 4; unit++) {
              let inner = 0
              for (let from = 0; from < 5; from++) inner += sample[from]! * a[from * 4 + unit]!
              total += a[cell * 4 + unit]! * (1 - Math.tanh(inner) ** 2) * b[unit * 3 + chosen]!
            }
            return total
          })
          const theirs = [...slopes.subarray(row * 5, row * 5 + 5)]
          const [own, other] = options.normalise
            ? [Math.hypot(...slope), Math.hypot(...theirs)]
            : [1, 1]
          for (let cell = 0; cell < 5; cell++)
            sum += (slope[cell]! / own - theirs[cell]! / other) ** 2
        }
        return sum / batch
      }
      const at = Float64Array.from(weights.initial)
      expect(Math.abs(loss / expected(at) - 1)).toBeLessThan(1e-5)
      const reference = at.map((value, cell) => {
        const moved = (by: number) => expected(at.with(cell, value + by))
        return (moved(1e-5) - moved(-1e-5)) / 2e-5
      })
      expect(relativeError(gradient, reference)).toBeLessThan(1e-5)
    },
  )

  it.each([[true], [false]])(
    'can be differentiated through normalizations in training form, normalise: %s',
    (normalise) => expectRises(convolutionNet(5), [{ loss: 'jacobian', normalise }]),
  )

  it('stands beside other losses, and drops in its gradient what the pass drops', async () => {
    const both = [{ loss: 'kl' }, { loss: 'jacobian', weight: 0.5 }]
    await expectRises(convolutionNet(4, 4, 0.5), both)
  })

  it('is the same with blocked convolutions', async () => {
    const net = convolutionNet(16, 16)
    const terms = [{ loss: 'jacobian' }, { loss: 'kl' }]
    const [plain, blocked] = [
      await opened(net, terms),
      await opened(net, terms, { lowering: await loweringFor('cpu') }),
    ]
    const [expected, found] = [await plain.run(), await blocked.run()]
    expect(found.loss).toBeCloseTo(expected.loss, 4)
    expect(relativeError(found.gradient, expected.gradient)).toBeLessThan(1e-4)
    expect(relativeError(found.statistics!, expected.statistics!)).toBeLessThan(1e-5)
    await plain.dispose()
    await blocked.dispose()
  })

  it('is finite for gradients that are zero', async () => {
    const net = perceptron(4)
    const { run, weights, dispose } = await opened(net, [{ loss: 'jacobian' }])
    const { loss, gradient } = await run(weights.initial.map(() => 0))
    expect(loss).toBeCloseTo(1)
    expect(gradient.every(Number.isFinite)).toBe(true)
    await dispose()
  })

  it('is refused for a model that reads ids', async () => {
    const { model, g } = newModel('ids')
    const ids = g.input('ids', { dtype: 'int64', shape: ['N'] })
    const table = g.constant(tensorOf('float32', [4, 3], drawn('table', 12)), 'table')
    g.output('y', g.Gather(table, ids), { dtype: 'float32', shape: ['N', 3] })
    await expect(opened({ model, input: [2], classes: 3 }, [{ loss: 'jacobian' }])).rejects.toThrow(
      'model: has no float32 input that a gradient could be taken by — use another loss',
    )
  })
})

describe('consistency', () => {
  it.each([
    [{ target: 'teacher', distance: 'probabilities', temperature: 2 }],
    [{ target: 'self', distance: 'probabilities' }],
    [{ target: 'teacher', distance: 'kl', temperature: 3, drop: 0.2 }],
    [{ target: 'self', distance: 'kl' }],
    [{ target: 'teacher', distance: 'outputs' }],
  ] as const)('is what the formula says, with its gradient: %j', async (options) => {
    const batch = 4
    const terms = [{ loss: 'consistency', noise: 0.3, ...options }]
    const { run, weights, teacher, x, drawnNow, dispose } = await opened(perceptron(batch), terms)
    const { loss, gradient } = await run()
    const draws = drawnNow()
    await dispose()
    const noise = draws.find(({ draw }) => draw.kind === 'normal')!.values
    const mask = draws.find(({ draw }) => draw.kind === 'dropout')?.values
    const T = 'temperature' in options ? options.temperature : 1
    const softmax = (z: readonly number[]) => {
      const sum = z.reduce((total, value) => total + Math.exp(value / T), 0)
      return z.map((value) => Math.exp(value / T) / sum)
    }
    const expected = (flat: Float64Array) => {
      const of = (name: string) => {
        const { offset, size } = weights.slots.find((slot) => slot.name === name)!
        return flat.subarray(offset, offset + size)
      }
      const [a, b] = [of('a'), of('b')]
      const answer = (sample: readonly number[]) => {
        const units = [0, 1, 2, 3].map((unit) =>
          Math.tanh(sample.reduce((sum, value, from) => sum + value * a[from * 4 + unit]!, 0)),
        )
        return [0, 1, 2].map((to) =>
          units.reduce((sum, value, unit) => sum + value * b[unit * 3 + to]!, 0),
        )
      }
      let sum = 0
      for (let row = 0; row < batch; row++) {
        const clean = [0, 1, 2, 3, 4].map((cell) => x[row * 5 + cell]!)
        const disturbed = clean.map((value, cell) => {
          const place = row * 5 + cell
          const stays = mask === undefined || mask[place]! > 0 ? 1 : 0
          return stays * (value + 0.3 * noise[place]!)
        })
        const own = answer(disturbed)
        const right =
          options.target === 'self'
            ? answer(clean)
            : [0, 1, 2].map((to) => teacher[0]![row * 3 + to]!)
        const [p, q] = [softmax(right), softmax(own)]
        for (const to of [0, 1, 2]) {
          if (options.distance === 'kl') sum += T * T * p[to]! * Math.log(p[to]! / q[to]!)
          else if (options.distance === 'outputs') sum += (own[to]! - right[to]!) ** 2 / 3
          else sum += (p[to]! - q[to]!) ** 2 / 3
        }
      }
      return sum / batch
    }
    const at = Float64Array.from(weights.initial)
    expect(Math.abs(loss / expected(at) - 1)).toBeLessThan(1e-5)
    const reference = at.map((value, cell) => {
      const moved = (by: number) => expected(at.with(cell, value + by))
      return (moved(1e-5) - moved(-1e-5)) / 2e-5
    })
    expect(relativeError(gradient, reference)).toBeLessThan(1e-5)
  })

  it('is zero where nothing is disturbed', async () => {
    const terms = [{ loss: 'consistency', target: 'self', noise: 0 }]
    const { run, dispose } = await opened(convolutionNet(5), terms)
    expect((await run()).loss).toBeLessThan(1e-10)
    await dispose()
  })

  it('passes through normalizations, whose running statistics are those of the first pass', async () => {
    const terms = [{ loss: 'consistency', target: 'self', noise: 0.5 }]
    await expectRises(convolutionNet(5), terms)
    const net = convolutionNet(5)
    const [alone, both] = [
      await opened(net, [{ loss: 'kl' }]),
      await opened(net, [{ loss: 'kl' }, ...terms]),
    ]
    expect(both.graph.statistics.slots).toEqual(alone.graph.statistics.slots)
    const [expected, found] = [await alone.run(), await both.run()]
    expect(relativeError(found.statistics!, expected.statistics!)).toBeLessThan(1e-6)
    await alone.dispose()
    await both.dispose()
  })

  it('drops something else in the second pass', async () => {
    const terms = [{ loss: 'consistency', target: 'self', noise: 0 }]
    const { run, drawnNow, dispose } = await opened(convolutionNet(5, 4, 0.5), terms)
    expect((await run()).loss).toBeGreaterThan(1e-5)
    const [first, second] = drawnNow()
    expect(first!.draw).toEqual({ kind: 'dropout', ratio: 0.5 })
    expect(second!.draw).toEqual(first!.draw)
    expect(second!.values).not.toEqual(first!.values)
    await dispose()
    await expectRises(convolutionNet(5, 4, 0.5), terms)
  })

  it('goes with gradients by the input', async () => {
    const terms = [{ loss: 'jacobian' }, { loss: 'consistency', target: 'self', noise: 0.5 }]
    await expectRises(convolutionNet(4, 4, 0.3), terms)
  })

  it('asks for a teacher only where the teacher is right', () => {
    const [own, taught] = ['self', 'teacher'].map((target) =>
      parsed([{ loss: 'consistency', target }]),
    )
    expect(needsTeacher(own!)).toBe(false)
    expect(needsTeacher(taught!)).toBe(true)
  })

  it('refuses a temperature of outputs', () => {
    expect(() => parsed([{ loss: 'consistency', distance: 'outputs', temperature: 2 }])).toThrow(
      "temperature is for distances of probabilities, not for 'outputs'",
    )
  })
})
