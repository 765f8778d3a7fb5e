// The networks of the training benchmark, the same as in torch-step.py: random weights, for only the time counts.
import { random } from '../../base/random.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { LossOptions } from '../../train/losses.ts'
import type { OptimizerOptions } from '../../train/options.ts'

/** A network with the way it is trained. */
export interface TrainCase {
  readonly batch: number
  /** Shape of one sample. */
  readonly sample: readonly number[]
  /** Where samples are token numbers: how many there are. */
  readonly vocabulary?: number
  readonly losses: readonly LossOptions[]
  readonly optimizer: OptimizerOptions
  /** `depth` repeats the network's inner part, 1 unless told. */
  readonly model: (depth?: number) => Model
}

/** Classes of every case. */
export const classes = 10

/** Distillation as in Hinton et al. 2015: temperature 4, seven tenths from the teacher. */
const distillation: readonly LossOptions[] = [
  { loss: 'kl', weight: 0.7, temperature: 4, standardise: false },
  { loss: 'cross-entropy', weight: 0.3, labelSmoothing: 0 },
]
const adam: OptimizerOptions = {
  name: 'adam',
  rate: 1e-3,
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  weightDecay: 0,
}

/** The cases by name. */
export const trainCases = {
  mlp: { batch: 64, sample: [784], losses: distillation, optimizer: adam, model: mlp },
  cnn: { batch: 64, sample: [1, 28, 28], losses: distillation, optimizer: adam, model: cnn },
  transformer: {
    batch: 32,
    sample: [64],
    vocabulary: 1000,
    losses: distillation,
    optimizer: adam,
    model: transformer,
  },
  resnet20: {
    batch: 128,
    sample: [3, 32, 32],
    losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    optimizer: { name: 'sgd', rate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 5e-4 },
    model: resnet20,
  },
} as const satisfies Record<string, TrainCase>

/** Names of the cases. */
export type TrainCaseName = keyof typeof trainCases

const float = (...shape: (number | string)[]) => ({ dtype: 'float32', shape }) as const

const weights = (g: Builder, name: string, dims: readonly number[], fanIn: number): Value => {
  const { normal } = random(1, name)
  const deviation = Math.sqrt(2 / fanIn)
  const values = Float32Array.from({ length: sizeOf(dims) }, () => normal() * deviation)
  return g.constant(tensorOf('float32', dims, values), name)
}

const vector = (g: Builder, name: string, size: number, value: number): Value =>
  g.constant(tensorOf('float32', [size], new Float32Array(size).fill(value)), name)

const linear = (g: Builder, x: Value, name: string, from: number, to: number): Value =>
  g.Gemm(x, weights(g, `${name}.w`, [to, from], from), vector(g, `${name}.b`, to, 0), { transB: 1 })

/** 784-512-512-10, 670k parameters; every further depth is another 512-512. */
function mlp(depth = 1): Model {
  const { model, g } = newModel('mlp')
  let y = g.Relu(linear(g, g.input('x', float('N', 784)), 'a', 784, 512))
  for (let layer = 0; layer < depth; layer++) y = g.Relu(linear(g, y, `b${layer}`, 512, 512))
  g.output('y', linear(g, y, 'c', 512, classes), float('N', classes))
  return model
}

/** Convolution without a bias, then BatchNormalization. */
function convolve(
  g: Builder,
  x: Value,
  name: string,
  [from, to, kernel, stride]: readonly [number, number, number, number],
): Value {
  const pad = (kernel - 1) / 2
  const filter = weights(g, `${name}.w`, [to, from, kernel, kernel], from * kernel * kernel)
  const y = g.Conv(x, filter, {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
  })
  const of = (what: string, value: number) => vector(g, `${name}.${what}`, to, value)
  return g.BatchNormalization(y, of('scale', 1), of('bias', 0), of('mean', 0), of('var', 1))
}

/** Six 3x3 convolutions of 32 to 128 channels, the last one residual, 288k parameters. */
function cnn(depth = 1): Model {
  const { model, g } = newModel('cnn')
  let y = g.input('x', float('N', 1, 28, 28))
  for (const [index, [from, to, stride]] of (
    [
      [1, 32, 1],
      [32, 32, 2],
      [32, 64, 1],
      [64, 64, 2],
      [64, 128, 1],
    ] as const
  ).entries())
    y = g.Relu(convolve(g, y, `c${index}`, [from, to, 3, stride]))
  for (let layer = 0; layer < depth; layer++)
    y = g.Relu(g.Add(y, convolve(g, y, `r${layer}`, [128, 128, 3, 1])))
  const pooled = g.Flatten(g.GlobalAveragePool(y))
  g.output('y', linear(g, pooled, 'head', 128, classes), float('N', classes))
  return model
}

/** He et al. 2016, section 4.2, n = 3, with 1x1 convolutions for shortcuts that change shape. */
function resnet20(depth = 3): Model {
  const { model, g } = newModel('resnet20')
  let y = g.Relu(convolve(g, g.input('x', float('N', 3, 32, 32)), 'stem', [3, 16, 3, 1]))
  for (const [stage, width] of [16, 32, 64].entries())
    for (let block = 0; block < depth; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1
      const from = width / stride
      const name = `s${stage}b${block}`
      const inner = g.Relu(convolve(g, y, `${name}.a`, [from, width, 3, stride]))
      const outer = convolve(g, inner, `${name}.b`, [width, width, 3, 1])
      const shortcut = stride === 1 ? y : convolve(g, y, `${name}.c`, [from, width, 1, stride])
      y = g.Relu(g.Add(outer, shortcut))
    }
  const pooled = g.Flatten(g.GlobalAveragePool(y))
  g.output('y', linear(g, pooled, 'head', 64, classes), float('N', classes))
  return model
}

const [tokens, width, heads, vocabulary] = [64, 128, 4, 1000]

/** An encoder of two layers per depth, norms first (Xiong et al. 2020), 534k parameters. */
function transformer(depth = 1): Model {
  const { model, g } = newModel('transformer')
  const x = g.input('x', { dtype: 'int64', shape: ['N', tokens] })
  const table = weights(g, 'embedding', [vocabulary, width], 2)
  let y = g.Add(g.Gather(table, x, { axis: 0 }), weights(g, 'position', [tokens, width], 5000))
  const norm = (value: Value, name: string) =>
    g.node(
      'LayerNormalization',
      [value, vector(g, `${name}.scale`, width, 1), vector(g, `${name}.bias`, width, 0)],
      { attributes: { axis: -1, epsilon: 1e-5 } },
    )[0]!
  const dense = (value: Value, name: string, from: number, to: number) =>
    g.Add(g.MatMul(value, weights(g, `${name}.w`, [from, to], from)), vector(g, `${name}.b`, to, 0))
  for (let layer = 0; layer < 2 * depth; layer++) {
    const name = `block${layer}`
    const inner = norm(y, `${name}.norm1`)
    const split = (what: string, perm: readonly number[]) =>
      g.Transpose(
        g.Reshape(dense(inner, `${name}.${what}`, width, width), [0, tokens, heads, width / heads]),
        { perm },
      )
    const scores = g.MatMul(split('q', [0, 2, 1, 3]), split('k', [0, 2, 3, 1]))
    const attention = g.Softmax(g.Mul(scores, 1 / Math.sqrt(width / heads)), { axis: -1 })
    const mixed = g.Transpose(g.MatMul(attention, split('v', [0, 2, 1, 3])), { perm: [0, 2, 1, 3] })
    y = g.Add(y, dense(g.Reshape(mixed, [0, tokens, width]), `${name}.o`, width, width))
    const hidden = dense(norm(y, `${name}.norm2`), `${name}.f1`, width, 4 * width)
    const active = g.node('Gelu', [hidden])[0]!
    y = g.Add(y, dense(active, `${name}.f2`, 4 * width, width))
  }
  const pooled = g.ReduceMean(norm(y, 'norm'), [1], { keepdims: 0 })
  g.output('y', linear(g, pooled, 'head', width, classes), float('N', classes))
  return model
}
