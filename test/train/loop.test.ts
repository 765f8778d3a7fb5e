import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Interrupted, UserError } from '../../base/errors.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { train } from '../../train/loop.ts'
import { optimizerOptions, scheduleOptions } from '../../train/options.ts'
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

/** How far the weights of two models of one form lie apart. */
function distance(a: Model, b: Model): number {
  const others = weightsOf(b)
  const moves = [...weightsOf(a)].flatMap(([name, values]) =>
    [...values].map((value, index) => value - others.get(name)![index]!),
  )
  return Math.hypot(...moves)
}

const perceptron = () =>
  buildArchitecture({ architecture: 'mlp', hidden: [16] }, { ...oneInput(shape, classes), seed: 1 })

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
  /** Trainings that nothing interrupts, each done once. */
  const done = new Map<string, ReturnType<typeof train>>()
  function uninterrupted(build: () => Model, epochs: number): ReturnType<typeof train> {
    const key = `${build.name} ${epochs}`
    const known = done.get(key) ?? train(build(), settingsFor({ epochs }))
    done.set(key, known)
    return known
  }

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
    const whole = await uninterrupted(build, settings.options.epochs)
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
    const killed = train(dropoutNet(), {
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
    const resumed = await train(dropoutNet(), {
      ...settings,
      checkpoint,
      log: (message) => messages.push(message),
    })
    expect(messages).toContain('resumed after epoch 1 and 2 batches')
    const whole = await uninterrupted(dropoutNet, settings.options.epochs)
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model))
    expect(resumed.epochs).toEqual(whole.epochs)
  })

  it('starts over where the checkpoint is damaged or of another model', async () => {
    const checkpoint = join(folder, 'damaged')
    const settings = settingsFor({ epochs: 2 })
    await interrupt(dropoutNet(), { ...settings, checkpoint }, 2)
    const bytes = readFileSync(checkpoint)
    bytes[bytes.length - 9]! ^= 4
    writeFileSync(checkpoint, bytes)
    const whole = await train(dropoutNet(), settings)
    const resumed = await train(dropoutNet(), { ...settings, checkpoint })
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model))

    const other = await train(perceptron(), { ...settings, checkpoint })
    expect(bytesOf(other.model)).toEqual(bytesOf((await train(perceptron(), settings)).model))
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

  it('trains a weight by all its uses, whatever the model makes of it first', async () => {
    const { model, g } = newModel('tied')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const values = Float32Array.from({ length: 128 * 8 }, (_, index) => Math.sin(index) / 9)
    const weight = g.constant(tensorOf('float32', [8, 128], values), 'tied')
    const code = g.MatMul(g.Flatten(x), g.Transpose(weight, { perm: [1, 0] }))
    const back = g.MatMul(g.Tanh(code), weight)
    g.output('y', g.Slice(back, [0], [classes], [1]))
    const settings = settingsFor({ epochs: 4 })
    const trained = (await train(model, settings)).model
    expect(outline(trained)).toEqual(outline(model))
    expect(await accuracyOf(trained, validation)).toBeGreaterThan(
      0.2 + (await accuracyOf(model, validation)),
    )
  })

  it('takes nothing for a weight that is made for the batch', async () => {
    // A token that is repeated for every sample, and zeros of the size of the batch.
    const { model, g } = newModel('token')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const token = g.constant(tensorOf('float32', [1, 3], [0.5, -0.5, 0.25]), 'token')
    const batch = g.Slice(g.Shape(x), [0], [1], [0])
    const repeated = g.Expand(token, g.Concat(batch, [3], { axis: 0 }))
    const [zeros] = g.node('ConstantOfShape', [g.Concat(batch, [2], { axis: 0 })])
    const features = g.Concat(g.Flatten(x), repeated, zeros!, { axis: 1 })
    const weight = Float32Array.from({ length: 133 * classes }, (_, index) => Math.sin(index) / 9)
    g.output('y', g.MatMul(features, tensorOf('float32', [133, classes], weight)))
    const trained = (await train(model, settingsFor({ epochs: 2 }))).model
    expect(outline(trained)).toEqual(outline(model))
    expect(weightsOf(trained).get('token')).not.toEqual(weightsOf(model).get('token'))
    // Another batch than that of the training.
    const { outputs } = await predict(trained, patterns(5, 3), { batch: 5 })
    expect(outputs.length).toBe(5 * classes)
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
      losses: [{ loss: 'kl', temperature: 2, weight: 1, standardise: false }],
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

  it('says where the last good state is when the loss explodes', async () => {
    const checkpoint = join(mkdtempSync(join(tmpdir(), 'condense-explosion-')), 'checkpoint')
    const settings = settingsFor({ epochs: 3 }, { checkpoint })
    // Labels that make sense, then a batch of enormous values.
    const batches = function* (epoch: number, from: number) {
      for (const batch of batchesOf(patterns(96, 1), 16, epoch, from)) {
        const [inputs] = batch.inputs as Float32Array[]
        yield epoch === 2 ? { ...batch, inputs: [inputs!.map((value) => value * 1e9)] } : batch
      }
    }
    const training = train(dropoutNet(), { ...settings, batches })
    await expect(training).rejects.toThrow(UserError)
    await expect(training).rejects.toThrow(
      /^training: the loss has exploded: \S+ at step 7 \(epoch 2\); the state after epoch 1 is kept in .*checkpoint — lower/,
    )
    // Nothing is lost: the same training with good data goes on from there.
    const whole = await train(dropoutNet(), settingsFor({ epochs: 3 }))
    const resumed = await train(dropoutNet(), settings)
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model))
    rmSync(dirname(checkpoint), { recursive: true })
  })

  it('may begin without a loss, as a student that is its teacher does', async () => {
    const { model, g } = newModel('sure')
    const x = g.input('x', { dtype: 'float32', shape: ['batch', ...shape] })
    const weights = tensorOf('float32', [128, classes], new Float32Array(128 * classes))
    const biases = tensorOf('float32', [classes], Float32Array.of(50, 0, 0, 0))
    const sure = g.Gemm(g.Flatten(x), weights, biases)
    g.output('y', sure, { dtype: 'float32', shape: ['batch', classes] })
    // The model is sure of class 0, which is right for one epoch.
    const batches = function* (epoch: number, from: number) {
      for (const batch of batchesOf(patterns(96, 1), 16, epoch, from))
        yield epoch === 1 ? { ...batch, labels: new Int32Array(16) } : batch
    }
    const { epochs } = await train(model, { ...settingsFor({ epochs: 2 }), batches })
    expect(epochs[0]!.loss).toBeLessThan(1e-6)
    expect(epochs[1]!.loss).toBeGreaterThan(10)
  })

  it('stops after some epochs without a better one, and stays stopped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'condense-early-'))
    const checkpoint = join(folder, 'checkpoint')
    const scores = [0.2, 0.5, 0.5, 0.4, 0.9]
    const make = () => {
      let epoch = 0
      const validate = async () => scores[epoch++]!
      return settingsFor({ epochs: 5, stopAfter: 2 }, { validate, checkpoint })
    }
    const messages: string[] = []
    const log = (message: string) => messages.push(message)
    const { epochs, bestEpoch } = await train(dropoutNet(), { ...make(), log })
    expect(epochs.map(({ score }) => score)).toEqual([0.2, 0.5, 0.5, 0.4])
    expect(bestEpoch).toBe(2)
    expect(messages).toContain('stopped after epoch 4: no better one since 2')
    const again = await train(dropoutNet(), make())
    expect(again.epochs).toEqual(epochs)
    rmSync(folder, { recursive: true })
  })

  it('lowers the rate on a plateau of the validation score', async () => {
    const schedule = {
      ...{ name: 'plateau', factor: 0.01, patience: 1 },
    } as const
    const optimizer = optimizerOptions.parse({ name: 'sgd', rate: 0.1, momentum: 0 })
    const options = { schedule: scheduleOptions.parse(schedule), optimizer }
    const moves = async (scores: readonly number[]) => {
      let epoch = 0
      const models: Model[] = [dropoutNet()]
      const validate = async (model: Model) => {
        models.push(model)
        return scores[epoch++]!
      }
      await train(dropoutNet(), settingsFor({ ...options, epochs: 4 }, { validate }))
      return models.slice(1).map((model, index) => distance(models[index]!, model))
    }
    const better = await moves([0.1, 0.2, 0.3, 0.4])
    const flat = await moves([0.3, 0.3, 0.3, 0.3])
    expect(flat[0]).toBe(better[0])
    expect(flat[3]!).toBeLessThan(0.1 * better[3]!)
  })

  it('takes the average of the weights for the result', async () => {
    const plain = await train(residualNet(), settingsFor({ epochs: 2 }))
    const averaged = await train(residualNet(), settingsFor({ epochs: 2, average: 0.95 }))
    expect(averaged.epochs[0]!.loss).toBe(plain.epochs[0]!.loss)
    const start = residualNet()
    expect(distance(start, averaged.model)).toBeGreaterThan(0)
    expect(distance(start, averaged.model)).toBeLessThan(distance(start, plain.model))
  })

  it('leaves statistics alone, or takes them anew from the final weights', async () => {
    const before = weightsOf(residualNet())
    const statistics = [...before.keys()].filter((name) => /\.(mean|var)$/.test(name))
    expect(statistics.length).toBeGreaterThan(10)
    const frozen = await train(
      residualNet(),
      settingsFor({ epochs: 1, batchNormalization: 'freeze' }),
    )
    for (const name of statistics)
      expect(weightsOf(frozen.model).get(name)).toEqual(before.get(name))

    const settings = settingsFor({ epochs: 1, batchNormalization: 're-estimate' })
    const { model } = await train(residualNet(), settings)
    // The stem sees the images alone: its mean is that of its convolution over the whole epoch.
    const outputs = cloneModel(model)
    const norm = outputs.graph.nodes.find(({ opType }) => opType === 'BatchNormalization')!
    const { name, tensor } = norm.input(3)
    outputs.graph.outputs.splice(0, 1, norm.input(0))
    removeDeadNodes(outputs.graph)
    const { outputs: values, width } = await predict(outputs, patterns(96, 1))
    const channels = tensor!.size
    const expected = Array.from({ length: channels }, (_, channel) => {
      const plane = width / channels
      const own = values.filter((_, index) => Math.floor((index % width) / plane) === channel)
      return own.reduce((sum, value) => sum + value, 0) / own.length
    })
    const found = weightsOf(model).get(name)!
    for (const [channel, mean] of expected.entries()) expect(found[channel]).toBeCloseTo(mean, 4)
  })

  it('refuses a provider for the engine that has none', async () => {
    const training = train(dropoutNet(), settingsFor({ engine: 'tfjs' }, { provider: 'wasm' }))
    await expect(training).rejects.toThrow(
      "training: engine 'tfjs' runs on the CPU alone: provider 'wasm' — leave the provider out",
    )
  })

  it('multiplies the rate of chosen layers', async () => {
    const optimizer = optimizerOptions.parse({ name: 'sgd', rate: 0.1, momentum: 0 })
    const once = (rates: Record<string, number>) =>
      train(
        residualNet(),
        settingsFor({ epochs: 1, batch: 96, optimizer, schedule: 'constant', rates }),
      )
    const start = weightsOf(residualNet())
    const [plain, fast] = [
      weightsOf((await once({})).model),
      weightsOf((await once({ 'stem*': 10 })).model),
    ]
    for (const [name, values] of start) {
      if (/\.(mean|var)$/.test(name)) continue
      const factor = name.startsWith('stem') ? 10 : 1
      for (const [index, value] of values.entries()) {
        const expected = value + factor * (plain.get(name)![index]! - value)
        expect(fast.get(name)![index]).toBeCloseTo(expected, 4)
      }
    }
    await expect(once({ nothing: 2 })).rejects.toThrow(/^rates: matches no layer: 'nothing'/)
  })

  it.each([
    [
      'outputs that do not fit the labels',
      { classes: 5 },
      /do not fit the labels: .* for 5 classes/,
    ],
    [
      'samples that do not fit the input',
      {
        validate: (model: Model) =>
          accuracyOf(model, {
            ...patterns(4, 2),
            columns: [{ name: 'x', dtype: 'float32', shape: [3, 8, 8] }],
          }),
      },
      /does not fit the data/,
    ],
  ])('refuses %s', async (_, rest, message) => {
    const training = train(residualNet(), settingsFor({ epochs: 1 }, rest))
    await expect(training).rejects.toThrow(UserError)
    await expect(training).rejects.toThrow(message)
  })

  it.each([
    [
      'Hardmax',
      /^model: no gradient reaches the weights: op 'Hardmax' \(node '\/odd'\) has none, /,
    ],
    ['Det', /^model: no gradient for op 'Det' \(node '\/odd', inputs \[4,4,4\] float32\)/],
  ])('refuses %s before the first step', async (opType, message) => {
    const { model, g } = newModel('unruly')
    const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
    const weight = tensorOf('float32', [128, classes], new Float32Array(128 * classes))
    const logits = g.MatMul(g.Flatten(x), weight)
    const squares = g.Reshape(logits, [4, classes, 4])
    const [odd] = g.node(opType, [opType === 'Det' ? squares : logits], { name: '/odd' })
    g.output('y', opType === 'Det' ? g.Add(logits, g.Unsqueeze(g.ReduceSum(odd, [0]), [1])) : odd!)
    const progress = () => {
      throw new Error('a step was taken')
    }
    const training = train(model, settingsFor({}, { progress }))
    await expect(training).rejects.toThrow(UserError)
    await expect(training).rejects.toThrow(message)
  })
})
