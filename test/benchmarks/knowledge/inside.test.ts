// What measuring processes do with the inside of models: features and gradients.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { pick, type Samples } from '../../../base/samples.ts'
import { changed, inputFacts } from '../../../benchmarks/knowledge/changes.ts'
import { penultimate, withFeatures } from '../../../benchmarks/knowledge/features.ts'
import {
  type GradientOf,
  gradientModel,
  withLabels,
} from '../../../benchmarks/knowledge/gradients.ts'
import { temperatureOf } from '../../../benchmarks/knowledge/observe.ts'
import { writePredictions } from '../../../benchmarks/predictions-file.ts'
import { evenlySpread, truthOf } from '../../../benchmarks/sampling.ts'
import type { Dataset } from '../../../data/dataset.ts'
import { openData } from '../../../data/open.ts'
import { preprocessOptions } from '../../../data/preprocess.ts'
import { dataOptions } from '../../../data/sources.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { loadModel } from '../../../onnx/load.ts'
import { dataTypes, tensorOf } from '../../../onnx/tensor.ts'
import { predict, predictWith } from '../../../runtime/predict.ts'
import { openSession, withSession } from '../../../runtime/session.ts'
import { temporaryFolder, threeClasses } from '../../support/measured.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'

const folder = temporaryFolder()

/** A model of two products, x [N, 4] to 5 features to 3 logits. */
function twoProducts({ softmax = false, half = false } = {}): Model {
  const { model, g } = newModel('two products')
  const weights = (rows: number, columns: number) =>
    tensorOf(
      'float32',
      [rows, columns],
      Array.from({ length: rows * columns }, (_, i) => Math.sin(i * i + rows)),
    )
  const cast = (value: ReturnType<typeof g.Relu>, dtype: 'float16' | 'float32') =>
    half ? g.Cast(value, { to: dataTypes[dtype].code }) : value
  const weight = (rows: number, columns: number) =>
    cast(g.constant(weights(rows, columns)), 'float16')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
  const hidden = g.Tanh(g.MatMul(cast(x, 'float16'), weight(4, 5)))
  hidden.name = 'hidden'
  const logits = cast(g.MatMul(hidden, weight(5, 3)), 'float32')
  g.output('y', softmax ? g.Softmax(logits) : logits, { dtype: 'float32', shape: ['N', 3] })
  return model
}

/** The gradients of a model for samples, as a measuring process computes them. */
async function gradientsOf(
  model: Model,
  data: Pick<Dataset, 'classes' | 'labels'>,
  samples: Samples,
  of: GradientOf,
  temperature = 1,
) {
  const session = await openSession(model)
  const { inputs } = session
  await session.dispose()
  const column = 0
  const classes = data.classes.length
  const settings = { of, temperature, inputs, samples, column, classes, where: 'model' }
  const gradient = await gradientModel(model, settings)
  return await withSession(gradient, {}, (open) =>
    predictWith(
      open,
      of === 'largest' ? samples : withLabels(samples, data.labels, open.inputs.at(-1)!.name),
    ),
  )
}

const data = threeClasses(100)

/** Features, logits and what differences say of the gradient, in float64 from the weights of `twoProducts`. */
function answer(x: readonly number[]): number[] {
  const weight = (rows: number, columns: number, row: number, column: number) =>
    Math.fround(Math.sin((row * columns + column) ** 2 + rows))
  const times = (v: readonly number[], columns: number) =>
    Array.from({ length: columns }, (_, column) =>
      v.reduce((sum, value, row) => sum + value * weight(v.length, columns, row, column), 0),
    )
  return times(times(x, 5).map(Math.tanh), 3)
}

const numbersOf: Readonly<Record<GradientOf, (z: readonly number[], label: number) => number>> = {
  largest: (z) => Math.max(...z),
  'cross-entropy': (z, label) =>
    Math.log(z.reduce((sum, value) => sum + Math.exp(value), 0)) - z[label]!,
}

describe('gradientModel', () => {
  it.each([
    ['largest', {}, 1e-4],
    ['cross-entropy', {}, 1e-4],
    ['largest', { softmax: true }, 1e-4],
    ['cross-entropy', { softmax: true }, 1e-4],
    ['cross-entropy', { half: true }, 1e-4],
  ] as const)('gives the gradient of %s of %o by the input', async (of, what, tolerance) => {
    const found = await gradientsOf(twoProducts(what), data, data, of)
    expect(found).toMatchObject({ size: 100, width: 4 })
    const x = new Float32Array(4)
    for (const index of [0, 63, 64, 99]) {
      data.read(index, 0, x, 0)
      const value = (changed: readonly number[]) =>
        numbersOf[of](answer(changed), data.labels[index]!)
      for (const [i, own] of found.row(index).entries()) {
        const moved = (by: number) => [...x].map((each, at) => (at === i ? each + by : each))
        const expected = (value(moved(1e-5)) - value(moved(-1e-5))) / 2e-5
        expect(Math.abs(own - expected)).toBeLessThan(tolerance)
      }
    }
  })

  it('takes weights in few bits as the floats that they stand for', async () => {
    const { model, g } = newModel('packed')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const codes = Uint8Array.from({ length: 3 * 16 }, (_, at) => 120 + (at % 16) + (at >> 4))
    const inputs = [x, tensorOf('uint8', [3, 1, 16], codes), tensorOf('float32', [3], [1, 0, -1])]
    const attributes = { K: 4, N: 3, bits: 8, block_size: 16 }
    const [y] = g.node('MatMulNBits', inputs, { domain: 'com.microsoft', attributes })
    g.output('y', y!, { dtype: 'float32', shape: ['N', 3] })
    const found = await gradientsOf(model, data, data, 'largest')
    // The largest logit is one of them, so its gradient is a row of the weights.
    const rows = [
      [-8, -7, -6, -5],
      [0, 0, 0, 0],
      [6, 5, 4, 3],
    ].map((row) => row.join())
    for (let index = 0; index < 100; index++)
      expect(rows).toContain([...found.row(index)].map((value) => value + 0).join())
  })

  it('says why a quantized model has none', async () => {
    const { model, g } = newModel('quantized')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const scale = tensorOf('float32', [], [0.1])
    const levels = g.DequantizeLinear(g.QuantizeLinear(x, scale), scale)
    const weights = tensorOf('float32', [4, 3], new Float32Array(12).fill(1))
    g.output('y', g.MatMul(levels, weights), { dtype: 'float32', shape: ['N', 3] })
    await expect(gradientsOf(model, data, data, 'largest')).rejects.toThrow(
      'it is quantized: no gradient passes through integers',
    )
  })
})

describe('withFeatures', () => {
  it('gives what enters the last product, and values by name', async () => {
    const model = twoProducts({ softmax: true })
    expect(penultimate(model.graph)?.name).toBe('hidden')
    const few = pick(data, [0, 1])
    const run = async (name?: string) =>
      withSession(withFeatures(model, name, 'model'), {}, (session) => predictWith(session, few))
    const features = await run()
    expect(features.width).toBe(5)
    expect((await run('hidden')).outputs).toEqual(features.outputs)
    expect((await run('x')).width).toBe(4)
    await expect(run('hiden')).rejects.toThrow(/has no value of that name: 'hiden'.*hidden/)
    expect(model.graph.outputs).toHaveLength(1)
  })

  it('takes the floats before they are quantized', () => {
    const { model, g } = newModel('integers')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const features = g.Relu(x)
    const [levels, scale, zero] = g.node('DynamicQuantizeLinear', [features], { outputs: 3 })
    const weights = tensorOf('int8', [4, 3], new Int8Array(12))
    const [sums] = g.node('MatMulInteger', [levels, weights, zero])
    const product = g.Mul(g.Cast(sums, { to: dataTypes.float32.code }), scale)
    g.output('y', product, { dtype: 'float32', shape: ['N', 3] })
    expect(penultimate(model.graph)).toBe(features)
  })

  it('knows of none where the input itself makes the logits', () => {
    const { model, g } = newModel('linear')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const weights = tensorOf('float32', [4, 3], new Float32Array(12))
    g.output('y', g.MatMul(x, weights), { dtype: 'float32', shape: ['N', 3] })
    expect(penultimate(model.graph)).toBeUndefined()
    expect(() => withFeatures(model, undefined, 'linear')).toThrow('has no features')
  })
})

describe('a step along the gradient', () => {
  itWithShared('misleads a real model of digits more than noise of the same size', async () => {
    const { splits } = await openData(dataOptions.parse({ source: 'digits' }), {
      ...{ seed: 1, target: 'class', version: 'test', cacheFolder: folder, log: () => undefined },
      preprocess: preprocessOptions.parse({ scale: 1 }),
    })
    const test = splits.test
    const model = await loadModel(sharedModel('mnist-8-ortweb.onnx'))
    const indices = evenlySpread(test, 200)
    const truth = truthOf(test, indices)
    const chosen = pick(test, indices)
    const answers = await predict(model, chosen)
    const all = Uint32Array.from({ length: chosen.size }, (_, index) => index)
    const labelled = { ...test, labels: truth.labels }
    const temperature = temperatureOf(answers, all)
    // Its logits are large: without a temperature most gradients would be zeros.
    expect(temperature).toBeGreaterThan(5)
    const found = await gradientsOf(model, labelled, chosen, 'cross-entropy', temperature)
    const writer = writePredictions(join(folder, 'steps.predictions'))
    writer.add(found.outputs, found.widths)
    const directions = writer.finish(found.size)
    const facts = inputFacts(test, indices)
    if (typeof facts === 'string') throw new Error(facts)
    const size = 0.4 * Number(facts.deviation)
    const { column } = facts
    const right = (samples: Samples) =>
      withSession(model, {}, async (session) => {
        const answers = await predictWith(session, samples)
        return truth.labels.reduce((sum, label, row) => {
          const answer = answers.row(row)
          return sum + Number(answer.indexOf(Math.max(...answer)) === label)
        }, 0)
      })
    const noisy = await changed(test, indices, { kind: 'noise', column, deviation: size, seed: 1 })
    const stepped = await changed(test, indices, { kind: 'step', column, directions, size })
    const [clean, underNoise, underSteps] = [
      await right(chosen),
      await right(noisy),
      await right(stepped),
    ]
    stepped.close()
    expect(clean).toBeGreaterThan(190)
    expect(underNoise).toBeGreaterThan(clean - 10)
    expect(underSteps).toBeLessThan(underNoise - 30)
  })
})
