import { describe, expect, it, jest } from '@jest/globals'
import type { SymbolicTensor } from '@tensorflow/tfjs'
import { convertTfjs } from '../../../models/tfjs/convert.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import {
  countOf,
  expectClose,
  expectSameLayers,
  normals,
  runOnnx,
  saveLayers,
  tf,
} from './support.ts'

const { layers } = tf
type Symbolic = SymbolicTensor

/** Convolutions with batch normalisation and a residual connection. */
function residualNet() {
  const input = tf.input({ shape: [12, 12, 3], name: 'image' })
  const normal = (x: Symbolic, filters: number, strides: number): Symbolic => {
    const options = { filters, kernelSize: 3, strides, padding: 'same' as const, useBias: false }
    const convolved = layers.conv2d(options).apply(x)
    return layers.batchNormalization().apply(convolved) as Symbolic
  }
  const relu = (x: Symbolic) => layers.reLU().apply(x) as Symbolic
  const stem = relu(normal(input, 4, 1))
  const inner = normal(relu(normal(stem, 8, 2)), 8, 1)
  const shortcut = layers.conv2d({ filters: 8, kernelSize: 1, strides: 2 }).apply(stem) as Symbolic
  const sum = relu(layers.add().apply([inner, shortcut]) as Symbolic)
  const joined = layers.concatenate().apply([sum, inner])
  const pooled = layers.globalAveragePooling2d({}).apply(joined)
  const classes = layers.dense({ units: 5, activation: 'softmax', name: 'classes' })
  return tf.model({ inputs: input, outputs: classes.apply(pooled) as Symbolic })
}

describe('whole nets', () => {
  it('converts a residual net and leaves one transpose, that of the image', async () => {
    const model = await expectSameLayers(residualNet())
    expect(countOf(model, 'Transpose')).toBe(1)
    expect(countOf(model, 'BatchNormalization')).toBe(3)
    expect(model.graph.inputs[0]?.type).toEqual({ dtype: 'float32', shape: ['N', 12, 12, 3] })
    expect(model.graph.outputs[0]?.name).toBe('classes')
    expect(model.opsets.get('')).toBe(21)
  })

  it('converts squeeze and excitation without a transpose of its own', async () => {
    const input = tf.input({ shape: [8, 8, 3] })
    const convolution = (filters: number, kernelSize: number, activation: 'relu' | 'sigmoid') =>
      layers.conv2d({ filters, kernelSize, activation, padding: 'same' })
    const x = convolution(6, 3, 'relu').apply(input) as Symbolic
    const means = layers.globalAveragePooling2d({}).apply(x)
    const squeezed = convolution(2, 1, 'relu').apply(
      layers.reshape({ targetShape: [1, 1, 6] }).apply(means),
    )
    const scale = convolution(6, 1, 'sigmoid').apply(squeezed) as Symbolic
    const product = layers.multiply().apply([x, scale])
    const output = layers.globalMaxPooling2d({}).apply(product) as Symbolic
    const model = await expectSameLayers(tf.model({ inputs: input, outputs: output }))
    expect(countOf(model, 'Transpose')).toBe(1)
  })

  it.each([1, 5])('runs the same file with a batch of %i', async (batch) => {
    await expectSameLayers(residualNet(), { batch })
  })

  it.each(['float16', 'uint8', 'uint16'] as const)('dequantizes weights of %s', async (storage) => {
    await expectSameLayers(residualNet(), { storage })
  })

  it('converts the same file to the same bytes', async () => {
    const path = await saveLayers(residualNet())
    const [a, b] = [await convertTfjs(path), await convertTfjs(path)].map((model) =>
      serializeModel(model),
    )
    expect(Buffer.compare(a!, b!)).toBe(0)
  })

  it('converts a convolutional net with a dense end', async () => {
    const net = tf.sequential({
      layers: [
        layers.conv2d({ filters: 4, kernelSize: 3, activation: 'relu', inputShape: [10, 10, 1] }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.dropout({ rate: 0.25 }),
        layers.flatten(),
        layers.dense({ units: 8, activation: 'tanh' }),
        layers.dense({ units: 3, name: 'last' }),
      ],
    })
    const model = await expectSameLayers(net)
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(['last'])
    expect(countOf(model, 'Gemm')).toBe(2)
    // The image has one channel; the weights behind the flattening took the other transpose.
    expect(countOf(model, 'Transpose')).toBe(1)
  })

  it('converts a tagger over words', async () => {
    const net = tf.sequential({
      layers: [
        layers.embedding({ inputDim: 5, outputDim: 6, inputShape: [7] }),
        layers.lstm({ units: 8, returnSequences: true }),
        layers.timeDistributed({ layer: layers.dense({ units: 3, activation: 'softmax' }) }),
      ],
    })
    await expectSameLayers(net)
  })

  it('converts a recurrence over sequences of any length', async () => {
    const input = tf.input({ shape: [null, 3] })
    const both = layers.bidirectional({
      layer: layers.gru({ units: 4, returnSequences: true }) as never,
      mergeMode: 'concat',
    })
    const last = layers.simpleRNN({ units: 2 })
    const output = last.apply(both.apply(input)) as Symbolic
    const model = await expectSameLayers(tf.model({ inputs: input, outputs: output }))
    expect(model.graph.inputs[0]?.type?.shape?.[1]).toEqual(expect.any(String))
  })

  it('hands states from one recurrence to another', async () => {
    const [first, second] = [tf.input({ shape: [4, 3] }), tf.input({ shape: [5, 2] })]
    // It warns of states as arguments, which it saves as inputs none the less.
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined)
    const encoded = layers.lstm({ units: 3, returnState: true }).apply(first) as Symbolic[]
    const decoder = layers.lstm({ units: 3, returnSequences: true, recurrentActivation: 'sigmoid' })
    const output = decoder.apply([second, ...encoded.slice(1)]) as Symbolic
    await expectSameLayers(tf.model({ inputs: [first, second], outputs: output }))
    warn.mockRestore()
  })

  it('converts two inputs, two outputs, every way to join and a shared layer', async () => {
    const [a, b] = [tf.input({ shape: [4], name: 'left' }), tf.input({ shape: [4], name: 'right' })]
    const shared = layers.dense({ units: 6, name: 'tower' })
    const [x, y] = [shared.apply(a) as Symbolic, shared.apply(b) as Symbolic]
    const joins = [
      layers.add(),
      layers.multiply(),
      layers.average(),
      layers.maximum(),
      layers.minimum(),
      layers.concatenate({ axis: 1 }),
    ]
    const joined = joins.map((join) => join.apply([x, y]) as Symbolic)
    const score = layers.dot({ axes: 1, normalize: true }).apply([x, y]) as Symbolic
    const model = tf.model({
      inputs: [a, b],
      outputs: [score, layers.concatenate().apply(joined) as Symbolic],
    })
    const converted = await expectSameLayers(model)
    const weights = [...converted.graph.initializers].filter(({ name }) => name.includes('tower'))
    expect(weights.length).toBe(2)
  })

  it.each([
    [
      [3, 4],
      [3, 4],
      [2, 2],
    ],
    [
      [3, 4],
      [4, 5],
      [2, 1],
    ],
    [[3, 4], [4], [2, 1]],
    [[3], [5, 3], [1, 2]],
  ])('takes the dot product of %j and %j over %j', async (left, right, axes) => {
    const [a, b] = [tf.input({ shape: left }), tf.input({ shape: right })]
    const output = layers.dot({ axes: axes as [number, number] }).apply([a, b]) as Symbolic
    await expectSameLayers(tf.model({ inputs: [a, b], outputs: output }))
  })

  it('converts models inside models, called twice', async () => {
    const inner = tf.sequential({
      name: 'inner',
      layers: [layers.dense({ units: 4, inputShape: [4], activation: 'relu' })],
    })
    const within = tf.input({ shape: [4] })
    const functional = tf.model({
      name: 'functional',
      inputs: within,
      outputs: layers.dense({ units: 4 }).apply(within) as Symbolic,
    })
    const input = tf.input({ shape: [4] })
    const once = inner.apply(functional.apply(input)) as Symbolic
    const twice = inner.apply(once) as Symbolic
    await expectSameLayers(tf.model({ inputs: input, outputs: [once, twice] }))
  })

  it('converts a model at the head of a Sequential', async () => {
    const head = tf.sequential({ layers: [layers.dense({ units: 3, inputShape: [4] })] })
    await expectSameLayers(tf.sequential({ layers: [head, layers.dense({ units: 2 })] }))
  })

  it('gives an input that is also an output', async () => {
    const input = tf.input({ shape: [4] })
    const output = layers.dropout({ rate: 0.1 }).apply(input) as Symbolic
    await expectSameLayers(tf.model({ inputs: input, outputs: output }))
  })

  it('normalises over the first axis of channels, which the JavaScript backend does not', async () => {
    const make = (axis: number, shape: [number, number, number]) => {
      const normal = layers.batchNormalization({ axis, inputShape: shape })
      return tf.sequential({ layers: [normal] })
    }
    const [first, last] = [make(1, [3, 4, 5]), make(-1, [4, 5, 3])]
    const converted = await convertTfjs(await saveLayers(first))
    await saveLayers(last)
    const values = normals(2 * 60, 'x')
    const name = converted.graph.inputs[0]!.name
    const feeds = { [name]: tensorOf('float32', [2, 3, 4, 5], values) }
    const [result] = Object.values(await runOnnx(converted, feeds))
    const moved = tf.transpose(tf.tensor(values, [2, 3, 4, 5]), [0, 2, 3, 1])
    const expected = last.predict(moved) as ReturnType<typeof tf.tensor>
    expectClose(result, tf.transpose(expected, [0, 3, 1, 2]))
  })
})
