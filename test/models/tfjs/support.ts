// Models of TensorFlow.js written to folders, and both sides run on the same input.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import type * as TensorFlow from '@tensorflow/tfjs'
import { random } from '../../../base/random.ts'
import { convertTfjs } from '../../../models/tfjs/convert.ts'
import type { Model } from '../../../onnx/graph.ts'
import { type ArrayType, numbers, sizeOf, Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { loadTensorFlow } from '../../../train/engines/tfjs/tensorflow.ts'
import { temporaryFolder } from '../../support/measured.ts'

type TfTensor = TensorFlow.Tensor

/** TensorFlow.js in plain JavaScript. */
export const { tf } = await loadTensorFlow('cpu')

const root = temporaryFolder()
let count = 0

/** An empty folder of its own. */
export function newFolder(): string {
  const folder = join(root, String(count++))
  mkdirSync(folder)
  return folder
}

/** How weights are stored. */
export type Storage = 'float32' | 'float16' | 'uint8' | 'uint16'

/** Seeded numbers, normally distributed. */
export function normals(size: number, seed: string): Float32Array {
  const { normal } = random(1, seed)
  return Float32Array.from({ length: size }, () => normal())
}

/** Gives every weight of a model seeded values; variances are positive. */
function fillWeights(model: TensorFlow.LayersModel): void {
  const weights = model.getWeights().map((weight, index) => {
    const values = normals(weight.size, `weight ${index}`).map((value) => value * 0.4)
    const isVariance = model.weights[index]!.name.endsWith('variance')
    const used = isVariance ? values.map((value) => 0.5 + Math.abs(value)) : values
    return tf.tensor(used, weight.shape)
  })
  model.setWeights(weights)
}

/** A model.json's entry of a weight. */
export interface Entry {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: string
  readonly quantization?: { readonly dtype: string; readonly scale?: number; readonly min?: number }
}

/** Quantizes float32 weights as the tfjs converter does: affine over the range of each weight. */
function stored(
  entry: Entry,
  bytes: Uint8Array,
  storage: Storage,
): { entry: Entry; bytes: Uint8Array } {
  if (storage === 'float32' || entry.dtype !== 'float32') return { entry, bytes }
  const values = new Float32Array(bytes.slice().buffer)
  if (storage === 'float16') {
    const halves = Uint16Array.from(values, halfBits)
    return {
      entry: { ...entry, quantization: { dtype: storage } },
      bytes: new Uint8Array(halves.buffer),
    }
  }
  const most = storage === 'uint8' ? 255 : 65535
  const [min, max] = [Math.min(...values), Math.max(...values)]
  const scale = (max - min) / most || 1
  const cells = Array.from(values, (value) => Math.round((value - min) / scale))
  const array = storage === 'uint8' ? Uint8Array.from(cells) : Uint16Array.from(cells)
  return {
    entry: { ...entry, quantization: { dtype: storage, scale, min } },
    bytes: new Uint8Array(array.buffer),
  }
}

/** The bits of the nearest float16 of a normal number, ties upwards. */
function halfBits(value: number): number {
  const magnitude = Math.abs(value)
  if (magnitude < 2 ** -14) return 0
  const exponent = Math.floor(Math.log2(magnitude))
  const fraction = Math.round((magnitude / 2 ** exponent - 1) * 1024)
  return (value < 0 ? 0x8000 : 0) + ((exponent + 15) << 10) + fraction
}

/** Writes a model.json and two shards; gives its path. */
export function writeModel(
  topology: object,
  entries: readonly { readonly entry: Entry; readonly bytes: Uint8Array }[],
  more: object,
): string {
  const folder = newFolder()
  const whole = Buffer.concat(entries.map(({ bytes }) => bytes))
  // The cut falls within a weight, as it does in real models.
  const middle = Math.floor(whole.length / 2)
  const paths = ['group1-shard1of2.bin', 'group1-shard2of2.bin']
  writeFileSync(join(folder, paths[0]!), whole.subarray(0, middle))
  writeFileSync(join(folder, paths[1]!), whole.subarray(middle))
  const weightsManifest = [{ paths, weights: entries.map(({ entry }) => entry) }]
  const path = join(folder, 'model.json')
  writeFileSync(path, JSON.stringify({ ...more, modelTopology: topology, weightsManifest }))
  return path
}

/** Saves a layers model with seeded weights. */
export async function saveLayers(
  model: TensorFlow.LayersModel,
  storage: Storage = 'float32',
): Promise<string> {
  fillWeights(model)
  let path = ''
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      const bytes = new Uint8Array(artifacts.weightData as ArrayBuffer)
      let offset = 0
      const entries = (artifacts.weightSpecs ?? []).map((spec) => {
        const entry = spec as Entry
        const length = sizeOf(entry.shape) * 4
        const part = bytes.slice(offset, offset + length)
        offset += length
        return stored(entry, part, storage)
      })
      path = writeModel(artifacts.modelTopology!, entries, { format: 'layers-model' })
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
    }),
  )
  return path
}

/** What TensorFlow.js reads of a file written by {@link writeModel}. */
export function handlerOf(content: {
  readonly topology: object
  readonly entries: readonly { readonly entry: Entry; readonly bytes: Uint8Array }[]
  readonly more: object
}): TensorFlow.io.IOHandler {
  const data = Buffer.concat(content.entries.map(({ bytes }) => bytes))
  return {
    load: async () => ({
      ...content.more,
      modelTopology: content.topology,
      weightSpecs: content.entries.map(({ entry }) => entry as TensorFlow.io.WeightsManifestEntry),
      weightData: Uint8Array.from(data).buffer,
    }),
  }
}

/** Seeded input for a placeholder: integers below 5 for int32. */
export function sample(name: string, dtype: string, shape: readonly (number | null)[], batch = 2) {
  const dims = shape.map((dim, axis) => (dim !== null && dim > 0 ? dim : axis === 0 ? batch : 3))
  const values = normals(sizeOf(dims), `input ${name}`)
  const limit = dtype === 'bool' ? 2 : 5
  const used =
    dtype === 'float32' ? values : values.map((value) => Math.floor(Math.abs(value * 9)) % limit)
  const onnx =
    dtype === 'bool'
      ? new Tensor('bool', dims, Uint8Array.from(used))
      : tensorOf(dtype as ArrayType, dims, Array.from(used))
  return {
    tfjs: tf.tensor(used, dims, dtype as 'float32'),
    onnx,
  }
}

/** Runs a converted model without rewriting, so that it is the file that is checked. */
export const runOnnx = (
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> =>
  withSession(model, { optimization: 'disabled' }, (session) => session.run(feeds))

/** Expects values within 1e-5 of what TensorFlow.js gives, or of 1e-5 of the largest one. */
export function expectClose(actual: Tensor | undefined, expected: TfTensor): void {
  expect(actual?.dims).toEqual(expected.shape)
  const wanted = Array.from(expected.dataSync())
  const got = actual?.dtype === 'bool' ? Array.from(actual.bytes) : numbers(actual!)
  const scale = Math.max(1, ...wanted.map(Math.abs))
  const worst = Math.max(0, ...wanted.map((value, index) => Math.abs(value - got[index]!) / scale))
  expect(worst).toBeLessThanOrEqual(1e-5)
}

/** Saves, converts and runs a layers model; expects the outputs of TensorFlow.js. Gives the converted model. */
export async function expectSameLayers(
  model: TensorFlow.LayersModel,
  { storage = 'float32' as Storage, batch = 2 } = {},
): Promise<Model> {
  const path = await saveLayers(model, storage)
  const converted = await convertTfjs(path)
  expect(converted.graph.inputs.map(({ name }) => name)).toEqual(model.inputNames)
  const feeds = model.inputs.map((input) => sample(input.name, input.dtype, input.shape, batch))
  const source = storage === 'float32' ? model : await reloaded(path)
  const expected = [source.predict(feeds.map(({ tfjs }) => tfjs))].flat() as TfTensor[]
  const results = await runOnnx(
    converted,
    Object.fromEntries(model.inputNames.map((name, index) => [name, feeds[index]!.onnx])),
  )
  const names = converted.graph.outputs.map(({ name }) => name)
  expect(names.length).toBe(expected.length)
  for (const [index, tensor] of expected.entries()) expectClose(results[names[index]!], tensor)
  return converted
}

/** The saved model as TensorFlow.js reads it, which is how it understands quantized weights. */
async function reloaded(path: string): Promise<TensorFlow.LayersModel> {
  const { readFileSync } = await import('node:fs')
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(path, 'utf8'))
  const [{ paths, weights }] = weightsManifest
  const shards = paths.map((shard: string) => readFileSync(join(path, '..', shard)))
  const weightData = Uint8Array.from(Buffer.concat(shards)).buffer
  return await tf.loadLayersModel({
    load: async () => ({ modelTopology, weightSpecs: weights, weightData }),
  })
}

/** How many nodes of one operator a model has. */
export const countOf = (model: Model, opType: string): number =>
  model.graph.nodes.filter((node) => node.opType === opType).length
