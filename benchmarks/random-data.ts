// Test data for models of which no data is at hand: random inputs, of which nothing is known that could be predicted.
import { UserError } from '../base/errors.ts'
import type { InputSource } from '../base/samples.ts'
import type { Dataset } from '../data/dataset.ts'
import { preprocessOptions } from '../data/preprocess.ts'
import { layOut, memoryWriter, viewsOf } from '../data/store.ts'
import { storedDataset } from '../data/stored-dataset.ts'
import { numbers } from '../onnx/tensor.ts'
import { type RandomOptions, randomFeeds } from '../runtime/random-feeds.ts'
import type { ValueInfo } from '../runtime/session.ts'

/** What a report calls the data. */
export const randomSource = 'random inputs'

/** Samples that are made up: enough for the batches whose latency is measured. */
const samples = 64

/**
 * Makes up samples for the inputs of a model; free dimensions are 1 unless their shape is told.
 *
 * Inputs whose first dimension is the batch become columns; the others, and those with a constant, always get the same. An
 * input of text without a constant, a shape that does not fit or has another batch than 1, and an unknown name are a
 * {@link UserError}.
 */
export function randomDataset(
  inputs: readonly ValueInfo[],
  options: Omit<RandomOptions, 'batch'>,
): Dataset {
  const { where, seed, shapes = {}, constants: given = {} } = options
  const columns = batchedInputs(inputs).filter(({ name }) => !Object.hasOwn(given, name))
  const shapeOf = ({ name, shape }: ValueInfo) =>
    Object.hasOwn(shapes, name) ? shapes[name]! : shape
  for (const { name, shape } of columns) {
    const [batch] = shapes[name] ?? [1]
    if (typeof shape[0] !== 'number' && batch !== 1)
      throw new UserError(
        `${where}: input '${name}': its first dimension is the batch, of which several are measured: '${batch}' — write 1`,
      )
  }
  const plain = inputs.map((input) => ({ ...input, dtype: storedType(input) }))
  const layout = layOut(
    columns.map((column) => ({
      name: column.name,
      dtype: isFloat(column.dtype) ? ('float32' as const) : ('int32' as const),
      shape: shapeOf(column)
        .slice(1)
        .map((dim) => (typeof dim === 'number' ? dim : 1)),
    })),
  )
  const writer = memoryWriter(layout, randomSource, samples)
  for (let sample = 0; sample < samples; sample++) {
    const feeds = randomFeeds(plain, { ...options, seed: seed + sample })
    for (const [at, view] of viewsOf(layout, writer.record).entries())
      view.set(numbers(feeds[columns[at]!.name]!).slice(0, view.length))
    writer.next()
  }
  const store = writer.finish()
  const constants = inputs.filter((input) => !columns.includes(input))
  const feeds = randomFeeds(plain, options)
  return storedDataset({
    ...{ source: randomSource, store, classes: [], group: 1, targetNames: [] },
    indices: Uint32Array.from({ length: samples }, (_, index) => index),
    labels: new Int32Array(samples),
    preprocess: preprocessOptions.parse({}),
    inputs: Object.fromEntries(
      constants.map((input): [string, InputSource] => {
        const { name } = input
        if (Object.hasOwn(given, name)) return [name, { constant: given[name]! }]
        // One whose size depends on the batch gets zeros, as state begins with.
        const isWhole = shapeOf(input).every((dim) => typeof dim === 'number')
        return [name, { constant: isWhole ? numbers(feeds[name]!) : 0 }]
      }),
    ),
  })
}

const isFloat = (dtype: string): boolean => /float/.test(dtype)

/** Numbers are made up in the type that samples are stored in. */
const storedType = ({ dtype }: ValueInfo): ValueInfo['dtype'] =>
  dtype === 'string' ? dtype : isFloat(dtype) ? 'float32' : 'int32'

/** The inputs whose first dimension is the batch: it is free, or the same number for all. */
function batchedInputs(inputs: readonly ValueInfo[]): readonly ValueInfo[] {
  const ranked = inputs.filter(({ shape }) => shape.length > 0)
  const free = ranked.filter(({ shape }) => typeof shape[0] !== 'number')
  return free.length > 0 ? free : ranked.filter(({ shape }) => shape[0] === ranked[0]!.shape[0])
}
