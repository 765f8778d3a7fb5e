// Running the real models before and after a change of their graphs.
import { readdirSync } from 'node:fs'
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { Model } from '../../onnx/graph.ts'
import { type ArrayType, numbers, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { type Session, withSession } from '../../runtime/session.ts'
import { sharedIsPresent, sharedModel } from './shared.ts'

/**
 * The files that ONNX Runtime runs: all but the one of opset 1. Jest refuses an empty table even for
 * tests that are skipped, so where there are none it has one row.
 */
export const runnableModels: readonly string[] = sharedIsPresent
  ? readdirSync(sharedModel('')).filter(
      (file) => file.endsWith('.onnx') && file !== 'mnist-onnxmodels-2017.onnx',
    )
  : ['no file']

/** Sizes of free dimensions, where 1 will not do. */
const shapes: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  'byte-sb-bidi-lstm.onnx': { input: [2, 16] },
  'optimum-test-asset.onnx': { input_ids: [1, 8], attention_mask: [1, 8] },
  'ppocr-det-ch-v3.onnx': { x: [1, 3, 64, 64] },
  'silero-vad.onnx': { input: [1, 512], state: [2, 1, 128] },
  'silero-vad-op18-ifless.onnx': { input: [1, 576], state: [2, 1, 128] },
}

/** Sizes of the free dimensions of those models, as `fixDims` takes them. */
export const freeDims: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'byte-sb-bidi-lstm.onnx': { batch: 2, length: 16 },
  'optimum-test-asset.onnx': { sequence: 8 },
  'ppocr-det-ch-v3.onnx': { 'x:2': 64, 'x:3': 64 },
  'silero-vad.onnx': { 'input:1': 512, 'state:1': 1 },
  'silero-vad-op18-ifless.onnx': { sequence: 576 },
}

/** Seeded inputs for one of the models; free dimensions without a size of their own are 1. */
export function sampleFeeds(session: Session, file: string): Record<string, Tensor> {
  const { uniform } = random(1, file)
  const feeds: Record<string, Tensor> = {}
  for (const { name, dtype, shape } of session.inputs) {
    const dims = shapes[file]?.[name] ?? shape.map((dim) => (typeof dim === 'number' ? dim : 1))
    const size = dims.reduce((product, dim) => product * dim, 1)
    const ranges: Readonly<Record<string, number>> = { int64: 2, int32: 256, uint8: 256 }
    const range = ranges[dtype]
    const draw = () => (range === undefined ? uniform() : Math.floor(uniform() * range))
    const values = name === 'sr' ? [16000] : Array.from({ length: size }, draw)
    feeds[name] = tensorOf(dtype as ArrayType, dims, values)
  }
  return feeds
}

/** The outputs of a model on its sample, run as it is written, without ONNX Runtime's rewriting. */
export const outputsOf = (model: Model, file: string): Promise<Record<string, Tensor>> =>
  withSession(model, { optimization: 'disabled', where: file }, (session) =>
    session.run(sampleFeeds(session, file)),
  )

/** Expects the same names, types, shapes and values, within a share of each output's largest value. */
export function expectSame(
  actual: Readonly<Record<string, Tensor>>,
  expected: Readonly<Record<string, Tensor>>,
  tolerance: number,
): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [name, tensor] of Object.entries(expected)) {
    const other = actual[name]!
    expect([name, other.dtype, other.dims]).toEqual([name, tensor.dtype, tensor.dims])
    if (tolerance === 0) expect(Buffer.compare(other.bytes, tensor.bytes)).toBe(0)
    else expect(difference(numbers(other), numbers(tensor))).toBeLessThanOrEqual(tolerance)
  }
}

/** The largest difference, as a share of the largest expected value (0.01 at least). */
function difference(actual: readonly number[], expected: readonly number[]): number {
  let [most, scale] = [0, 0.01]
  for (const [index, value] of expected.entries()) {
    const apart = Object.is(value, actual[index]) ? 0 : Math.abs(value - actual[index]!)
    most = Math.max(most, Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart)
    scale = Math.max(scale, Math.abs(value))
  }
  return most / scale
}
