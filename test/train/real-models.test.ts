// The gradient of a whole training step of real models against central differences of its float32 loss, along random
// directions. They agree within 0.13 % where it was measured; half a percent leaves room for other machines' rounding.
import { describe, expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { loadModel } from '../../onnx/load.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { type Session, withSession } from '../../runtime/session.ts'
import { loweringFor } from '../../train/lowerings/choose.ts'
import { optimizerOptions } from '../../train/options.ts'
import { type TrainingGraph, trainingGraph } from '../../train/training-graph.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

interface RealModel {
  readonly file: string
  readonly classes: number
  readonly batch: number
  /** Pixels are drawn from low to high. */
  readonly pixels: readonly [low: number, high: number]
}

const models: readonly RealModel[] = [
  { file: 'conv-distiller-resnet20-dense-cifar10.onnx', classes: 10, batch: 16, pixels: [-1, 1] },
  { file: 'conv-tiny-resnet8-cifar10.onnx', classes: 10, batch: 16, pixels: [0, 255] },
  { file: 'mnist-8-ortweb.onnx', classes: 10, batch: 8, pixels: [0, 255] },
  { file: 'mnist-burn-a.onnx', classes: 10, batch: 8, pixels: [-0.4, 2.8] },
  { file: 'vit-ibp-3-3-8-cifar10.onnx', classes: 10, batch: 8, pixels: [-2, 2] },
  { file: 'conv-tiny-vww96-mobilenet025.onnx', classes: 2, batch: 8, pixels: [0, 1] },
]

// Without momentum and decay, the next velocity is the gradient.
const optimizer = optimizerOptions.parse({ name: 'sgd', momentum: 0, weightDecay: 0 })

describe('the gradient of a training step', () => {
  itWithShared.each(models)('of $file is the slope of its loss', async (real) => {
    const { file, classes, batch } = real
    const losses = [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0.1 } as const]
    const lowering = await loweringFor('cpu')
    const graph = await trainingGraph(
      await loadModel(sharedModel(file)),
      { batch, classes, losses, freeze: [], lowering, where: file },
      { optimizer },
    )
    const feeds = feedsOf(graph, real)
    await withSession(graph.model, { threads: 2 }, async (session) => {
      const at = graph.weights.initial
      const { gradient } = await step(session, feeds, at)
      for (const direction of [1, 2, 3]) {
        const towards = directionOf(graph, gradient, direction)
        const moved = (distance: number) =>
          at.map((weight, index) => weight + distance * towards[index]!)
        const h = 5e-6
        const above = await step(session, feeds, moved(h))
        const below = await step(session, feeds, moved(-h))
        const slope = gradient.reduce((sum, value, index) => sum + value * towards[index]!, 0)
        const measured = (above.loss - below.loss) / (2 * h)
        expect(Math.abs(measured - slope)).toBeLessThan(0.005 * Math.abs(slope))
      }
    })
  })
})

function feedsOf(graph: TrainingGraph, { file, classes, batch, pixels }: RealModel) {
  const source = random(1, file)
  const [low, high] = pixels
  const inputs = Float32Array.from(
    { length: sizeOf(graph.inputDims) },
    () => low + (high - low) * source.uniform(),
  )
  const targets = new Float32Array(batch * classes)
  for (let row = 0; row < batch; row++) targets[row * classes + source.integer(classes)] = 1
  const feeds: Record<string, Tensor> = {
    [graph.inputName]: tensorOf('float32', graph.inputDims, inputs),
    targets: tensorOf('float32', [batch, classes], targets),
    hyper0: tensorOf('float32', [], [0]),
  }
  for (const [name, { initial }] of Object.entries({
    state0: { initial: new Float32Array(graph.weights.initial.length) },
    statistics: graph.statistics,
  }))
    if (initial.length > 0) feeds[name] = tensorOf('float32', [initial.length], initial)
  return feeds
}

async function step(session: Session, feeds: Record<string, Tensor>, weights: Float32Array) {
  const weightsFeed = tensorOf('float32', [weights.length], weights)
  const results = await session.run({ ...feeds, weights: weightsFeed }, ['loss', 'state0_next'])
  return {
    loss: elements(results.loss!, 'float32')[0]!,
    gradient: elements(results.state0_next!, 'float32'),
  }
}

/**
 * A random direction uphill, in which every tensor moves in proportion to its own size: across the slope the loss
 * changes so little that its noise hides it.
 */
function directionOf({ weights }: TrainingGraph, gradient: Float32Array, seed: number) {
  const source = random(seed, 'direction')
  const direction = gradient.map((value) => Math.sign(value) * Math.abs(source.normal()))
  for (const { offset, size } of weights.slots) {
    const own = weights.initial.subarray(offset, offset + size)
    const scale = Math.sqrt(own.reduce((sum, value) => sum + value ** 2, 0) / size)
    for (let index = offset; index < offset + size; index++) direction[index]! *= scale
  }
  return direction
}
