// TensorFlow.js as an engine, with its own automatic differentiation, against our gradient graph on ONNX Runtime.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { type ArchitectureInput, buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { loadTensorFlow } from '../../train/engines/tfjs/tensorflow.ts'
import { openTfjsTraining } from '../../train/engines/tfjs/training.ts'
import { train } from '../../train/loop.ts'
import { type Definition, splitGraph } from '../../train/training-graph.ts'
import { itWithShared } from '../support/shared.ts'
import { backends, compareEngines, type Inputs, memoryOf } from './cross-engine.ts'
import { drawInputs, matching, realModels } from './real-models.ts'
import { dropoutNet, classes as patternClasses, settingsFor } from './support.ts'
import {
  batch,
  classes,
  comparable,
  drawn,
  expectAgreement,
  expectExampleAgreement,
  expectNear,
  losses,
  small,
  update,
} from './tfjs-architectures.ts'

/** A small net whose training has BatchNormalization. */
const net = (): Definition => ({
  model: buildArchitecture(
    { architecture: 'resnet', depth: 8, width: 2 },
    { ...oneInput([2, 6, 6], classes), seed: 4 },
  ),
  forward: { batch, losses, classes, freeze: [], batchStatistics: true, dropout: true },
  update,
})

const scalar = (value: number) => tensorOf('float32', [], [value])

describe.each(backends)('TensorFlow.js on %s', (backend) => {
  it.each<ArchitectureInput>(small.quick)(
    'agrees on loss and gradient of $architecture',
    (options) => expectAgreement(options, backend),
  )

  it.each(comparable.quick)('agrees on loss and gradient of the example %s', (...example) =>
    expectExampleAgreement(example, backend),
  )

  it('agrees on loss and gradient of a net with Dropout', async () => {
    const forward = {
      ...{ batch, losses, classes: patternClasses, freeze: [] },
      ...{ batchStatistics: true, dropout: true },
    }
    expectNear(await compareEngines({ model: dropoutNet(), forward, update }, drawn, backend))
  })

  const quick = realModels.filter(({ file }) => file.startsWith('mnist-8'))
  itWithShared.each(quick)('agrees on loss and gradient of $file', async (real) => {
    const few = { ...real, batch: 1 }
    const definition = await matching(few)
    const inputs: Inputs = (feeds) => drawInputs(feeds, few, 1)
    expectNear(await compareEngines(definition, inputs, backend))
  })
  it('keeps no tensors from step to step, and leaves none', async () => {
    const { tf } = await loadTensorFlow(backend)
    const before = tf.memory().numTensors
    const graph = await splitGraph(net(), 'update')
    const training = await openTfjsTraining(graph.forward, graph.tail, { backend })
    const { feeds, fetches } = memoryOf(graph, drawn)
    const step = training.prepare({ ...feeds, hyper0: scalar(0.1) }, fetches)
    const counts: number[] = []
    for (let count = 0; count < 3; count++) {
      await step()
      counts.push(tf.memory().numTensors)
    }
    expect(new Set(counts).size).toBe(1)
    await training.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('reads what is fed anew at every step, and lets others have their turn between steps', async () => {
    const graph = await splitGraph(net(), 'update')
    const lines: string[] = []
    const log = (line: string) => void lines.push(line)
    const training = await openTfjsTraining(graph.forward, graph.tail, { backend, log })
    const { feeds, fetches, vectors } = memoryOf(graph, drawn)
    const step = training.prepare({ ...feeds, hyper0: scalar(0.1) }, fetches)
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    const losses: number[] = []
    for (let count = 0; count < 6; count++) {
      await step()
      losses.push(vectors.loss![0]!)
      elements(feeds.weights!, 'float32').set(vectors.weights_next!)
    }
    clearInterval(timer)
    await training.dispose()
    expect(turns).toBeGreaterThanOrEqual(3)
    expect(losses.at(-1)).toBeLessThan(losses[0]!)
    expect(lines).toEqual([expect.stringMatching(/^engine tfjs: .*TensorFlow\.js 4\./)])
  })

  it('says which feeds and fetches it does not know', async () => {
    const graph = await splitGraph(net(), 'update')
    const training = await openTfjsTraining(graph.forward, graph.tail, { backend, where: 'step' })
    const { feeds, fetches } = memoryOf(graph, drawn)
    const all = { ...feeds, hyper0: scalar(0.1) }
    expect(() => training.prepare(feeds, fetches)).toThrow("step: input 'hyper0' is missing")
    expect(() => training.prepare({ ...all, extra: scalar(0) }, fetches)).toThrow(
      "step: has no input tensor of that name: 'extra'",
    )
    expect(() => training.prepare(all, { extra: scalar(0) })).toThrow(
      "step: has no output tensor of that name: 'extra'",
    )
    await training.dispose()
  })
})

it('trains to the same accuracy as our own engine, with the same options', async () => {
  const options = { epochs: 2, accumulate: 2, average: 0.9, clip: 1 } as const
  const [ours, theirs] = await Promise.all(
    (['onnx', 'tfjs'] as const).map((engine) =>
      train(dropoutNet(), settingsFor({ ...options, engine })),
    ),
  )
  for (const [index, record] of ours!.epochs.entries()) {
    const other = theirs!.epochs[index]!
    expect(Math.abs(other.loss - record.loss)).toBeLessThan(1e-3 * record.loss)
    expect(other.score).toBeCloseTo(record.score, 6)
  }
})

it('is loaded only when it is used, and says nothing', () => {
  const script = `
    await import(${JSON.stringify(resolve('dist/train/engines/index.js'))})
    const { loadTensorFlow } = await import(${JSON.stringify(resolve('dist/train/engines/tfjs/tensorflow.js'))})
    if (globalThis._tfengine) throw new Error('loaded too early')
    const { tf } = await loadTensorFlow()
    tf.tidy(() => tf.grad((x) => tf.sum(tf.square(x)))(tf.tensor1d([1, 2])).dataSync())
  `
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', script],
    // Native libraries newer than the package's own say a line about oneDNN however they are told not to.
    { encoding: 'utf8', env: { ...process.env, TF_ENABLE_ONEDNN_OPTS: '0' } },
  )
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
})
