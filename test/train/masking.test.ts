import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Interrupted } from '../../base/errors.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements } from '../../onnx/tensor.ts'
import { onnx } from '../../train/engines/onnx.ts'
import { train } from '../../train/loop.ts'
import type { Masking, MaskState, Tracked } from '../../train/masking.ts'
import { optimizerOptions } from '../../train/options.ts'
import { Stepper } from '../../train/stepper.ts'
import { mask } from '../../train/update.ts'
import { batchesOf, classes, patterns, residualNet, settingsFor, shape } from './support.ts'

const perceptron = () =>
  buildArchitecture({ architecture: 'mlp', hidden: [16] }, { ...oneInput(shape, classes), seed: 1 })

const weightsOf = ({ graph }: Model) =>
  new Map(
    [...graph.initializers]
      .filter(({ tensor }) => tensor?.dtype === 'float32')
      .map(({ name, tensor }) => [name, elements(tensor!, 'float32')]),
  )

/** The weight with the most elements. */
const largestOf = (model: Model) =>
  [...weightsOf(model)].sort(([, a], [, b]) => b.length - a.length)[0]![0]

const bytesOf = (model: Model) => Buffer.from(serializeModel(model)).toString('base64')

/** Every other update the living weights with the smallest magnitudes die, a tenth of all at a time. */
function tightening(
  name: string,
  tracks: readonly Tracked[] = [],
  seen: MaskState[] = [],
): Masking & { readonly seen: MaskState[] } {
  return {
    ...{ tracks, names: [name], seen },
    due: (update) => update % 2 === 1 && update < 12,
    settled: () => 11,
    decide(state) {
      seen.push(state)
      expect(weightsOf(state.model()).get(name)).toEqual(state.weights.get(name))
      const [mask, weights] = [state.masks.get(name)!.slice(), state.weights.get(name)!]
      const living = [...mask.keys()].filter((at) => mask[at] === 1)
      living.sort((a, b) => Math.abs(weights[a]!) - Math.abs(weights[b]!) || a - b)
      for (const at of living.slice(0, Math.floor(mask.length / 10))) mask[at] = 0
      return new Map([[name, mask]])
    },
  }
}

const zerosOf = (values: Float32Array) => values.filter((value) => value === 0).length

/** The largest difference of two vectors, at one place. */
const farthest = (one: ArrayLike<number>, other: ArrayLike<number>): number => {
  expect(one).toHaveLength(other.length)
  return Math.max(...Array.from(one, (value, at) => Math.abs(value - other[at]!)))
}

describe('masks that change in training', () => {
  it.each([
    ['sgd with Nesterov momentum', { name: 'sgd', rate: 0.05, momentum: 0.9, nesterov: true }],
    ['adam', { name: 'adam', rate: 0.01, weightDecay: 0.01 }],
    ['adamw', { name: 'adamw', rate: 0.01 }],
    ['rmsprop', { name: 'rmsprop', rate: 0.01, centred: true, momentum: 0.5 }],
    ['lamb', { name: 'lamb', rate: 0.01 }],
  ])('hold exactly under %s, in its memory and in averages', async (_, given) => {
    const model = perceptron()
    const optimizer = optimizerOptions.parse(given)
    const stepper = await Stepper.open({
      definition: {
        model,
        forward: {
          ...{ batch: 16, classes, freeze: [], batchStatistics: true, dropout: true },
          losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
        },
        update: { optimizer, average: 0.9, clip: 1, tracks: [] },
      },
      engine: onnx,
      options: { provider: 'cpu', threads: 1, sharesCores: false, log: () => undefined },
      ...{ seed: 9, steps: 100, rate: () => 0.01, mostSteps: 5 },
    })
    try {
      const { vectors } = stepper
      const flags = vectors.mask!.map((_, at) => Number(at % 3 !== 0))
      let number = 0
      for (const epoch of [1, 2, 3, 4]) {
        for (const batch of batchesOf(patterns(96, 1), 16, epoch))
          await stepper.take(number++, batch, undefined)
        await stepper.flush()
        if (epoch === 1) {
          expect(zerosOf(vectors.weights!)).toBeLessThan(flags.length / 3)
          stepper.mask(flags)
        }
        if (epoch > 1)
          for (const [key, vector] of Object.entries(vectors))
            if (vector.length === flags.length)
              expect([
                key,
                vector.findIndex((value, at) => flags[at] === 0 && value !== 0),
              ]).toEqual([key, -1])
      }
      expect(vectors.weights!.filter((weight) => weight !== 0).length).toBeGreaterThan(
        0.6 * flags.length,
      )
      // What comes back to life starts at zero, and learns again.
      stepper.mask(flags.fill(1))
      for (const batch of batchesOf(patterns(96, 1), 16, 5))
        await stepper.take(number++, batch, undefined)
      await stepper.flush()
      expect(zerosOf(vectors.weights!)).toBeLessThan(flags.length / 10)
    } finally {
      await stepper.dispose()
    }
  })

  it.each([
    ['every batch', {}],
    ['two batches', { accumulate: 2 }],
  ])('tighten when they are due, after updates of %s', async (_, options) => {
    const model = perceptron()
    const name = largestOf(model)
    const masking = tightening(name)
    const { model: trained, bestEpoch } = await train(
      model,
      settingsFor({ epochs: 6, ...options }, { masking }),
    )
    expect(masking.seen.map(({ update }) => update)).toEqual([1, 3, 5, 7, 9, 11])
    const [before] = masking.seen
    expect(before!.masks.get(name)!.every((flag) => flag === 1)).toBe(true)
    const weight = weightsOf(trained).get(name)!
    expect(zerosOf(weight)).toBe(6 * Math.floor(weight.length / 10))
    // Epochs whose masks are not what was asked for are no candidates.
    expect(bestEpoch).toBeGreaterThan('accumulate' in options ? 3 : 1)
  })

  it('are decided by the model as it is, its gradient and its movement', async () => {
    const model = perceptron()
    const name = largestOf(model)
    const masking = tightening(name, ['gradient', 'movement'])
    const optimizer = optimizerOptions.parse({ name: 'sgd', momentum: 0, weightDecay: 0 })
    const every: Masking = { ...masking, due: (update) => update < 6 }
    await train(
      model,
      settingsFor({ epochs: 1, optimizer, schedule: 'constant' }, { masking: every }),
    )
    const { seen } = masking
    expect(seen).toHaveLength(6)
    let moved = new Float64Array(seen[0]!.weights.get(name)!.length)
    let dead = moved.slice()
    for (const [index, state] of seen.entries()) {
      const weights = state.weights.get(name)!
      const [gradient, movement] = [state.gradients!.get(name)!, state.movement!.get(name)!]
      const before = seen[index - 1]
      if (!before) {
        expect(zerosOf(gradient)).toBe(gradient.length)
        continue
      }
      // The weights of the step before, after its masks had been decided.
      const mask = state.masks.get(name)!
      const weightBefore = before.weights.get(name)!
      const start = weightBefore.map((weight, at) => weight * mask[at]!)
      // Dead weights go on moving with what they were when they died.
      dead = dead.map((was, at) =>
        mask[at] || before.masks.get(name)![at] === 0 ? was : weightBefore[at]!,
      )
      moved = moved.map((sum, at) => sum - (start[at]! + dead[at]!) * gradient[at]!)
      const stepped = start.map((value, at) => value - optimizer.rate * gradient[at]! * mask[at]!)
      expect(farthest(movement, moved)).toBeLessThan(5e-6)
      expect(farthest(weights, stepped)).toBeLessThan(5e-6)
      // Dead weights have a gradient as well.
      const falling = gradient.filter((slope, at) => mask[at] === 0 && slope !== 0)
      expect(falling.length).toBeGreaterThan(0)
    }
  })

  it('give back to life what was there where the movement of the dead is tracked', () => {
    const numbers = (...values: number[]) => Float32Array.from(values)
    const vectors = {
      ...{ weights: numbers(1, 2, 3, 4), average: numbers(5, 6, 7, 8) },
      ...{ state0: numbers(1, 1, 1, 1), tracked_movement: numbers(1, 2, 3, 4) },
      ...{ mask: numbers(1, 1, 1, 1), dead: new Float32Array(4) },
    }
    mask(vectors, numbers(1, 0, 0, 1))
    // Twice the same changes nothing.
    mask(vectors, numbers(1, 0, 0, 1))
    const { weights, average, dead } = vectors
    expect([weights, average, dead]).toEqual([
      numbers(1, 0, 0, 4),
      numbers(5, 0, 0, 8),
      numbers(0, 2, 3, 0),
    ])
    mask(vectors, numbers(0, 0, 1, 1))
    expect(vectors).toEqual({
      ...{ weights: numbers(0, 0, 3, 4), average: numbers(0, 0, 3, 8) },
      ...{ state0: numbers(0, 0, 0, 1), tracked_movement: numbers(1, 2, 3, 4) },
      ...{ mask: numbers(0, 0, 1, 1), dead: numbers(1, 2, 0, 0) },
    })
  })

  it('refuse weights that do not learn', async () => {
    const training = train(
      residualNet(),
      settingsFor({ freeze: ['stem*'] }, { masking: tightening('stem.conv.weight') }),
    )
    await expect(training).rejects.toThrow(
      "training: weights that stay as they are cannot be pruned little by little: 'stem.conv.weight' — take it out of freeze, or exclude its layer",
    )
  })
})

describe('an interrupted training with masks that change', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'condense-masking-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('goes on to the same bytes', async () => {
    const build = residualNet
    const name = largestOf(build())
    const settings = settingsFor({ epochs: 4, average: 0.9 })
    const masking = () => tightening(name, ['gradient', 'movement'])
    const whole = await train(build(), { ...settings, masking: masking() })
    const checkpoint = join(folder, 'checkpoint')
    // In the middle of the changes, right before one of them and right behind one.
    for (const [epoch, step] of [
      [1, 3],
      [1, 4],
      [2, 2],
    ]) {
      const controller = new AbortController()
      let steps = 0
      const interrupted = train(build(), {
        ...{ ...settings, checkpoint, masking: masking(), signal: controller.signal },
        progress: (report) => {
          if (report.epoch === epoch && ++steps === step) controller.abort()
        },
      })
      await expect(interrupted).rejects.toThrow(Interrupted)
    }
    const resumed = await train(build(), { ...settings, checkpoint, masking: masking() })
    expect(bytesOf(resumed.model)).toBe(bytesOf(whole.model))
    expect(resumed.epochs).toEqual(whole.epochs)
  })
})
