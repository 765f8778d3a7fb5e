import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Interrupted, UserError } from '../../base/errors.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { train } from '../../train/loop.ts'
import { optimizerOptions } from '../../train/options.ts'
import type { TrainProgress, TrainSettings } from '../../train/settings.ts'
import {
  accuracyOf,
  batchesOf,
  classes,
  dropoutNet,
  patterns,
  residualNet,
  settingsFor,
  shape,
  validation,
} from './support.ts'

const bytesOf = (model: Model) => Buffer.from(serializeModel(model))
const weightsOf = (model: Model) =>
  new Map(
    [...model.graph.initializers]
      .filter(({ tensor }) => tensor?.dtype === 'float32')
      .map(({ name, tensor }) => [name, elements(tensor!, 'float32')]),
  )
const outline = ({ graph, opsets, irVersion, metadata }: Model) => ({
  inputs: graph.inputs.map(({ name, type }) => ({ name, type })),
  outputs: graph.outputs.map(({ name, type }) => ({ name, type })),
  nodes: graph.nodes.map(({ opType, name, attributes }) => ({ opType, name, attributes })),
  initializers: [...graph.initializers].map(({ name, tensor }) => [name, tensor?.dims]),
  opsets,
  irVersion,
  metadata,
})

const nets = [
  ['a residual net with BatchNormalization', residualNet],
  ['a perceptron with Dropout', dropoutNet],
] as const

describe.each(nets)('training %s', (_, build) => {
  it('lowers the loss, raises the accuracy, and gives back a model of the same form', async () => {
    const model = build()
    const before = bytesOf(model)
    const settings = settingsFor({ epochs: 6 })
    const reports: TrainProgress[] = []
    const trained = await train(model, {
      ...settings,
      progress: (progress) => reports.push(progress),
    })
    expect(bytesOf(model)).toEqual(before)
    expect(outline(trained.model)).toEqual(outline(model))

    const { epochs, bestEpoch } = trained
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5, 6])
    expect(epochs.at(-1)!.loss).toBeLessThan(0.7 * epochs[0]!.loss)
    const best = epochs[bestEpoch - 1]!.score
    expect(best).toBe(Math.max(...epochs.map((record) => record.score)))
    expect(await accuracyOf(trained.model, validation)).toBe(best)
    expect(best).toBeGreaterThan(0.2 + (await accuracyOf(model, validation)))

    const steps = reports.filter(({ epochDone }) => !epochDone)
    expect(steps).toHaveLength(36)
    expect(steps.at(-1)).toMatchObject({ done: 1, epoch: 6, epochs: 6, samples: 16 })
    expect(steps.map(({ done }) => done)).toEqual(steps.map((_, index) => (index + 1) / 36))
    // After the last step of each epoch comes one report with what the epoch came to.
    expect(reports.filter((_, index) => index % 7 === 6)).toEqual(
      epochs.map(({ epoch, loss, score }) => ({
        ...{ done: epoch / 6, epoch, epochs: 6, loss, score, samples: 0, epochDone: true },
      })),
    )
  })

  it('gives the same bytes for the same seed, and others for another order', async () => {
    const settings = settingsFor({ epochs: 2 }, { threads: 2 })
    const [first, second] = [await train(build(), settings), await train(build(), settings)]
    expect(bytesOf(first.model)).toEqual(bytesOf(second.model))
    expect(first.epochs).toEqual(second.epochs)
    const shifted = (epoch: number, from: number) => settings.batches(epoch + 1, from)
    const other = await train(build(), { ...settings, batches: shifted })
    expect(bytesOf(other.model)).not.toEqual(bytesOf(first.model))
  })
})

describe('an interrupted training', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'condense-loop-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** Trains until the signal is given in the middle of an epoch. */
  async function interrupt(model: Model, settings: TrainSettings, epoch: number): Promise<void> {
    const controller = new AbortController()
    let steps = 0
    const progress = (report: TrainProgress) => {
      if (report.epoch === epoch && ++steps === 3) controller.abort()
    }
    await expect(
      train(model, { ...settings, signal: controller.signal, progress }),
    ).rejects.toThrow(Interrupted)
  }

  it.each(nets)('of %s goes on to the same bytes', async (name, build) => {
    const checkpoint = join(folder, name)
    const settings = settingsFor()
    const whole = await train(build(), settings)
    await interrupt(build(), { ...settings, checkpoint }, 3)
    const messages: string[] = []
    const epochs = new Set<number>()
    const resumed = await train(build(), {
      ...settings,
      checkpoint,
      log: (message) => messages.push(message),
      progress: ({ epoch }) => epochs.add(epoch),
    })
    expect([...epochs]).toEqual([3, 4])
    expect(messages).toContain('resumed after epoch 2 and 3 batches')
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model))
    expect(resumed.epochs).toEqual(whole.epochs)
    expect(resumed.bestEpoch).toBe(whole.bestEpoch)

    // What is finished is not done again.
    const again = await train(build(), {
      ...settings,
      checkpoint,
      progress: () => {
        throw new Error('a step was taken')
      },
    })
    expect(bytesOf(again.model)).toEqual(bytesOf(whole.model))
  })

  it('loses no more than since the last checkpoint when it is killed', async () => {
    const checkpoint = join(folder, 'killed')
    const settings = settingsFor()
    let steps = 0
    const killed = train(residualNet(), {
      ...settings,
      checkpoint,
      // Due once, before the third step of the second epoch.
      checkpointDue: () => steps === settings.stepsPerEpoch + 2,
      progress: ({ samples }) => {
        if (samples > 0 && ++steps === settings.stepsPerEpoch + 4) throw new Error('killed')
      },
    })
    await expect(killed).rejects.toThrow('killed')
    const messages: string[] = []
    const resumed = await train(residualNet(), {
      ...settings,
      checkpoint,
      log: (message) => messages.push(message),
    })
    expect(messages).toContain('resumed after epoch 1 and 2 batches')
    const whole = await train(residualNet(), settings)
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model))
    expect(resumed.epochs).toEqual(whole.epochs)
  })

  it('starts over where the checkpoint is damaged or of another model', async () => {
    const checkpoint = join(folder, 'damaged')
    const settings = settingsFor({ epochs: 2 })
    await interrupt(residualNet(), { ...settings, checkpoint }, 2)
    const bytes = readFileSync(checkpoint)
    bytes[bytes.length - 9]! ^= 4
    writeFileSync(checkpoint, bytes)
    const whole = await train(residualNet(), settings)
    const resumed = await train(residualNet(), { ...settings, checkpoint })
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model))

    const other = await train(dropoutNet(), { ...settings, checkpoint })
    expect(bytesOf(other.model)).toEqual(bytesOf((await train(dropoutNet(), settings)).model))
  })
})

describe('train', () => {
  it('follows the running statistics of BatchNormalization', async () => {
    const { model, g } = newModel('statistics')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const two = (...values: number[]) => tensorOf('float32', [2], values)
    const [mean, variance] = [g.constant(two(3, -1), 'mean'), g.constant(two(2, 0.5), 'variance')]
    const [norm] = g.node('BatchNormalization', [x, two(1, 1), two(0, 0), mean, variance], {
      attributes: { momentum: 0.75 },
    })
    const weight = new Float32Array(128 * classes).fill(0.01)
    const flat = g.Flatten(norm)
    g.output('y', g.MatMul(flat, tensorOf('float32', [128, classes], weight)))
    const settings = settingsFor({ epochs: 1 })

    const expected = { mean: [3, -1], variance: [2, 0.5] }
    for (const { inputs, size } of batchesOf(patterns(96, 1), 16, 1))
      for (const channel of [0, 1]) {
        const cells = Array.from(inputs[0] as Float32Array).filter(
          (_, index) => (index >> 6) % 2 === channel,
        )
        const average = cells.reduce((sum, cell) => sum + cell, 0) / (64 * size)
        const spread = cells.reduce((sum, cell) => sum + (cell - average) ** 2, 0) / (64 * size)
        expected.mean[channel] = 0.75 * expected.mean[channel]! + 0.25 * average
        expected.variance[channel] = 0.75 * expected.variance[channel]! + 0.25 * spread
      }
    const weights = weightsOf((await train(model, settings)).model)
    for (const name of ['mean', 'variance'] as const)
      for (const channel of [0, 1])
        expect(weights.get(name)![channel]).toBeCloseTo(expected[name][channel]!, 4)
  })

  it('learns through BatchNormalization in front of a convolution', async () => {
    const { model, g } = newModel('front')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const vector = (length: number, value: number) =>
      tensorOf('float32', [length], new Float32Array(length).fill(value))
    const norm = g.BatchNormalization(x, vector(2, 1), vector(2, 0), vector(2, 0), vector(2, 1))
    const kernel = Float32Array.from({ length: classes * 128 }, (_, index) => Math.sin(index) / 9)
    const y = g.Conv(norm, tensorOf('float32', [classes, 2, 8, 8], kernel), vector(classes, 0))
    g.output('y', g.Flatten(y))
    const { epochs } = await train(model, settingsFor({ epochs: 3 }))
    expect(epochs[2]!.loss).toBeLessThan(0.8 * epochs[0]!.loss)
  })

  it('trains a weight that the model computes from constants, and stores it as one', async () => {
    const { model, g } = newModel('computed')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const weight = tensorOf('float32', [classes, 128], new Float32Array(classes * 128))
    const [turned] = g.node('Transpose', [weight], { name: 'turned' })
    g.output('y', g.MatMul(g.Flatten(x), turned))
    const settings = settingsFor({ epochs: 2 })
    const trained = (await train(model, settings)).model
    expect(trained.graph.nodes.map(({ opType }) => opType)).toEqual(['Flatten', 'MatMul'])
    expect(await accuracyOf(trained, validation)).toBeGreaterThan(0.8)
  })

  it('leaves frozen layers, their statistics included, as they are', async () => {
    const model = residualNet()
    const settings = settingsFor({ epochs: 1, freeze: ['stem*', 'block1*', 're:^block2'] })
    const [before, after] = [weightsOf(model), weightsOf((await train(model, settings)).model)]
    for (const [name, values] of before) {
      const same = Buffer.from(values.buffer).equals(Buffer.from(after.get(name)!.buffer))
      if (/^(stem|block[12])/.test(name)) expect([name, after.get(name)]).toEqual([name, values])
      else expect([name, same]).toEqual([name, false])
    }
  })

  it('keeps pruned weights at zero', async () => {
    const model = residualNet()
    const mask = Float32Array.from({ length: 4 * 4 * 9 }, (_, index) => index % 2)
    const pruned = [...model.graph.initializers].find(({ name }) => name === 'block1.conv1.weight')!
    pruned.tensor = tensorOf(
      'float32',
      pruned.tensor!.dims,
      elements(pruned.tensor!, 'float32').map((value, index) => value * mask[index]!),
    )
    const masks = new Map([[pruned.name, mask]])
    const trained = await train(model, settingsFor({ epochs: 1 }, { masks }))
    const after = weightsOf(trained.model).get(pruned.name)!
    expect(after.map((value) => Number(value !== 0))).toEqual(mask)
  })

  it('teaches a student the answers of a teacher', async () => {
    const settings = settingsFor({ epochs: 6 })
    const teacher = (await train(residualNet(), settings)).model
    const { outputs } = await predict(teacher, patterns(96, 1))
    const row = (index: number) => outputs.subarray(index * classes, (index + 1) * classes)
    const student = await train(dropoutNet(), {
      ...settings,
      losses: [{ loss: 'kl', temperature: 2, weight: 1 }],
      teacher: ({ indices }) => [
        Float32Array.from([...indices].flatMap((index) => [...row(index)])),
      ],
    })
    expect(student.epochs.at(-1)!.loss).toBeLessThan(0.7 * student.epochs[0]!.loss)
  })

  it('stops with the step when the loss is no longer finite', async () => {
    const optimizer = optimizerOptions.parse({ name: 'sgd', rate: 1e30, momentum: 0 })
    const training = train(dropoutNet(), settingsFor({ optimizer, schedule: 'constant' }))
    await expect(training).rejects.toThrow(UserError)
    await expect(training).rejects.toThrow(
      /^training: the loss is no longer finite: \S+ at step \d+ \(epoch 1\) — lower optimizer\.rate \(1e\+30\)/,
    )
  })

  it.each([
    [
      'outputs that do not fit the labels',
      { classes: 5 },
      /do not fit the labels: .* for 5 classes/,
    ],
    [
      'samples that do not fit the input',
      { validate: (model: Model) => accuracyOf(model, { ...patterns(4, 2), shape: [3, 8, 8] }) },
      /does not fit the data/,
    ],
  ])('refuses %s', async (_, rest, message) => {
    const training = train(residualNet(), settingsFor({ epochs: 1 }, rest))
    await expect(training).rejects.toThrow(UserError)
    await expect(training).rejects.toThrow(message)
  })

  it('refuses an operator without a rule before the first step', async () => {
    const { model, g } = newModel('unruly')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const weight = tensorOf('float32', [128, classes], new Float32Array(128 * classes))
    const [odd] = g.node('Hardmax', [g.MatMul(g.Flatten(x), weight)], { name: '/odd' })
    g.output('y', odd!)
    const progress = () => {
      throw new Error('a step was taken')
    }
    await expect(train(model, settingsFor({}, { progress }))).rejects.toThrow(
      "no gradient for op 'Hardmax' (node '/odd', inputs [16,4] float32)",
    )
  })
})
