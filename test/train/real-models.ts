// The real models that training is tried on: how they are fed, and how finely their gradient can be measured.
import { random } from '../../base/random.ts'
import { loadModel } from '../../onnx/load.ts'
import { sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import type { Feed } from '../../train/forward.ts'
import type { Definition } from '../../train/training-graph.ts'
import { sharedModel } from '../support/shared.ts'

/** A real model. */
export interface RealModel {
  readonly file: string
  readonly batch: number
  /** How many numbers its trainable weights have. */
  readonly weights: number
  /** Elements of every input are drawn between these. */
  readonly range: readonly [low: number, high: number]
  readonly dims?: Readonly<Record<string, number>>
  readonly constants?: Readonly<Record<string, Tensor>>
  /** The value that is compared instead of the output: what enters a closing Sigmoid or Softmax that is flat here. */
  readonly logits?: string
  /** Learning rate of its self-distillation, 1e-4 unless told. */
  readonly rate?: number
  /** Steps of its self-distillation, 300 unless told. */
  readonly steps?: number
  /** Takes long: only in the slow tests. */
  readonly slow?: true
}

const scalar = (value: bigint) => tensorOf('int64', [], BigInt64Array.of(value))

/** The models that the gradients are checked on. */
export const realModels: readonly RealModel[] = [
  {
    file: 'conv-distiller-resnet20-dense-cifar10.onnx',
    weights: 272474,
    batch: 16,
    range: [-1, 1],
    slow: true,
  },
  { file: 'conv-tiny-resnet8-cifar10.onnx', weights: 78186, batch: 16, range: [0, 255] },
  { file: 'mnist-8-ortweb.onnx', weights: 5994, batch: 8, range: [0, 255], rate: 3e-4 },
  { file: 'mnist-burn-a.onnx', weights: 376870, batch: 8, range: [-0.4, 2.8], slow: true },
  {
    file: 'conv-tiny-vww96-mobilenet025.onnx',
    weights: 216322,
    batch: 8,
    range: [0, 1],
    rate: 2e-4,
    slow: true,
  },
  { file: 'vit-ibp-3-3-8-cifar10.onnx', weights: 67594, batch: 8, range: [-2, 2] },
  {
    ...{
      file: 'magika-v3_3.onnx',
      weights: 784214,
      batch: 2,
      range: [0, 256],
      rate: 4e-4,
      steps: 600,
      slow: true,
    },
    logits: 'jax2tf_get_logits_/pjit_get_logits_/MagikaV2/Dense_1/AddV2:0',
  },
  {
    file: 'basic-pitch.onnx',
    weights: 35734,
    batch: 1,
    range: [-0.5, 0.5],
    rate: 3e-5,
    slow: true,
  },
  {
    ...{ file: 'silero-vad-op18-ifless.onnx', weights: 309633, batch: 2, range: [-0.5, 0.5] },
    ...{ dims: { sequence: 576 }, constants: { sr: scalar(16000n) } },
    slow: true,
  },
  { file: 'super-resolution-10.onnx', weights: 59657, batch: 1, range: [0, 1], slow: true },
  { file: 'yolox-nano.onnx', weights: 904463, batch: 1, range: [0, 255], slow: true },
  { file: 'ultraface-rfb-320.onnx', weights: 302812, batch: 1, range: [-1, 1], slow: true },
  { file: 'vittrack.onnx', weights: 187813, batch: 1, range: [-1, 1], slow: true },
  {
    file: 'byte-sb-bidi-lstm.onnx',
    weights: 339202,
    batch: 8,
    range: [32, 127],
    dims: { length: 12 },
    slow: true,
  },
  {
    ...{ file: 'ppocr-det-ch-v3.onnx', weights: 580160, batch: 1, range: [-1, 1] },
    ...{ dims: { 'x:2': 64, 'x:3': 64 }, logits: 'p2o.Add.77', slow: true },
  },
]

/** A training of a model that is to match a teacher in all outputs; BatchNormalization as at inference. */
export async function matching(real: RealModel): Promise<Definition> {
  const { file, batch, dims, constants } = real
  const model = await loadModel(sharedModel(file))
  const { outputs, nodes } = model.graph
  const logits = nodes.flatMap((node) => node.outputs).find((value) => value?.name === real.logits)
  if (real.logits) outputs.splice(0, outputs.length, logits!)
  return {
    model,
    forward: {
      ...{ batch, dims, constants, where: file },
      losses: [{ loss: 'match', weight: 1 }],
      freeze: [],
      batchStatistics: false,
      dropout: false,
    },
    update: { optimizer: { name: 'sgd', rate: 1, momentum: 0, nesterov: false, weightDecay: 0 } },
  }
}

/** Random content of a model's inputs, each a sample of its own for every seed. */
export const drawInputs = (
  inputs: readonly Feed[],
  { file, range: [low, high] }: RealModel,
  seed: number,
): Tensor[] =>
  inputs.map(({ dtype, dims, name }) => {
    const source = random(seed, file, name)
    const length = sizeOf(dims)
    const draw = () => low + (high - low) * source.uniform()
    if (dtype === 'float32') return tensorOf(dtype, dims, Float32Array.from({ length }, draw))
    const whole = Array.from({ length }, () => Math.floor(draw()))
    return tensorOf(dtype as 'int32', dims, whole)
  })
