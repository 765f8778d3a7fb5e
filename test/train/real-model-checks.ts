// What is measured of real models, quickly in the default tests and for all of them in the slow ones.
import { random } from '../../base/random.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { FeedMemory } from '../../train/feed-memory.ts'
import { flatten, layOut } from '../../train/flat.ts'
import { forwardPass } from '../../train/forward.ts'
import { train } from '../../train/loop.ts'
import { loweringFor } from '../../train/lowerings/choose.ts'
import type { TrainingBatch } from '../../train/settings.ts'
import {
  type Definition,
  type FlatVector,
  splitGraph,
  wholeGraph,
} from '../../train/training-graph.ts'
import { withWeights } from '../../train/weights.ts'
import { drawInputs, matching, type RealModel } from './real-models.ts'

/** Opens a model to be asked for its answers to batches, by output, as the loss compares them. */
async function answering<Result>(
  { model, forward }: Definition,
  use: (answer: (batch: TrainingBatch) => Promise<Float32Array[]>) => Promise<Result>,
): Promise<Result> {
  const pass = await forwardPass(model, forward)
  const { inputs } = pass.graph
  const names = pass.outputs.map((output, index) => {
    pass.g.output(`answer${index}`, output)
    return `answer${index}`
  })
  const memory = new FeedMemory({ ...pass.feeds, teacher: new Map() }, 1)
  // The loss, and with it the teacher's answers, is not asked for.
  removeDeadNodes(pass.graph)
  inputs.splice(0, inputs.length, ...inputs.filter(({ name }) => !name.startsWith('teacher')))
  return withSession(pass.model, { threads: 2 }, (session) =>
    use(async (batch) => {
      memory.write(0, batch, undefined)
      const found = await session.run(memory.tensors(), names)
      return names.map((name) => elements(found[name]!, 'float32'))
    }),
  )
}

/** A random batch of a model. */
async function batchOf(real: RealModel, definition: Definition, seed: number) {
  const { feeds } = await forwardPass(definition.model, definition.forward)
  return batchFrom(real, feeds.inputs, seed)
}

function batchFrom(
  real: RealModel,
  inputs: Parameters<typeof drawInputs>[0],
  seed: number,
): TrainingBatch {
  return {
    inputs: drawInputs(inputs, real, seed).map(({ bytes }) => bytes),
    size: real.batch,
    indices: Uint32Array.from({ length: real.batch }, (_, index) => index),
  }
}

/** How the loss rises along three directions, as a share of what the gradient says. */
export async function risesOf(real: RealModel): Promise<number[]> {
  const definition = await matching(real)
  const batch = await batchOf(real, definition, 1)
  // A teacher that says something else, so that the loss has a slope.
  const source = random(2, real.file)
  const taught = (await answering(definition, (answer) => answer(batch))).map((answer) => {
    const scale = Math.sqrt(answer.reduce((sum, value) => sum + value ** 2, 0) / answer.length)
    return answer.map((value) => value + scale * source.normal())
  })
  const graph = await wholeGraph(definition, 'accumulate', await loweringFor('cpu'))
  const memory = new FeedMemory(graph.feeds, 1)
  memory.write(0, batch, taught)
  const at = graph.weights.initial
  const shape = [at.length]
  const weightsFeed = (weights: Float32Array) => ({ weights: tensorOf('float32', shape, weights) })
  const gradient = await withSession(graph.model, { threads: 2 }, async (session) => {
    const accumulated = tensorOf('float32', shape, new Float32Array(at.length))
    const feeds = { ...memory.tensors(), ...weightsFeed(at), accumulated }
    const found = await session.run(feeds, ['accumulated_next'])
    return elements(found.accumulated_next!, 'float32').slice()
  })
  // The loss is added up in double precision: what is left of noise is that of the outputs themselves.
  const { forward } = await splitGraph(definition, 'accumulate')
  const names = (await forwardPass(definition.model, definition.forward)).outputs.map(
    ({ name }) => name,
  )
  const made = forward.graph.nodes.flatMap((node) => node.outputs)
  for (const name of names) forward.graph.outputs.push(made.find((value) => value?.name === name)!)
  return withSession(forward, { threads: 2 }, async (session) => {
    const lossAt = async (weights: Float32Array) => {
      const found = await session.run({ ...memory.tensors(), ...weightsFeed(weights) }, names)
      return mismatch(
        names.map((name) => elements(found[name]!, 'float32')),
        taught,
      )
    }
    const results: number[] = []
    for (const seed of [1, 2, 3]) {
      const towards = directionOf(graph.weights, gradient, seed)
      const found: number[] = []
      const slopes: number[] = []
      for (const distance of [1e-3, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7]) {
        const moved = (sign: number) => {
          const weights = new Float32Array(at.length)
          for (let index = 0; index < at.length; index++)
            weights[index] = at[index]! + sign * distance * towards[index]!
          return weights
        }
        const [above, below] = [moved(1), moved(-1)]
        found.push((await lossAt(above)) - (await lossAt(below)))
        // Along the way that was really gone: weights are rounded too.
        let slope = 0
        for (let index = 0; index < at.length; index++)
          slope += gradient[index]! * (above[index]! - below[index]!)
        slopes.push(slope)
      }
      const shares = slopes.map((slope, index) => found[index]! / slope)
      results.push(shares.sort((a, b) => Math.abs(a - 1) - Math.abs(b - 1))[0]!)
    }
    return results
  })
}

/** Σ over outputs of Σ (y - t)² / Σ t². */
const mismatch = (answers: readonly Float32Array[], taught: readonly Float32Array[]): number =>
  answers.reduce((sum, answer, output) => {
    const theirs = taught[output]!
    const error = answer.reduce((total, value, index) => total + (value - theirs[index]!) ** 2, 0)
    return sum + error / theirs.reduce((total, value) => total + value ** 2, 0)
  }, 0)

/**
 * A random direction uphill, in which every tensor moves in proportion to its own size: across the slope the loss
 * changes so little that its noise hides it.
 */
function directionOf({ slots, initial }: FlatVector, gradient: Float32Array, seed: number) {
  const source = random(seed, 'direction')
  const direction = gradient.map((value) => Math.sign(value) * Math.abs(source.normal()))
  for (const { offset, size } of slots) {
    const own = initial.subarray(offset, offset + size)
    const scale = Math.sqrt(own.reduce((sum, value) => sum + value ** 2, 0) / size) || 1e-2
    for (let index = offset; index < offset + size; index++) direction[index]! *= scale
  }
  return direction
}

/**
 * Disturbs all weights by 5 % of their tensor's size and lets the model learn from its own original answers to random
 * batches, each seen once; gives the mismatch on batches that were not trained on, before and after.
 */
export async function selfDistillation(
  real: RealModel,
): Promise<{ before: number; after: number }> {
  const { steps = 300 } = real
  const definition = await matching(real)
  const { feeds, weights } = await forwardPass(definition.model, definition.forward)
  const { slots } = layOut(weights)
  const disturbed = flatten(weights)
  const source = random(3, real.file)
  for (const { offset, size } of slots) {
    const own = disturbed.subarray(offset, offset + size)
    const scale = Math.sqrt(own.reduce((sum, value) => sum + value ** 2, 0) / size)
    for (let index = 0; index < size; index++) own[index]! += 0.05 * scale * source.normal()
  }
  const student = withWeights(definition.model, [{ slots, content: disturbed }])
  return answering(definition, async (teacher) => {
    const mismatchOf = (model: Definition['model']) =>
      answering({ ...definition, model }, async (answer) => {
        let sum = 0
        for (const seed of [1, 2, 3, 4]) {
          const batch = batchFrom(real, feeds.inputs, -seed)
          sum += mismatch(await answer(batch), await teacher(batch)) / 4
        }
        return sum
      })
    const { batch, dims, constants, rate = 1e-4 } = real
    const { model } = await train(student, {
      options: {
        ...{ epochs: 1, batch, freeze: [], batchNormalization: 'freeze', clip: 1 },
        schedule: { name: 'cosine', warmup: 0.05, final: 0 },
        optimizer: { name: 'adam', rate, betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0 },
      },
      losses: definition.forward.losses,
      ...{ dims, constants, teacher },
      *batches(_epoch, first) {
        for (let step = first; step < steps; step++) yield batchFrom(real, feeds.inputs, step)
      },
      ...{ stepsPerEpoch: steps, sharesCores: true, validate: async () => 0 },
      ...{ seed: 1, threads: 2, provider: 'cpu', where: real.file },
    })
    return { before: await mismatchOf(student), after: await mismatchOf(model) }
  })
}
