// What real models must be after quantization; those that take long are in the slow tests.
import { expect } from '@jest/globals'
import type { Dataset } from '../../../data/dataset.ts'
import { type OpenData, openData } from '../../../data/open.ts'
import { preprocessOptions } from '../../../data/preprocess.ts'
import { dataOptions } from '../../../data/sources.ts'
import type { Model } from '../../../onnx/graph.ts'
import { loadModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { predict } from '../../../runtime/predict.ts'
import { withSession } from '../../../runtime/session.ts'
import { machineAdvice } from '../../../stages/quantize/machine.ts'
import { sharedData, sharedModel } from '../../support/shared.ts'
import { firstSample, quantized, runOnce, samplesOf } from './support.ts'

const number = (summary: string | undefined, name: string): number =>
  Number(new RegExp(`${name} ([\\d.]+)`).exec(summary ?? '')?.[1])

/**
 * A model in 8 bits: how close it must be by which measure, and how many kernels must run on integers. Where sums of 8-bit
 * products saturate weights have 7 bits, and it may have to be less close.
 */
export type StaticRow = readonly [
  file: string,
  shape: readonly number[],
  scale: number,
  measure: 'agreement' | 'cosine',
  least: number | { readonly 7: number; readonly 8: number },
  kernels: number,
]

/** Expects that a model with activations in 8 bits is close to its input and runs on integers. */
export async function expectStatic(row: StaticRow): Promise<void> {
  const [file, shape, scale, measure, least, kernels] = row
  const { model, facts } = await quantized(
    await loadModel(sharedModel(file)),
    { scheme: 'static' },
    samplesOf(shape, shape[1]! > 100 ? 2 : 8, scale),
  )
  const { weightBits } = await machineAdvice('cpu')
  const floor = typeof least === 'number' ? least : least[weightBits]
  expect(number(facts.summary, measure)).toBeGreaterThanOrEqual(floor)
  expect(number(facts.summary, 'samples:')).toBeGreaterThanOrEqual(kernels)
  expect(serializeModel(model).length).toBeGreaterThan(1000)
}

/** Expects that integer operators give what the pairs around float ones give, to a 255th of the output's extent. */
export async function expectOperators([file, shape, scale]: readonly [
  file: string,
  shape: readonly number[],
  scale: number,
]): Promise<void> {
  const float = await loadModel(sharedModel(file))
  const data = samplesOf(shape, shape[1]! > 100 ? 1 : 4, scale)
  const pairs = await quantized(float, { scheme: 'static' }, data)
  const { model } = await quantized(float, { scheme: 'static', format: 'qoperator' }, data)
  expect(serializeModel(model).length).toBeLessThan(serializeModel(pairs.model).length)
  const input = firstSample(data)
  const [expected, found] = [await runOnce(pairs.model, input), await runOnce(model, input)]
  const most = (of: (value: number, index: number) => number) =>
    expected.reduce((largest, value, index) => Math.max(largest, of(value, index)), -Infinity)
  const extent = most((value) => value) + most((value) => -value)
  const difference = most((value, index) => Math.abs(found[index]! - value))
  expect(difference).toBeLessThanOrEqual((1.01 * extent) / 255)
}

/** Expects that a model with weights in 8 bits, and one of half precision, opens in WebAssembly and is close. */
export async function expectSmaller(file: string): Promise<void> {
  const float = await loadModel(sharedModel(file))
  for (const [scheme, least] of [
    ['dynamic', 0.98],
    ['float16', 0.99],
  ] as const) {
    const { model, facts } = await quantized(float, { scheme })
    expect(number(facts.summary, 'cosine')).toBeGreaterThan(least)
    await withSession(model, { provider: 'wasm' }, async (session) => {
      expect(session.outputs.length).toBeGreaterThan(0)
    })
  }
}

/** Read once for all tests of a file. */
let opened: Promise<OpenData> | undefined
const cifar = () => {
  opened ??= openData(
    dataOptions.parse({
      source: 'cifar10',
      train: { limit: 2000 },
      test: { limit: 1000 },
    }),
    {
      seed: 1,
      target: 'class',
      preprocess: preprocessOptions.parse({ mean: 0.5, std: 0.5 }),
      version: 'test',
      calibration: 64,
      cacheFolder: '/nowhere',
      dataFolder: sharedData,
      log: () => undefined,
    },
  )
  return opened
}

/** Expects that ResNet-20 keeps its accuracy on CIFAR-10. */
export async function expectAccurate(method: 'minmax' | 'entropy'): Promise<void> {
  const { splits } = await cifar()
  const float = await loadModel(sharedModel('conv-distiller-resnet20-dense-cifar10.onnx'))
  const options = { scheme: 'static', calibration: { method, samples: 32 } } as const
  const { model, facts } = await quantized(float, options, splits.calibration)
  expect(facts.summary).toMatch(/33 of 33 operators in 8 bits/)
  expect(serializeModel(model).length).toBeLessThan(300_000)
  const [before, after] = [await classes(float, splits.test), await classes(model, splits.test)]
  const right = (found: readonly number[]) =>
    found.filter((label, index) => label === splits.test.labels[index]).length
  expect(Math.abs(right(after) - right(before))).toBeLessThanOrEqual(10)
  expect(after.filter((label, index) => label === before[index]).length).toBeGreaterThan(970)
}

async function classes(model: Model, data: Dataset): Promise<number[]> {
  const { outputs, width } = await predict(model, data)
  return Array.from({ length: data.size }, (_, row) => {
    const scores = outputs.subarray(row * width, (row + 1) * width)
    return scores.indexOf(Math.max(...scores))
  })
}
