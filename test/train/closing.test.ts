// A student that ends with probabilities is trained on the logits behind them, whatever reshapes its answer.
import { expect, it } from '@jest/globals'
import { z } from 'zod'
import { type Builder, newModel } from '../../onnx/build.ts'
import { closingOf } from '../../onnx/closing.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { train } from '../../train/loop.ts'
import { trainingOptions } from '../../train/options.ts'
import { prepare } from '../../train/prepare.ts'

/** Linear, then an ending, for [8, 2] inputs and three classes. */
function student(end: (g: Builder, x: Value) => Value): Model {
  const { model, g } = newModel('student')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 2] })
  const weights = g.constant(tensorOf('float32', [2, 3], [0.1, -0.2, 0.3, 0.2, 0, -0.1]), 'w')
  g.output('y', end(g, g.MatMul(x, weights)), { dtype: 'float32' })
  return model
}

const endings: [string, (g: Builder, x: Value) => Value][] = [
  ['Softmax', (g, x) => g.Softmax(x, { axis: 1 })],
  ['Softmax and Reshape', (g, x) => g.Reshape(g.Softmax(x, { axis: 1 }), [-1, 3])],
  [
    'Softmax, Unsqueeze and Identity',
    (g, x) => g.Identity(g.Unsqueeze(g.Softmax(x, { axis: 1 }), [2])),
  ],
  [
    'Softmax written out',
    (g, x) => {
      const powers = g.Exp(x)
      return g.Div(powers, g.ReduceSum(powers, [1], { keepdims: 1 }))
    },
  ],
]

const options = z
  .object(trainingOptions)
  .parse({ epochs: 1, batch: 8, optimizer: { name: 'sgd', rate: 0.1 } })

/** The weights after one step on fixed samples. */
async function trained(model: Model): Promise<Float32Array> {
  const inputs = [Float32Array.from({ length: 16 }, (_, index) => Math.sin(index))]
  const labels = Int32Array.from({ length: 8 }, (_, index) => index % 3)
  const { model: result } = await train(model, {
    options,
    losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
    classes: 3,
    batches: () => [{ inputs, labels, size: 8, indices: Uint32Array.from(labels.keys()) }],
    stepsPerEpoch: 1,
    validate: async () => 0,
    ...{ seed: 1, threads: 1, provider: 'cpu' },
  })
  const found = [...result.graph.initializers].find(({ name }) => name === 'w')!
  return elements(found.tensor!, 'float32')
}

it.each(endings)('%s is left out of the training', async (_, end) => {
  const { outputs } = await prepare(student(end), { batch: 8 })
  expect(closingOf(outputs[0]!).opType).not.toBe('Softmax')
  const plain = await trained(student((_, x) => x))
  expect([...plain]).not.toEqual([...trainedBefore])
  const own = await trained(student(end))
  for (const [index, weight] of own.entries()) expect(weight).toBeCloseTo(plain[index]!, 6)
})

const trainedBefore = Float32Array.of(0.1, -0.2, 0.3, 0.2, 0, -0.1)
