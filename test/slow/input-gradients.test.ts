// Losses that write gradients and second passes into the graph, in whole trainings and on another engine.
import { describe, expect, it } from '@jest/globals'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { openSession } from '../../runtime/session.ts'
import { withInputGradient } from '../../train/input-gradient.ts'
import { train } from '../../train/loop.ts'
import { optimizerOptions } from '../../train/options.ts'
import { compareEngines } from '../train/cross-engine.ts'
import { parsed } from '../train/loss-harness.ts'
import {
  batchesOf,
  classes,
  residualNet,
  settingsFor,
  shape,
  validation,
} from '../train/support.ts'

describe('a training on input gradients', () => {
  it('turns those of the student towards those of the teacher', async () => {
    const [teacher, student] = [1, 2].map((seed) =>
      buildArchitecture(
        { architecture: 'mlp', hidden: [32], activation: 'gelu' },
        { ...oneInput(shape, classes), seed },
      ),
    )
    const rows = 16
    const slopes = async (model: Model) => {
      const session = await openSession(
        await withInputGradient(model, { of: 'largest', batch: rows }),
      )
      const names = session.inputs.map(({ name }) => name)
      return {
        async of(x: Float32Array) {
          const feeds = { [names[0]!]: tensorOf('float32', [rows, ...shape], x) }
          return Object.values(await session.run(feeds)).map((tensor) =>
            Float32Array.from(numbers(tensor)),
          )
        },
        dispose: () => session.dispose(),
      }
    }
    const taught = await slopes(teacher!)
    const [batch] = batchesOf(validation, rows, 1)
    const x = Float32Array.from(batch!.inputs[0] as Float32Array)
    const alike = async (model: Model) => {
      const own = await slopes(model)
      const [a, b] = [(await own.of(x))[1]!, (await taught.of(x))[1]!]
      await own.dispose()
      const product = a.reduce((sum, value, cell) => sum + value * b[cell]!, 0)
      return product / (Math.hypot(...a) * Math.hypot(...b))
    }
    const settings = settingsFor(
      { epochs: 25, optimizer: optimizerOptions.parse({ name: 'adamw', rate: 0.03 }) },
      {
        losses: parsed([{ loss: 'jacobian' }]),
        teacher: ({ inputs }) => taught.of(Float32Array.from(inputs[0] as Float32Array)),
        taught: { outputs: 1, taps: [] },
        validate: alike,
      },
    )
    const { model } = await train(student!, settings)
    const [before, after] = [await alike(student!), await alike(model)]
    await taught.dispose()
    expect(after).toBeGreaterThan(before + 0.2)
  })

  it('is the same for an engine that differentiates by itself', async () => {
    const batch = 3
    const terms = [{ loss: 'jacobian' }, { loss: 'consistency', target: 'self' }]
    const forward = {
      ...{ batch, classes, losses: parsed(terms), freeze: [] },
      ...{ batchStatistics: true, dropout: true },
    }
    const update = { optimizer: optimizerOptions.parse({ name: 'sgd' }), clip: undefined }
    const [samples] = batchesOf(validation, batch, 1)
    const x = Float32Array.from(samples!.inputs[0] as Float32Array)
    const inputs = () => [tensorOf('float32', [batch, ...shape], x)]
    const definition = { model: residualNet(), forward, update }
    for (const error of Object.values(await compareEngines(definition, inputs, 'cpu')))
      expect(error).toBeLessThan(1e-4)
  })
})
