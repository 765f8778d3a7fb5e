// How long a training step takes, on random data: the time from one batch to the next.
import { availableParallelism } from 'node:os'
import { random } from '../../base/random.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { train } from '../../train/loop.ts'
import type { TrainingBatch } from '../../train/settings.ts'
import type { Answer, Question } from './question.ts'

const batch = 64
const steps = 60
/** Steps at the start that are not kept. */
const warmUp = 10

/** Steps of an MLP (670k parameters) and of a residual net (depth 8, width 32), batch 64, AdamW. */
export const trainStep: Question = {
  summary: `a training step of an MLP and of a residual net, batch ${batch}`,
  async answer() {
    const answers: Answer[] = []
    for (const threads of new Set([1, availableParallelism()]))
      for (const [name, shape, model] of [
        ['mlp 784-512-512-10', [784], mlp()],
        ['resnet 8x32, 1x28x28', [1, 28, 28], residualNet()],
      ] as const)
        answers.push({
          what: `${name}, threads ${threads}`,
          unit: 'ms',
          values: await stepTimes(model, shape, threads),
        })
    return answers
  },
}

async function stepTimes(model: Model, shape: readonly number[], threads: number) {
  const { normal, integer } = random(1, 'suite')
  const inputs = Float32Array.from({ length: batch * sizeOf(shape) }, () => normal())
  const labels = Int32Array.from({ length: batch }, () => integer(10))
  const data: TrainingBatch = {
    inputs,
    labels,
    size: batch,
    indices: Uint32Array.from(labels.keys()),
  }
  const starts: bigint[] = []
  function* batches() {
    for (let step = 0; step < steps; step++) {
      starts.push(process.hrtime.bigint())
      yield data
    }
  }
  await train(model, {
    options: {
      epochs: 1,
      batch,
      optimizer: {
        name: 'adamw',
        rate: 1e-4,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        weightDecay: 0.01,
      },
      schedule: 'constant',
      freeze: [],
    },
    losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    classes: 10,
    batches,
    stepsPerEpoch: steps,
    validation: { size: 1, shape, labels: labels.subarray(0, 1), read: () => undefined },
    seed: 1,
    threads,
    provider: 'cpu',
  })
  return starts
    .slice(1)
    .map((start, step) => Number(start - starts[step]!) / 1e6)
    .slice(warmUp)
}

const weights = (g: Builder, name: string, dims: readonly number[], fanIn: number): Value => {
  const { normal } = random(1, name)
  const deviation = Math.sqrt(2 / fanIn)
  const values = Float32Array.from({ length: sizeOf(dims) }, () => normal() * deviation)
  return g.constant(tensorOf('float32', dims, values), name)
}

const linear = (g: Builder, x: Value, name: string, from: number, to: number): Value =>
  g.Gemm(x, weights(g, `${name}.w`, [from, to], from), weights(g, `${name}.b`, [to], from))

function mlp(): Model {
  const { model, g } = newModel('mlp')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 784] })
  const hidden = g.Relu(linear(g, g.Relu(linear(g, x, 'a', 784, 512)), 'b', 512, 512))
  g.output('y', linear(g, hidden, 'c', 512, 10), { dtype: 'float32', shape: ['N', 10] })
  return model
}

function residualNet(): Model {
  const { model, g } = newModel('residual net')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 1, 28, 28] })
  const convolve = (
    y: Value,
    name: string,
    from: number,
    to: number,
    kernel: number,
    stride = 1,
  ) => {
    const pad = (kernel - 1) / 2
    const filter = weights(g, `${name}.w`, [to, from, kernel, kernel], from * kernel * kernel)
    const convolved = g.Conv(y, filter, {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    })
    const vector = (what: string, value: number) =>
      g.constant(tensorOf('float32', [to], new Float32Array(to).fill(value)), `${name}.${what}`)
    return g.BatchNormalization(
      convolved,
      vector('scale', 1),
      vector('bias', 0),
      vector('mean', 0),
      vector('var', 1),
    )
  }
  let y = g.Relu(convolve(x, 'stem', 1, 32, 3))
  for (const [index, to] of [32, 64, 128].entries()) {
    const from = index === 0 ? 32 : to / 2
    const stride = index === 0 ? 1 : 2
    const inner = g.Relu(convolve(y, `block${index}.a`, from, to, 3, stride))
    const shortcut = index === 0 ? y : convolve(y, `block${index}.shortcut`, from, to, 1, stride)
    y = g.Relu(g.Add(convolve(inner, `block${index}.b`, to, to, 3), shortcut))
  }
  const pooled = g.Flatten(g.GlobalAveragePool(y))
  g.output('y', linear(g, pooled, 'head', 128, 10), { dtype: 'float32', shape: ['N', 10] })
  return model
}
