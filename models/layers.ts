// Layers as the reference architectures write them: a node and its initialised weights under one readable name.
import { UserError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { type Builder, newModel } from '../onnx/build.ts'
import type { Model, Value } from '../onnx/graph.ts'
import { sizeOf, tensorOf } from '../onnx/tensor.ts'
import { type Activation, activate } from './activations.ts'

/** One input of a model. */
export interface InputShape {
  readonly name: string
  readonly dtype: 'float32' | 'int64'
  /** Shape of one sample, without the batch: `[C, H, W]` for images. */
  readonly shape: readonly number[]
  /** Of ids: how many different ones there are. */
  readonly ids?: number
}

/** What an architecture is built for. */
export interface ModelShape {
  /** In the order in which the model has them; the first is the main one. */
  readonly inputs: readonly InputShape[]
  /** Numbers a sample (or a position): classes, or values. */
  readonly outputs: number
  /** Positions that each get `outputs` numbers, for taggers. */
  readonly positions?: number
}

/** The shape of a model with one float input, called `input`. */
export const oneInput = (shape: readonly number[], outputs: number): ModelShape => ({
  inputs: [{ name: 'input', dtype: 'float32', shape }],
  outputs,
})

/** How a convolution is laid; the defaults keep the length of every axis. */
export interface ConvolutionOptions {
  /** Along every axis, or axis by axis. */
  readonly kernel: number | readonly number[]
  readonly stride?: number | readonly number[]
  /** 1 unless told; as many groups as channels make it depthwise. */
  readonly group?: number
  /** Adds a bias; a normalisation that follows makes it needless. */
  readonly bias?: boolean
  /** `same` unless told: as many places as the input has, over the stride. */
  readonly padding?: 'same' | 'valid'
}

/** Writes layers into one graph; channel counts are kept beside the values, since a graph has no shapes yet. */
export interface Layers {
  /** Writes single nodes. */
  readonly g: Builder
  readonly random: Random
  /** A weight whose elements are drawn one after the other, row-major. */
  weight(name: string, dims: readonly number[], next: () => number): Value
  /** Convolution over all axes behind the channels, He initialisation over the fan-in (He et al. 2015, equation 10). */
  convolution(name: string, x: Feature, channels: number, options: ConvolutionOptions): Feature
  /** Batch normalisation, starting as the identity. */
  normalisation(name: string, x: Feature): Feature
  relu(x: Feature): Feature
  activation(x: Feature, kind: Activation): Feature
  add(a: Feature, b: Feature): Feature
  /** Drops elements with this probability while training; no node at 0. */
  dropout(x: Feature, ratio: number): Feature
  /** Shortens every axis behind the channels by the maximum over so many (2) places; axes that have fewer stay. */
  maxPool(x: Feature, size?: number): Feature
  /** The same by the mean. */
  averagePool(x: Feature, size?: number): Feature
  /** The mean over all axes behind the channels, flattened: `[N, C]`. */
  globalPool(x: Feature): Feature
  /** All elements of a sample in one row: `[N, C*H*W]`. */
  flatten(x: Feature): Feature
  /** Rows of several inputs, one after the other. */
  concatenation(rows: readonly Feature[]): Feature
  /** Another shape of the same elements. */
  reshape(x: Feature, shape: readonly number[]): Feature
  /** Fully connected layer, Glorot uniform initialisation (Glorot and Bengio 2010, equation 16). */
  linear(name: string, x: Feature, width: number): Feature
}

/** A value and the shape of one sample of it: `[C, H, W]`, or `[width]` once flattened. */
export interface Feature {
  readonly value: Value
  readonly shape: readonly number[]
}

/** An input of the model as a feature. */
export interface Input extends Feature, InputShape {}

/** Makes a model of the inputs, symbolic batch `N`, and one float32 output. */
export function defineModel(
  name: string,
  { inputs }: ModelShape,
  random: Random,
  body: (layers: Layers, input: Input, inputs: readonly Input[]) => Feature,
  output = 'logits',
): Model {
  if (inputs.some((input) => input.name === output))
    throw new UserError(
      `architecture '${name}': an input is called like the output: '${output}' — rename it`,
    )
  const { model, g } = newModel(name)
  const features = inputs.map((input): Input => {
    const type = { dtype: input.dtype, shape: ['N', ...input.shape] }
    return { ...input, value: g.input(input.name, type) }
  })
  const [first] = features
  if (!first) throw new Error('internal: a model without inputs')
  const { value, shape } = body(layersOf(g, random), first, features)
  g.output(output, value, { dtype: 'float32', shape: ['N', ...shape] })
  return model
}

/** Convolution and batch normalisation, the latter named `….norm`. */
export const normalised = (
  layers: Layers,
  name: string,
  x: Feature,
  channels: number,
  options: ConvolutionOptions,
): Feature => layers.normalisation(`${name}.norm`, layers.convolution(name, x, channels, options))

/** Convolution, batch normalisation, activation. */
export const activated = (
  layers: Layers,
  name: string,
  x: Feature,
  channels: number,
  options: ConvolutionOptions & { readonly activation?: Activation },
): Feature => {
  const { activation = 'relu', ...rest } = options
  return layers.activation(normalised(layers, name, x, channels, rest), activation)
}

function layersOf(g: Builder, random: Random): Layers {
  const weight: Layers['weight'] = (name, dims, next) =>
    g.constant(tensorOf('float32', dims, Float32Array.from({ length: sizeOf(dims) }, next)), name)
  const zeros = (name: string, length: number) => weight(name, [length], () => 0)
  const ones = (name: string, length: number) => weight(name, [length], () => 1)

  const pool =
    (opType: 'MaxPool' | 'AveragePool') =>
    (x: Feature, size = 2): Feature => {
      const [channels = 1, ...places] = x.shape
      const sizes = places.map((length) => (length < size ? 1 : size))
      if (sizes.every((each) => each === 1)) return x
      const value = g[opType](x.value, { kernel_shape: sizes, strides: sizes })
      return {
        value,
        shape: [channels, ...places.map((length, axis) => Math.floor(length / sizes[axis]!))],
      }
    }

  return {
    g,
    random,
    weight,
    convolution(name, x, channels, options) {
      const { stride = 1, group = 1, bias = false, padding = 'same' } = options
      const [inputs = 1, ...places] = x.shape
      const each = (given: number | readonly number[]) =>
        places.map((_, axis) => (typeof given === 'number' ? given : given[axis]!))
      const [kernel, strides] = [each(options.kernel), each(stride)]
      const dims = [channels, inputs / group, ...kernel]
      const deviation = Math.sqrt(2 / sizeOf(dims.slice(1)))
      const filter = weight(`${name}.weight`, dims, () => deviation * random.normal())
      // An even kernel has one place more behind than before.
      const around = kernel.map((size) => (padding === 'same' ? size - 1 : 0))
      const pads = [
        ...around.map((total) => Math.floor(total / 2)),
        ...around.map((total) => Math.ceil(total / 2)),
      ]
      const [value] = g.node(
        'Conv',
        bias ? [x.value, filter, zeros(`${name}.bias`, channels)] : [x.value, filter],
        {
          name,
          attributes: {
            kernel_shape: kernel,
            ...(pads.some((pad) => pad > 0) && { pads }),
            ...(strides.some((step) => step > 1) && { strides }),
            ...(group > 1 && { group }),
          },
        },
      )
      const lengths = places.map(
        (length, axis) => Math.floor((length + around[axis]! - kernel[axis]!) / strides[axis]!) + 1,
      )
      return { value: value!, shape: [channels, ...lengths] }
    },
    normalisation(name, x) {
      const [channels = 1] = x.shape
      const parameters = [
        ones(`${name}.scale`, channels),
        zeros(`${name}.bias`, channels),
        zeros(`${name}.mean`, channels),
        ones(`${name}.var`, channels),
      ]
      const [value] = g.node('BatchNormalization', [x.value, ...parameters], { name })
      return { ...x, value: value! }
    },
    relu: (x) => ({ shape: x.shape, value: g.Relu(x.value) }),
    activation: (x, kind) => ({ shape: x.shape, value: activate(g, kind, x.value) }),
    add: (a, b) => ({ shape: a.shape, value: g.Add(a.value, b.value) }),
    dropout: (x, ratio) => (ratio > 0 ? { ...x, value: g.Dropout(x.value, ratio) } : x),
    maxPool: pool('MaxPool'),
    averagePool: pool('AveragePool'),
    globalPool(x) {
      return { value: g.Flatten(g.GlobalAveragePool(x.value)), shape: [x.shape[0] ?? 1] }
    },
    flatten: (x) => ({ value: g.Flatten(x.value), shape: [sizeOf(x.shape)] }),
    concatenation(rows) {
      const [only] = rows
      if (only && rows.length === 1) return only
      const value = g.Concat(...rows.map((row) => row.value), { axis: 1 })
      return { value, shape: [rows.reduce((sum, row) => sum + (row.shape[0] ?? 0), 0)] }
    },
    reshape: (x, shape) => ({ value: g.Reshape(x.value, [0, ...shape]), shape }),
    linear(name, x, width) {
      const [inputs = 1] = x.shape
      const limit = Math.sqrt(6 / (inputs + width))
      const matrix = weight(
        `${name}.weight`,
        [width, inputs],
        () => limit * (2 * random.uniform() - 1),
      )
      const [value] = g.node('Gemm', [x.value, matrix, zeros(`${name}.bias`, width)], {
        name,
        attributes: { transB: 1 },
      })
      return { value: value!, shape: [width] }
    },
  }
}
