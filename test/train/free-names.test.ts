// Models whose values are called as training graphs call their own.
import { expect, it } from '@jest/globals'
import { z } from 'zod'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { batchGradients } from '../../train/batch-gradients.ts'
import { train } from '../../train/loop.ts'
import { trainingOptions } from '../../train/options.ts'

/** A linear classifier whose input, weight, product and output have these names. */
function linear([input, weight, product, output]: readonly string[]) {
  const { normal } = random(5, 'names')
  const { model, g } = newModel('linear')
  const x = g.input(input!, { dtype: 'float32', shape: ['N', 4] })
  const content = Float32Array.from({ length: 12 }, () => normal())
  const w = g.constant(tensorOf('float32', [4, 3], content), weight!)
  const made = g.MatMul(x, w)
  made.name = product!
  g.output(output!, g.Relu(made), { dtype: 'float32', shape: ['N', 3] })
  return model
}

const plain = ['x', 'w', 'xw', 'y'] as const
const clashing = ['values', 'weights', 'gradient', 'loss'] as const

const batch = {
  size: 2,
  inputs: [Float32Array.of(1, -2, 3, 4, -1, 2, 0.5, 1)],
  labels: Int32Array.of(0, 2),
  indices: Uint32Array.of(0, 1),
}
const losses = [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }] as const
const common = { losses, classes: 3, threads: 1, provider: 'cpu' } as const

it('have the same gradients, under their own names', async () => {
  const gradientsOf = async (names: readonly string[]) => {
    const settings = { ...common, batches: [batch], batch: 2 }
    for await (const found of batchGradients(linear(names), settings))
      return found.get(names[1]!)!.slice()
    throw new Error('no gradient')
  }
  const expected = await gradientsOf(plain)
  expect(expected.some((value) => value !== 0)).toBe(true)
  expect(await gradientsOf(clashing)).toEqual(expected)
})

it('are trained to the same weights and keep their names', async () => {
  const trained = async (names: readonly string[]) => {
    const options = z.strictObject(trainingOptions).parse({ epochs: 2, batch: 2 })
    const seen: string[] = []
    const mask = Float32Array.from({ length: 12 }, (_, index) => Number(index !== 3))
    const { model } = await train(linear(names), {
      ...{ ...common, options, stepsPerEpoch: 3, seed: 1 },
      batches: () => [batch, batch, batch],
      masks: new Map([[names[1]!, mask]]),
      dims: {},
      validate: async ({ graph }) => {
        seen.push(graph.inputs[0]!.name)
        return 0
      },
    })
    expect(seen).toEqual([names[0], names[0]])
    expect(model.graph.outputs.map(({ name }) => name)).toEqual([names[3]])
    const [weight] = [...model.graph.initializers].filter(({ name }) => name === names[1])
    return elements(weight!.tensor!, 'float32')
  }
  const expected = await trained(plain)
  expect(expected).not.toEqual(
    elements([...linear(plain).graph.initializers][0]!.tensor!, 'float32'),
  )
  expect(await trained(clashing)).toEqual(expected)
})
