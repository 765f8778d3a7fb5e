// What must be true of every shared model after it was loaded, copied and saved.
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from '@jest/globals'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { random } from '../../base/random.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { printGraph } from '../../onnx/text.ts'
import { sharedIsPresent, sharedModel } from '../support/shared.ts'
import { referenceDecode } from './reference.ts'

/** The names of all shared models. */
export const files = sharedIsPresent
  ? readdirSync(sharedModel('')).filter((file) => file.endsWith('.onnx'))
  : []
/** Of opset 1 of 2017, which ONNX Runtime does not run any more. */
export const tooOld = 'mnist-onnxmodels-2017.onnx'

/** Sizes of free dimensions, where 1 will not do. */
const shapes: Record<string, Record<string, number[]>> = {
  'byte-sb-bidi-lstm.onnx': { input: [2, 16] },
  'optimum-test-asset.onnx': { input_ids: [1, 8], attention_mask: [1, 8] },
  'ppocr-det-ch-v3.onnx': { x: [1, 3, 64, 64] },
  'silero-vad.onnx': { input: [1, 512], state: [2, 1, 128] },
  'silero-vad-op18-ifless.onnx': { input: [1, 576], state: [2, 1, 128] },
}

/** What ONNX Runtime answers on drawn inputs, by output. */
export async function outputsOf(bytes: Uint8Array, file: string): Promise<[string, Uint8Array][]> {
  const session = await InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  })
  const { uniform } = random(1, file)
  const feeds: Record<string, Tensor> = {}
  for (const input of session.inputMetadata) {
    if (!input.isTensor) throw new Error(`${file} has an input that is no tensor`)
    const dims =
      shapes[file]?.[input.name] ?? input.shape.map((dim) => (typeof dim === 'number' ? dim : 1))
    const size = dims.reduce((product, dim) => product * dim, 1)
    const fill = (range: number) =>
      Array.from({ length: size }, () => Math.floor(uniform() * range))
    if (input.name === 'sr') feeds.sr = new Tensor('int64', [16000n], [])
    else if (input.type === 'int64')
      feeds[input.name] = new Tensor('int64', BigInt64Array.from(fill(2), BigInt), dims)
    else if (input.type === 'int32')
      feeds[input.name] = new Tensor('int32', Int32Array.from(fill(256)), dims)
    else if (input.type === 'uint8')
      feeds[input.name] = new Tensor('uint8', Uint8Array.from(fill(256)), dims)
    else
      feeds[input.name] = new Tensor('float32', Float32Array.from({ length: size }, uniform), dims)
  }
  const results = await session.run(feeds)
  await session.release()
  return Object.entries(results).map(([name, { data }]) => {
    const { buffer, byteOffset, byteLength } = data as Float32Array
    return [name, new Uint8Array(buffer, byteOffset, byteLength)]
  })
}

/** Those that take long: others of their kind are quick. */
export const isLarge = (file: string): boolean =>
  /^(basic-pitch|light-densenet121|light-resnet50|super-resolution-10|yolox-nano)/.test(file)

/** Expects a model to say the same after it was loaded and saved, field by field. */
export function expectSameFields(file: string): void {
  const bytes = readFileSync(sharedModel(file))
  const saved = serializeModel(parseModel(bytes, file))
  expect(referenceDecode(saved)).toEqual(referenceDecode(bytes))
  // And a second time nothing moves any more.
  expect(Buffer.compare(serializeModel(parseModel(saved)), saved)).toBe(0)
}

/** Expects a model to compute the same bits after it was loaded and saved. */
export async function expectSameBits(file: string): Promise<void> {
  const bytes = readFileSync(sharedModel(file))
  const saved = serializeModel(await loadModel(sharedModel(file)))
  const before = await outputsOf(bytes, file)
  const after = await outputsOf(saved, file)
  expect(before.length).toBeGreaterThan(0)
  expect(after.map(([name]) => name)).toEqual(before.map(([name]) => name))
  for (const [index, [, output]] of before.entries())
    expect(Buffer.compare(after[index]![1], output)).toBe(0)
}

/** Expects a model to have a copy that prints and saves the same. */
export async function expectSameCopy(file: string): Promise<void> {
  const model = await loadModel(sharedModel(file))
  const copy = cloneModel(model)
  expect(printGraph(copy.graph)).toBe(printGraph(model.graph))
  expect(Buffer.compare(serializeModel(copy), serializeModel(model))).toBe(0)
}
