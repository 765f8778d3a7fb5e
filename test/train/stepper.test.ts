import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { onnx } from '../../train/engines/onnx.ts'
import { optimizerOptions } from '../../train/options.ts'
import { Stepper, type StepperSettings } from '../../train/stepper.ts'
import type { Definition } from '../../train/training-graph.ts'
import type { UpdateOptions } from '../../train/update.ts'
import { batchesOf, classes, dropoutNet, patterns, residualNet, shape } from './support.ts'

const data = patterns(96, 1)
const perceptron = () =>
  buildArchitecture(
    { architecture: 'mlp', hidden: [24, 16] },
    { ...oneInput(shape, classes), seed: 1 },
  )

function settingsOf(
  model: Definition['model'],
  update: Partial<UpdateOptions> = {},
  rest: Partial<StepperSettings> = {},
): StepperSettings {
  return {
    definition: {
      model,
      forward: {
        ...{ batch: 16, classes, freeze: [], batchStatistics: true, dropout: true },
        losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
      },
      update: { optimizer: optimizerOptions.parse({ name: 'adamw', rate: 1e-2 }), ...update },
    },
    engine: onnx,
    options: { provider: 'cpu', threads: 1, sharesCores: false, log: () => undefined },
    seed: 9,
    steps: 100,
    rate: (update) => 1e-2 / (1 + update / 10),
    mostSteps: 1,
    ...rest,
  }
}

/** Takes all batches of some epochs; the losses, the vectors, and how many losses came with each call. */
async function run(settings: StepperSettings, epochs = 8) {
  const stepper = await Stepper.open(settings)
  try {
    const losses: number[] = []
    const bursts: number[] = []
    let number = 0
    for (let epoch = 1; epoch <= epochs; epoch++)
      for (const batch of batchesOf(data, 16, epoch)) {
        const found = await stepper.take(number++, batch, undefined)
        losses.push(...found)
        bursts.push(found.length)
      }
    losses.push(...(await stepper.flush()))
    expect(stepper.settled).toBe(true)
    const vectors = Object.fromEntries(
      Object.entries(stepper.vectors).map(([name, vector]) => [name, vector.slice()]),
    )
    return { losses, bursts, vectors, inPlace: stepper.graph.inPlace }
  } finally {
    await stepper.dispose()
  }
}

/** The same engine, without writing over what is read. */
const outOfPlace: StepperSettings['engine'] = {
  ...onnx,
  async step(...given) {
    const runner = await onnx.step(...given)
    return { ...runner, graph: { ...runner.graph, inPlace: new Set() } }
  },
}

const nets = [
  ['a perceptron', perceptron],
  ['a perceptron with Dropout', dropoutNet],
  ['a residual net', residualNet],
] as const

describe.each(nets)('steps of %s', (_, net) => {
  it('write over what they read without changing a bit', async () => {
    const inPlace = await run(settingsOf(net()))
    const apart = await run(settingsOf(net(), {}, { engine: outOfPlace }))
    expect(inPlace.inPlace).toEqual(new Set(Object.keys(inPlace.vectors)))
    expect(inPlace.losses).toEqual(apart.losses)
    expect(inPlace.vectors).toEqual(apart.vectors)
  })

  it('are the same taken several a run', async () => {
    const single = await run(settingsOf(net(), { average: 0.9 }))
    const several = await run(settingsOf(net(), { average: 0.9 }, { mostSteps: 7 }))
    expect(Math.max(...single.bursts)).toBe(1)
    // Only steps that are short are; those of the perceptron are on any machine.
    if (net === perceptron) expect(Math.max(...several.bursts)).toBeGreaterThan(1)
    expect(several.losses).toEqual(single.losses)
    expect(several.vectors).toEqual(single.vectors)
  })
})

describe('an average of the weights', () => {
  it('follows them as its formula says', async () => {
    const before = await run(settingsOf(perceptron(), { average: 0.9 }), 1)
    const stepper = await Stepper.open(settingsOf(perceptron(), { average: 0.9 }))
    try {
      let average = Float64Array.from(stepper.vectors.average!)
      expect(average).toEqual(Float64Array.from(stepper.vectors.weights!))
      let update = 0
      for (const batch of batchesOf(data, 16, 1)) {
        await stepper.take(update, batch, undefined)
        update++
        const decay = Math.min(0.9, (1 + update) / (10 + update))
        const { weights } = stepper.vectors
        average = average.map((value, index) => decay * value + (1 - decay) * weights![index]!)
      }
      for (const [index, value] of stepper.vectors.average!.entries())
        expect(Math.abs(value - average[index]!)).toBeLessThan(1e-6)
      expect(stepper.vectors.weights).toEqual(before.vectors.weights)
    } finally {
      await stepper.dispose()
    }
  })
})

describe('adding gradients up', () => {
  it('of two batches makes one update of their mean', async () => {
    const plain = { name: 'sgd', rate: 1, momentum: 0, weightDecay: 0 }
    const optimizer = optimizerOptions.parse(plain)
    const rest = { rate: () => 0.1 }
    const both = await run(settingsOf(perceptron(), { optimizer, accumulate: 2 }, rest), 1)
    // The same by hand: the gradient of each pair at the weights before it.
    const stepper = await Stepper.open(settingsOf(perceptron(), { optimizer }, rest))
    try {
      const weights = stepper.vectors.weights!
      const pairs = [...batchesOf(data, 16, 1)].length / 2
      for (let pair = 0; pair < pairs; pair++) {
        const start = weights.slice()
        const moves = new Float64Array(start.length)
        let number = 0
        for (const batch of batchesOf(data, 16, 1)) {
          if (number >> 1 === pair) {
            weights.set(start)
            await stepper.take(number, batch, undefined)
            for (const [index, weight] of weights.entries()) moves[index]! += weight - start[index]!
          }
          number++
        }
        weights.set(start.map((weight, index) => weight + moves[index]! / 2))
      }
      for (const [index, weight] of both.vectors.weights!.entries())
        expect(Math.abs(weight - weights[index]!)).toBeLessThan(1e-5)
    } finally {
      await stepper.dispose()
    }
  })
})
