// The same training graph on both engines: the loss and the gradient of all weights of one batch.
import { random } from '../../base/random.ts'
import { sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { loadTensorFlow, type TfBackend } from '../../train/engines/tfjs/tensorflow.ts'
import { openTfjsTraining } from '../../train/engines/tfjs/training.ts'
import type { Feed } from '../../train/forward.ts'
import { standard } from '../../train/lowerings/standard.ts'
import {
  type Definition,
  splitGraph,
  type TrainingGraph,
  wholeGraph,
} from '../../train/training-graph.ts'
import { relativeError } from '../support/reference.ts'

const hasNative = await loadTensorFlow('tensorflow').then(
  () => true,
  () => false,
)

/** What computes here: the native library only where it is installed. */
export const backends: readonly TfBackend[] = hasNative ? ['cpu', 'tensorflow'] : ['cpu']

/** How far the engines are apart, relative to the size of what our own engine gives. */
export interface Difference {
  readonly loss: number
  readonly gradient: number
  /** The next running statistics; 0 where there are none. */
  readonly statistics: number
}

/** Content for a model's inputs. */
export type Inputs = (feeds: readonly Feed[]) => readonly Tensor[]

/** Runs one step on ONNX Runtime and on TensorFlow.js; what is fed besides `inputs` is drawn. */
export async function compareEngines(
  definition: Definition,
  inputs: Inputs,
  backend: TfBackend,
): Promise<Difference> {
  const ours = await ourStep(definition, inputs)
  const theirs = await theirStep(definition, inputs, backend)
  const error = (name: string) => {
    const expected = ours[name]
    return expected ? relativeError(theirs[name]!, expected) : 0
  }
  return {
    loss: error('loss'),
    gradient: error('accumulated_next'),
    statistics: error('statistics_next'),
  }
}

type Vectors = Record<string, Float32Array>

async function ourStep(definition: Definition, inputs: Inputs): Promise<Vectors> {
  const graph = await wholeGraph(definition, 'accumulate', standard)
  return withSession(graph.model, {}, async (session) => {
    const { feeds, fetches, vectors } = memoryOf(graph, inputs)
    await session.prepare(feeds, fetches)()
    return vectors
  })
}

async function theirStep(
  definition: Definition,
  inputs: Inputs,
  backend: TfBackend,
): Promise<Vectors> {
  const graph = await splitGraph(definition, 'accumulate')
  const training = await openTfjsTraining(graph.forward, graph.tail, { backend })
  try {
    const { feeds, fetches, vectors } = memoryOf(graph, inputs)
    await training.prepare(feeds, fetches)()
    return vectors
  } finally {
    await training.dispose()
  }
}

/** Memory for a step: what is fed is drawn from one seed, masks of Dropout drop the half. */
export function memoryOf(graph: TrainingGraph, inputs: Inputs) {
  const feeds: Record<string, Tensor> = { weights: flat(graph.weights.initial) }
  const content = inputs(graph.feeds.inputs)
  for (const [index, { name }] of graph.feeds.inputs.entries()) feeds[name] = content[index]!
  const { targets, teacher, draws } = graph.feeds
  const drawn = (
    name: string,
    dims: readonly number[],
    draw: (source: ReturnType<typeof random>) => number,
  ) => {
    const source = random(7, name)
    const values = Float32Array.from({ length: sizeOf(dims) }, () => draw(source))
    feeds[name] = tensorOf('float32', dims, values)
  }
  for (const { name, dims } of teacher.values()) drawn(name, dims, (source) => source.normal())
  for (const { name, dims } of draws) drawn(name, dims, (source) => 2 * source.integer(2))
  if (targets) feeds.targets = oneHot(targets.dims as [number, number])
  const vectors: Vectors = { loss: new Float32Array(1) }
  const fetches: Record<string, Tensor> = { loss: tensorOf('float32', [], vectors.loss!) }
  for (const [name, initial] of Object.entries(graph.vectors)) {
    feeds[name] = flat(initial)
    vectors[`${name}_next`] = new Float32Array(initial.length)
    fetches[`${name}_next`] = flat(vectors[`${name}_next`]!)
  }
  return { feeds, fetches, vectors }
}

const flat = (vector: Float32Array): Tensor => tensorOf('float32', [vector.length], vector)

function oneHot([batch, classes]: readonly [number, number]): Tensor {
  const values = new Float32Array(batch * classes)
  for (let row = 0; row < batch; row++) values[row * classes + ((3 * row + 1) % classes)] = 1
  return tensorOf('float32', [batch, classes], values)
}
