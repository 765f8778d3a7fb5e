// Layers as the reference architectures write them: a node and its initialised weights under one readable name.
import type { Random } from '../base/random.ts'
import { type Builder, newModel } from '../onnx/build.ts'
import type { Model, Value } from '../onnx/graph.ts'
import { sizeOf, tensorOf } from '../onnx/tensor.ts'

/** What an architecture is built for. */
export interface ModelShape {
  /** Shape of one sample, `[C, H, W]` for images. */
  readonly shape: readonly number[]
  /** Number of classes: the width of the logits. */
  readonly classes: number
}

/** How a convolution is laid; the defaults keep height and width. */
export interface ConvolutionOptions {
  readonly kernel: number
  readonly stride?: number
  /** 1 unless told; as many groups as channels make it depthwise. */
  readonly group?: number
  /** Adds a bias; a normalisation that follows makes it needless. */
  readonly bias?: boolean
}

/** Writes layers into one graph; channel counts are kept beside the values, since a graph has no shapes yet. */
export interface Layers {
  /** Convolution with 'same' padding, He initialisation over the fan-in (He et al. 2015, equation 10). */
  convolution(name: string, x: Feature, channels: number, options: ConvolutionOptions): Feature
  /** Batch normalisation, starting as the identity. */
  normalisation(name: string, x: Feature): Feature
  relu(x: Feature): Feature
  add(a: Feature, b: Feature): Feature
  /** Halves height and width by the maximum over 2x2. */
  maxPool(x: Feature): Feature
  /** The mean over height and width, flattened: `[N, C]`. */
  globalPool(x: Feature): Feature
  /** All elements of a sample in one row: `[N, C*H*W]`. */
  flatten(x: Feature): Feature
  /** Fully connected layer, Glorot uniform initialisation (Glorot and Bengio 2010, equation 16). */
  linear(name: string, x: Feature, width: number): Feature
}

/** A value and the shape of one sample of it: `[C, H, W]`, or `[width]` once flattened. */
export interface Feature {
  readonly value: Value
  readonly shape: readonly number[]
}

/** Makes a model of the input `input`, symbolic batch `N`, and the output `logits`, both float32. */
export function defineModel(
  name: string,
  { shape, classes }: ModelShape,
  random: Random,
  body: (layers: Layers, input: Feature) => Feature,
): Model {
  const { model, g } = newModel(name)
  const value = g.input('input', { dtype: 'float32', shape: ['N', ...shape] })
  const { value: logits } = body(layersOf(g, random), { value, shape })
  g.output('logits', logits, { dtype: 'float32', shape: ['N', classes] })
  return model
}

function layersOf(g: Builder, random: Random): Layers {
  const filled = (name: string, dims: readonly number[], next: () => number): Value =>
    g.constant(tensorOf('float32', dims, Float32Array.from({ length: sizeOf(dims) }, next)), name)
  const zeros = (name: string, length: number) => filled(name, [length], () => 0)
  const ones = (name: string, length: number) => filled(name, [length], () => 1)

  return {
    convolution(name, x, channels, { kernel, stride = 1, group = 1, bias = false }) {
      const [inputs = 1, height = 1, width = 1] = x.shape
      const fanIn = (inputs / group) * kernel * kernel
      const deviation = Math.sqrt(2 / fanIn)
      const dims = [channels, inputs / group, kernel, kernel]
      const weight = filled(`${name}.weight`, dims, () => deviation * random.normal())
      const pad = (kernel - 1) / 2
      const [value] = g.node(
        'Conv',
        bias ? [x.value, weight, zeros(`${name}.bias`, channels)] : [x.value, weight],
        {
          name,
          attributes: {
            kernel_shape: [kernel, kernel],
            ...(pad > 0 && { pads: [pad, pad, pad, pad] }),
            ...(stride > 1 && { strides: [stride, stride] }),
            ...(group > 1 && { group }),
          },
        },
      )
      return {
        value: value!,
        shape: [channels, Math.ceil(height / stride), Math.ceil(width / stride)],
      }
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
    relu: (x) => ({ ...x, value: g.Relu(x.value) }),
    add: (a, b) => ({ ...a, value: g.Add(a.value, b.value) }),
    maxPool(x) {
      const [channels = 1, height = 1, width = 1] = x.shape
      const value = g.MaxPool(x.value, { kernel_shape: [2, 2], strides: [2, 2] })
      return { value, shape: [channels, Math.floor(height / 2), Math.floor(width / 2)] }
    },
    globalPool(x) {
      return { value: g.Flatten(g.GlobalAveragePool(x.value)), shape: [x.shape[0] ?? 1] }
    },
    flatten: (x) => ({ value: g.Flatten(x.value), shape: [sizeOf(x.shape)] }),
    linear(name, x, width) {
      const [inputs = 1] = x.shape
      const limit = Math.sqrt(6 / (inputs + width))
      const weight = filled(
        `${name}.weight`,
        [width, inputs],
        () => limit * (2 * random.uniform() - 1),
      )
      const [value] = g.node('Gemm', [x.value, weight, zeros(`${name}.bias`, width)], {
        name,
        attributes: { transB: 1 },
      })
      return { value: value!, shape: [width] }
    },
  }
}
