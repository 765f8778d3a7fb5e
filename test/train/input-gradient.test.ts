// Gradients by the input: against a formula in float64 for a tiny net, against finite differences for real ones.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { buildArchitecture } from '../../models/index.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { openSession, withSession } from '../../runtime/session.ts'
import { type InputGradientOptions, withInputGradient } from '../../train/input-gradient.ts'
import { content, examples } from '../models/examples.ts'
import { differences, relativeError } from '../support/reference.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

const drawn = (label: string, count: number, spread = 1) => {
  const source = random(7, label)
  return Float32Array.from({ length: count }, () => spread * source.normal())
}

const [width, hidden, classes, batch] = [5, 4, 3, 6]
const first = drawn('first', width * hidden)
const second = drawn('second', hidden * classes)

/** softmax(tanh(x W) V), whose second output is what enters V. */
function tinyModel(): Model {
  const { model, g } = newModel('tiny')
  const x = g.input('x:0', { dtype: 'float32', shape: ['N', width] })
  const inner = g.Tanh(g.MatMul(x, tensorOf('float32', [width, hidden], first)))
  const logits = g.MatMul(inner, tensorOf('float32', [hidden, classes], second))
  g.output('answer:0', g.Softmax(logits), { dtype: 'float32', shape: ['N', classes] })
  g.output('inner', inner, { dtype: 'float32', shape: ['N', hidden] })
  return model
}

/** The logits of one sample in float64. */
function tinyLogits(x: ArrayLike<number>): number[] {
  const inner = Array.from({ length: hidden }, (_, to) =>
    Math.tanh(
      Array.from(x).reduce((sum, value, from) => sum + value * first[from * hidden + to]!, 0),
    ),
  )
  return Array.from({ length: classes }, (_, to) =>
    inner.reduce((sum, value, from) => sum + value * second[from * classes + to]!, 0),
  )
}

const labels = [0, 1, 2, 2, -1, 0]

/** The numbers that gradients are taken of, as they are defined. */
const terms: Readonly<Record<InputGradientOptions['of'], (z: number[], label: number) => number>> =
  {
    largest: (z) => Math.max(...z),
    label: (z, label) => z[label] ?? 0,
    'cross-entropy': (z, label) =>
      label < 0 ? 0 : Math.log(z.reduce((sum, value) => sum + Math.exp(value), 0)) - z[label]!,
  }

describe('withInputGradient', () => {
  it.each(['largest', 'label', 'cross-entropy'] as const)(
    'gives the gradient of each sample, %s',
    async (of) => {
      const model = await withInputGradient(tinyModel(), { of, batch })
      expect(model.graph.outputs.map(({ name }) => name)).toEqual([
        'answer:0',
        'inner',
        'x:0_gradient',
      ])
      const x = drawn('x', batch * width)
      const feeds = {
        'x:0': tensorOf('float32', [batch, width], x),
        ...(of !== 'largest' && {
          labels: tensorOf('int64', [batch], BigInt64Array.from(labels, BigInt)),
        }),
      }
      const results = await withSession(model, {}, (session) => session.run(feeds))
      const found = numbers(results['x:0_gradient']!)
      for (const [row, label] of labels.entries()) {
        const at = row * width
        const expected = differences(
          (sample) => terms[of](tinyLogits(sample), label),
          Float64Array.from(x.subarray(at, at + width)),
        )
        const own = found.slice(at, at + width)
        if (of !== 'largest' && label < 0) expect(own).toEqual(Array(width).fill(0))
        else expect(relativeError(own, expected)).toBeLessThan(1e-5)
      }
      // The other outputs are those of the model itself.
      const { labels: _, ...own } = feeds as Record<string, Tensor>
      const given = await withSession(tinyModel(), {}, (session) => session.run(own))
      for (const name of ['answer:0', 'inner'])
        expect(relativeError(numbers(results[name]!), numbers(given[name]!))).toBeLessThan(1e-6)
    },
  )

  const tried = ['resnet', 'lenet-5', 'mobilenet-v3-small', 'vit', 'conv1d of channels']
  it.each(examples.filter(([what]) => tried.includes(what)))(
    'agrees with finite differences: %s',
    async (_, options, shape) => {
      const model = buildArchitecture(options, { ...shape, seed: 2 })
      const { name, shape: dims } = shape.inputs[0]!
      const x = numbers(content(shape.inputs[0]!, 0, 3))
      await expectSlope(model, { name, dims: [3, ...dims], x, classes: shape.outputs })
    },
  )

  itWithShared.each([
    ['conv-tiny-resnet8-cifar10.onnx', 128],
    ['vit-ibp-3-3-8-cifar10.onnx', 1],
  ])('agrees with finite differences: %s', async (file, spread) => {
    const model = await loadModel(sharedModel(file))
    const dims = [2, 3, 32, 32]
    const x = drawn(file, sizeOf(dims), spread)
    await expectSlope(model, { name: model.graph.feeds[0]!.name, dims, x, classes: 10, spread })
  })

  it('adds up what the positions of a sequence say', async () => {
    const { model, g } = newModel('tagger')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 2] })
    const logits = g.MatMul(x, tensorOf('float32', [2, 4], drawn('tagger', 8)))
    g.output('tags', logits, { dtype: 'float32', shape: ['N', 3, 4] })
    const made = await withInputGradient(model, { of: 'label', batch: 2, classes: 4 })
    expect(made.graph.feeds.at(-1)?.type?.shape).toEqual([2, 3])
    const results = await withSession(made, {}, (session) =>
      session.run({
        x: tensorOf('float32', [2, 3, 2], drawn('tags', 12)),
        labels: tensorOf('int64', [2, 3], BigInt64Array.of(0n, 1n, -1n, 3n, 2n, 0n)),
      }),
    )
    const weight = drawn('tagger', 8)
    const column = (label: number) => (label < 0 ? [0, 0] : [weight[label]!, weight[4 + label]!])
    const expected = [0, 1, -1, 3, 2, 0].flatMap(column)
    expect(relativeError(numbers(results.x_gradient!), expected)).toBeLessThan(1e-6)
  })

  it('takes it by the input that is named', async () => {
    const { model, g } = newModel('two')
    const [a, b] = ['a', 'b'].map((name) => g.input(name, { dtype: 'float32', shape: ['N', 2] }))
    g.output('sum', g.Add(a!, g.Mul(b!, 3)), { dtype: 'float32', shape: ['N', 2] })
    const { graph } = await withInputGradient(model, { of: 'largest', batch: 2, input: 'b' })
    expect(graph.outputs.map(({ name }) => name)).toEqual(['sum', 'b_gradient'])
  })

  it('says in a line what cannot be done', async () => {
    const ids = newModel('ids')
    const x = ids.g.input('ids', { dtype: 'int64', shape: ['N'] })
    const table = tensorOf('float32', [4, 2], drawn('table', 8))
    ids.g.output('y', ids.g.Gather(table, x), { dtype: 'float32', shape: ['N', 2] })
    await expect(withInputGradient(ids.model, { of: 'largest', batch: 2 })).rejects.toThrow(
      "model: has no float32 input that a gradient could be taken by: 'ids' is int64 — use a model on numbers",
    )
    const steps = newModel('steps')
    const y = steps.g.Round(steps.g.input('x', { dtype: 'float32', shape: ['N', 2] }))
    steps.g.output('y', y, { dtype: 'float32', shape: ['N', 2] })
    const options = { of: 'largest', batch: 2, where: 'teacher' } as const
    await expect(withInputGradient(steps.model, options)).rejects.toThrow(
      "teacher: its output 'y' has no gradient by the input 'x' — name another input",
    )
    await expect(withInputGradient(tinyModel(), { ...options, input: 'x' })).rejects.toThrow(
      "teacher: has no float32 input of that name: 'x' — did you mean 'x:0'? known: x:0",
    )
  })
})

/** Compares the gradient's length with the rise of the logits along it. */
async function expectSlope(
  model: Model,
  input: {
    readonly name: string
    readonly dims: readonly number[]
    readonly x: ArrayLike<number>
    readonly classes: number
    readonly spread?: number
  },
): Promise<void> {
  const { name, dims, spread = 1 } = input
  const x = Float32Array.from(input.x)
  const count = dims[0]!
  const chosen = BigInt64Array.from({ length: count }, (_, row) => BigInt(row % input.classes))
  // The rise needs logits: the gradient's own model has them behind it, before a closing Softmax.
  const made = await withInputGradient(model, { of: 'label', batch: count })
  const loss = await withInputGradient(model, { of: 'cross-entropy', batch: count })
  const session = await openSession(made)
  const other = await openSession(loss)
  try {
    const run = async (open: typeof session, values: Float32Array) => {
      const results = await open.run({
        [name]: tensorOf('float32', dims, values),
        labels: tensorOf('int64', [count], chosen),
      })
      return {
        outputs: numbers(results[open.outputs[0]!.name]!),
        gradient: numbers(results[`${name}_gradient`]!),
      }
    }
    const closing = model.graph.outputs[0]!.producer?.opType === 'Softmax'
    const width = input.classes
    const value = (outputs: readonly number[]) => {
      const rows = Array.from({ length: count }, (_, row) =>
        outputs.slice(row * width, (row + 1) * width),
      )
      const picked = rows.map((row, index) => {
        const own = row[index % width]!
        if (closing) return -Math.log(own)
        return Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0)) - own
      })
      return picked.reduce((sum, term) => sum + term, 0)
    }
    const { gradient } = await run(other, x)
    const length = Math.hypot(...gradient)
    expect(length).toBeGreaterThan(1e-6)
    // Small enough to stay on one side of the kinks, large enough for float32.
    const h = 3e-3 * spread
    const moved = (share: number) =>
      x.map((at, index) => at + (share * h * gradient[index]!) / length)
    const [ahead, back] = [await run(other, moved(1)), await run(other, moved(-1))]
    const rise = (value(ahead.outputs) - value(back.outputs)) / (2 * h)
    expect(Math.abs(rise / length - 1)).toBeLessThan(0.03)
    if (closing) return
    const own = await run(session, x)
    const long = Math.hypot(...own.gradient)
    const along = (share: number) =>
      x.map((at, index) => at + (share * h * own.gradient[index]!) / long)
    const picked = (outputs: readonly number[]) =>
      outputs.reduce(
        (sum, z, at) => sum + (at % width === Math.floor(at / width) % width ? z : 0),
        0,
      )
    const [more, less] = [await run(session, along(1)), await run(session, along(-1))]
    const slope = (picked(more.outputs) - picked(less.outputs)) / (2 * h)
    expect(Math.abs(slope / long - 1)).toBeLessThan(0.03)
  } finally {
    await session.dispose()
    await other.dispose()
  }
}
