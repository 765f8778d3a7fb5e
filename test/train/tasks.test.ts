// Trainings of tasks other than classification, from batch to model: what losses on values and positions are fed.
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { random } from '../../base/random.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { train } from '../../train/loop.ts'
import { lossOptions } from '../../train/losses.ts'
import { trainingOptions } from '../../train/options.ts'
import type { TrainingBatch, TrainSettings } from '../../train/settings.ts'

const [size, features] = [32, 6]

/** A layer of weights and what comes behind it. */
function net(width: number, end: (g: Builder, x: Value) => Value) {
  const { model, g } = newModel('net')
  const source = random(5, 'net', width)
  const weights = Float32Array.from({ length: features * width }, () => 0.3 * source.normal())
  const x = g.input('x', { dtype: 'float32', shape: ['N', features] })
  const w = g.constant(tensorOf('float32', [features, width], weights), 'w')
  g.output('y', end(g, g.MatMul(x, w)))
  return model
}

const inputs = (() => {
  const source = random(6, 'inputs')
  return Float32Array.from({ length: size * features }, () => source.normal())
})()
/** What a fixed linear map makes of each sample: something that can be learned. */
const truth = (width: number) => {
  const source = random(7, 'truth', width)
  const map = Float32Array.from({ length: features * width }, () => source.normal())
  return Float32Array.from({ length: size * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width]
    let sum = 0
    for (let k = 0; k < features; k++) sum += inputs[row * features + k]! * map[k * width + column]!
    return sum
  })
}

const options = z.object(trainingOptions).parse({
  ...{ epochs: 40, batch: size, schedule: 'constant' },
  optimizer: { name: 'adam', rate: 0.05 },
})

async function losses(
  model: ReturnType<typeof net>,
  terms: readonly object[],
  batch: Partial<TrainingBatch>,
  facts: Partial<TrainSettings>,
) {
  const indices = Uint32Array.from({ length: size }, (_, index) => index)
  const trained = await train(model, {
    ...{ options, losses: terms.map((term) => lossOptions.parse(term)) },
    batches: () => [{ inputs: [inputs], size, indices, ...batch }],
    ...{ stepsPerEpoch: 1, seed: 1, threads: 1, provider: 'cpu' },
    validate: async () => 0,
    ...facts,
  })
  const records = trained.epochs.map(({ loss }) => loss)
  return { first: records[0]!, last: records.at(-1)!, model: trained.model }
}

describe('training', () => {
  it('fits values', async () => {
    const { first, last } = await losses(
      net(3, (_g, y) => y),
      [{ loss: 'squared-error' }],
      { values: truth(3) },
      { targetWidth: 3 },
    )
    expect(last).toBeLessThan(0.1 * first)
  })

  it('fits sets of classes before a closing Sigmoid, and leaves it where it is', async () => {
    const { first, last, model } = await losses(
      net(4, (g, y) => g.Reshape(g.Sigmoid(y), [-1, 4])),
      [{ loss: 'binary-cross-entropy' }],
      { values: truth(4).map((value) => Number(value > 0)) },
      { targetWidth: 4, classes: 4 },
    )
    expect(last).toBeLessThan(0.5 * first)
    const { y } = await withSession(model, {}, (session) =>
      session.run({ x: tensorOf('float32', [size, features], inputs) }),
    )
    const found = elements(y!, 'float32')
    expect(found.every((value) => value > 0 && value < 1)).toBe(true)
    const right = found.filter((value, i) => value > 0.5 === truth(4)[i]! > 0).length
    expect(right / found.length).toBeGreaterThan(0.9)
  })

  it('fits positions, with a teacher, and ignores those that do not count', async () => {
    const [positions, classes] = [3, 4]
    const logits = truth(positions * classes)
    const labels = Int32Array.from({ length: size * positions }, (_, row) => {
      const of = logits.subarray(row * classes, (row + 1) * classes)
      return row % 5 === 0 ? -1 : of.indexOf(Math.max(...of))
    })
    const teach = (poison: boolean) =>
      losses(
        net(positions * classes, (g, y) => g.Reshape(y, [-1, positions, classes])),
        [{ loss: 'cross-entropy' }, { loss: 'kl', temperature: 2 }],
        { labels },
        {
          classes,
          teacher: () => [
            // What the teacher says where nothing counts must not matter.
            logits.map((value, i) =>
              poison && Math.floor(i / classes) % 5 === 0 ? -value : value,
            ),
          ],
        },
      )
    const { first, last } = await teach(false)
    expect(last).toBeLessThan(0.5 * first)
    expect((await teach(true)).last).toBeCloseTo(last, 6)
  })

  it('reconstructs its own input', async () => {
    const { first, last } = await losses(
      net(features, (_g, y) => y),
      [{ loss: 'reconstruction' }],
      {},
      {},
    )
    expect(last).toBeLessThan(0.2 * first)
  })

  it('ranks the candidates of groups, and brings pairs together', async () => {
    const ranked = await losses(
      net(1, (_g, y) => y),
      [{ loss: 'pairwise' }],
      { values: truth(1).map((value) => Number(value > 0)) },
      { targetWidth: 1, group: 4 },
    )
    expect(ranked.last).toBeLessThan(0.5 * ranked.first)
    const paired = await losses(
      net(5, (_g, y) => y),
      [{ loss: 'cosine-pairs' }],
      { values: new Float32Array(size).fill(1) },
      { targetWidth: 1, group: 2 },
    )
    expect(paired.last).toBeLessThan(0.5 * paired.first)
  })

  it('refuses a teacher whose output has another width', async () => {
    await expect(
      losses(
        net(3, (_g, y) => y),
        [{ loss: 'embedding' }],
        {},
        { teacher: () => [new Float32Array(size * 5)] },
      ),
    ).rejects.toThrow(
      "the teacher's output 0 does not fit the student's: 160 numbers a batch, the student's [32,3] has 96 — use a student with the teacher's outputs, or a loss without it",
    )
  })

  it('refuses data whose targets are of another width', async () => {
    await expect(
      losses(
        net(3, (_g, y) => y),
        [{ loss: 'huber' }],
        { values: truth(2) },
        { targetWidth: 2, where: 'net.onnx' },
      ),
    ).rejects.toThrow(
      "net.onnx: the outputs do not fit the targets: output 'y' [32,3] needs 3 values a sample, the data has 2 — use a model with 2 outputs, or other data",
    )
  })
})
