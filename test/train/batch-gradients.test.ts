import { describe, expect, it } from '@jest/globals'
import { Interrupted } from '../../base/errors.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { type BatchGradientSettings, batchGradients } from '../../train/batch-gradients.ts'
import { nd } from '../support/reference/nd.ts'
import { differences, reference, relativeError } from '../support/reference.ts'
import { batchesOf, classes, dropoutNet, patterns, residualNet, settingsFor } from './support.ts'

const training = patterns(96, 1)

function settings(rest: Partial<BatchGradientSettings> = {}): BatchGradientSettings {
  const { losses, threads, provider } = settingsFor()
  return {
    batches: batchesOf(training, 16, 1),
    batch: 16,
    losses,
    classes,
    threads,
    provider,
    ...rest,
  }
}

/** The mean over all batches. */
async function meanGradients(
  model: Model,
  given: BatchGradientSettings,
): Promise<Map<string, Float32Array>> {
  const sums = new Map<string, Float64Array>()
  let count = 0
  for await (const gradients of batchGradients(model, given)) {
    count++
    for (const [name, values] of gradients)
      sums.set(
        name,
        Float64Array.from(values, (value, index) => value + (sums.get(name)?.[index] ?? 0)),
      )
  }
  return new Map(
    [...sums].map(([name, sum]) => [name, Float32Array.from(sum, (value) => value / count)]),
  )
}

describe('batchGradients', () => {
  it('is the gradient of the mean loss of a linear model', async () => {
    const { model, g } = newModel('linear')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2, 8, 8] })
    const weight = Float32Array.from({ length: 128 * classes }, (_, index) => Math.sin(index) / 9)
    const matrix = g.constant(tensorOf('float32', [128, classes], weight), 'matrix')
    g.output('y', g.MatMul(g.Flatten(x), matrix))
    const found = await meanGradients(model, settings())
    expect([...found.keys()]).toEqual(['matrix'])

    const batches = [...batchesOf(training, 16, 1)].length
    const loss = (data: Float64Array) => {
      let sum = 0
      for (const { inputs, labels, size } of batchesOf(training, 16, 1)) {
        const rows = nd([size, 128], inputs[0] as Float32Array)
        const logits = reference.MatMul!([rows, nd([128, classes], data)], {})
        const logarithms = reference.LogSoftmax!([logits], {}).data
        for (const [row, label] of labels!.entries())
          sum -= logarithms[row * classes + label]! / size
      }
      return sum / batches
    }
    // A few of the elements: each costs two passes over the data.
    const some = [0, 77, 301, 511]
    const start = Float64Array.from(weight)
    const expected = differences(
      (values) => loss(some.reduce((all, place, index) => all.with(place, values[index]!), start)),
      Float64Array.from(some, (place) => start[place]!),
    )
    const gradient = some.map((place) => found.get('matrix')![place]!)
    expect(relativeError(gradient, expected)).toBeLessThan(1e-4)
  })

  it.each([
    ['BatchNormalization', residualNet],
    ['Dropout', dropoutNet],
  ])('is the same each time for a model with %s, which answers as at inference', async (_, net) => {
    const model = net()
    const [first, second] = [
      await meanGradients(model, settings()),
      await meanGradients(model, settings()),
    ]
    expect(first).toEqual(second)
    for (const [name, gradient] of first) {
      const { tensor } = [...model.graph.initializers].find((value) => value.name === name)!
      expect(gradient).toHaveLength(tensor!.size)
      expect(gradient.some((value) => value !== 0)).toBe(true)
    }
    // Running statistics are not weights.
    expect([...first.keys()].filter((name) => /\.(mean|var)$/.test(name))).toEqual([])
  })

  it('asks the teacher where a loss does', async () => {
    const teacher = ({ size }: { size: number }) => [new Float32Array(size * classes)]
    const losses = [{ loss: 'kl', temperature: 2, weight: 1, standardise: false }] as const
    const found = await meanGradients(residualNet(), settings({ losses, teacher }))
    expect(found.size).toBeGreaterThan(10)
  })

  it('stops when told to', async () => {
    const signal = AbortSignal.abort()
    await expect(meanGradients(residualNet(), settings({ signal }))).rejects.toThrow(Interrupted)
  })
})
