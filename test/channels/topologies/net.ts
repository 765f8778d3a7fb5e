// Small networks written layer by layer, for tests of what hangs together in them.
import { type Random, random } from '../../../base/random.ts'
import { type Attributes, type Builder, newModel, type Operand } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'

/** A value and the shape of one sample of it. */
export interface Feature {
  readonly value: Value
  readonly shape: readonly number[]
}

/** How a convolution is laid; places stay as many as they are at stride 1. */
export interface Laid {
  readonly kernel?: number
  readonly stride?: number
  readonly group?: number
  readonly bias?: boolean
}

/** Writes layers under names of their own, with random weights that keep the scale of what flows. */
export class Net {
  readonly model: Model
  readonly g: Builder
  readonly #random: Random

  constructor() {
    const { model, g } = newModel('net')
    this.model = model
    this.g = g
    this.#random = random(11, 'net')
  }

  /** Normal numbers of a standard deviation; positive ones for what divides. */
  noise(dims: readonly number[], deviation = 0.5, positive = false): Tensor {
    const data = Float32Array.from({ length: sizeOf(dims) }, () => {
      const value = this.#random.normal() * deviation
      return positive ? Math.abs(value) + 0.5 : value
    })
    return tensorOf('float32', dims, data)
  }

  input(name: string, shape: readonly number[], dtype: 'float32' | 'int64' = 'float32'): Feature {
    return { value: this.g.input(name, { dtype, shape: ['N', ...shape] }), shape }
  }

  output(name: string, { value }: Feature): void {
    this.g.output(name, value, { dtype: 'float32' })
  }

  /** Any node, called by a name. */
  node(opType: string, name: string, inputs: readonly Operand[], attributes: Attributes = {}) {
    return this.g.node(opType, inputs, { name, attributes })[0]!
  }

  /** A feature of another value. */
  of(value: Value, shape: readonly number[]): Feature {
    return { value, shape }
  }

  /** A weight; shared where it is given to several layers. */
  weight(dims: readonly number[], fan: number): Value {
    return this.g.constant(this.noise(dims, Math.sqrt(2 / fan)), 'weight')
  }

  conv(name: string, x: Feature, channels: number, laid: Laid = {}, weight?: Value): Feature {
    const { kernel = 3, stride = 1, group = 1, bias = true } = laid
    const [from = 0, ...places] = x.shape
    const dims = [channels, from / group, ...places.map(() => kernel)]
    const filter = weight ?? this.weight(dims, sizeOf(dims.slice(1)))
    const pad = Math.floor(kernel / 2)
    const value = this.node(
      'Conv',
      name,
      [x.value, filter, ...(bias ? [this.noise([channels])] : [])],
      { strides: places.map(() => stride), pads: places.flatMap(() => [pad, pad]), group },
    )
    return { value, shape: [channels, ...places.map((size) => Math.ceil(size / stride))] }
  }

  /** Twice as many places along each axis. */
  upConv(name: string, x: Feature, channels: number, group = 1): Feature {
    const [from = 0, ...places] = x.shape
    const dims = [from, channels / group, 2, 2]
    const value = this.node(
      'ConvTranspose',
      name,
      [x.value, this.weight(dims, from / group), this.noise([channels])],
      { strides: [2, 2], group },
    )
    return { value, shape: [channels, ...places.map((size) => 2 * size)] }
  }

  linear(name: string, x: Feature, width: number, weight?: Value): Feature {
    const from = x.shape.at(-1) ?? 0
    const matrix = weight ?? this.weight([width, from], from)
    const value = this.node('Gemm', name, [x.value, matrix, this.noise([width])], { transB: 1 })
    return { value, shape: [width] }
  }

  /** A linear layer along the last of several axes. */
  dense(name: string, x: Feature, width: number, bias = true): Feature {
    const from = x.shape.at(-1) ?? 0
    const product = this.node('MatMul', name, [x.value, this.weight([from, width], from)])
    const value = bias ? this.g.Add(product, this.noise([width])) : product
    return { value, shape: [...x.shape.slice(0, -1), width] }
  }

  batchNorm(x: Feature): Feature {
    const size = x.shape[0] ?? 0
    const [scale, bias, mean] = [
      this.noise([size], 0.3, true),
      this.noise([size]),
      this.noise([size]),
    ]
    const variance = this.noise([size], 0.5, true)
    return { ...x, value: this.g.BatchNormalization(x.value, scale, bias, mean, variance) }
  }

  instanceNorm(x: Feature): Feature {
    const size = x.shape[0] ?? 0
    const [value] = this.g.node('InstanceNormalization', [
      x.value,
      this.noise([size], 0.3, true),
      this.noise([size]),
    ])
    return { ...x, value: value! }
  }

  layerNorm(x: Feature): Feature {
    const size = x.shape.at(-1) ?? 0
    const value = this.g.LayerNormalization(
      x.value,
      this.noise([size], 0.3, true),
      this.noise([size]),
      { axis: -1 },
    )
    return { ...x, value }
  }

  relu = (x: Feature): Feature => ({ ...x, value: this.g.Relu(x.value) })
  sigmoid = (x: Feature): Feature => ({ ...x, value: this.g.Sigmoid(x.value) })
  add = (a: Feature, b: Feature): Feature => ({ ...a, value: this.g.Add(a.value, b.value) })
  mul = (a: Feature, b: Feature): Feature => ({ ...a, value: this.g.Mul(a.value, b.value) })

  /** x · sigmoid(x) */
  silu = (x: Feature): Feature => this.mul(x, this.sigmoid(x))

  /** Joins along an axis of one sample, the channels unless told. */
  concat(parts: readonly Feature[], axis = 0): Feature {
    const value = this.g.Concat(...parts.map((part) => part.value), { axis: axis + 1 })
    const sum = parts.reduce((total, { shape }) => total + (shape[axis] ?? 0), 0)
    return { value, shape: parts[0]!.shape.map((size, at) => (at === axis ? sum : size)) }
  }

  /** Splits the channels into parts of these sizes. */
  split(x: Feature, sizes: readonly number[]): Feature[] {
    return this.g
      .node('Split', [x.value, sizes], { outputs: sizes.length, attributes: { axis: 1 } })
      .map((value, index) => ({ value, shape: [sizes[index]!, ...x.shape.slice(1)] }))
  }

  maxPool(x: Feature, size = 2): Feature {
    const attributes = { kernel_shape: [size, size], strides: [size, size] }
    const [channels = 0, ...places] = x.shape
    return {
      value: this.g.MaxPool(x.value, attributes),
      shape: [channels, ...places.map((count) => Math.floor(count / size))],
    }
  }

  /** A maximum over 5 x 5 places around each. */
  blur(x: Feature): Feature {
    return { ...x, value: this.g.MaxPool(x.value, { kernel_shape: [5, 5], pads: [2, 2, 2, 2] }) }
  }

  /** Each place twice along each axis. */
  upsample(x: Feature): Feature {
    const [channels = 0, ...places] = x.shape
    const scales = tensorOf('float32', [4], [1, 1, 2, 2])
    const value = this.g.Resize(x.value, undefined, scales, { mode: 'nearest' })
    return { value, shape: [channels, ...places.map((size) => 2 * size)] }
  }

  flatten(x: Feature): Feature {
    return { value: this.g.Flatten(x.value), shape: [sizeOf(x.shape)] }
  }

  /** The mean over all places, flat. */
  pooled(x: Feature): Feature {
    const value = this.g.Flatten(this.g.GlobalAveragePool(x.value))
    return { value, shape: [x.shape[0] ?? 0] }
  }

  reshape(x: Feature, shape: readonly number[]): Feature {
    return { value: this.g.Reshape(x.value, [0, ...shape]), shape }
  }

  /** Axes of one sample in another order, counted from 0. */
  transpose(x: Feature, order: readonly number[]): Feature {
    const value = this.g.Transpose(x.value, { perm: [0, ...order.map((axis) => axis + 1)] })
    return { value, shape: order.map((axis) => x.shape[axis]!) }
  }

  /** Channels of several groups dealt out in turn (Zhang et al. 2018, ShuffleNet). */
  shuffle(x: Feature, groups: number): Feature {
    const [channels = 0, ...places] = x.shape
    const apart = this.reshape(x, [groups, channels / groups, ...places])
    return this.reshape(this.transpose(apart, [1, 0, 2, 3]), x.shape)
  }

  /** Convolution, norm, activation. */
  block(name: string, x: Feature, channels: number, laid: Laid = {}): Feature {
    return this.relu(this.batchNorm(this.conv(name, x, channels, { bias: false, ...laid })))
  }

  /** Gives the class scores of an image: the pooled channels through a linear layer called `head`. */
  classify(x: Feature, classes = 5): void {
    this.output('y', this.linear('head', this.pooled(x), classes))
  }
}
