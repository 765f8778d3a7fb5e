// A teacher that is asked about samples that change sees all of its columns, or the training is refused.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { augmentOptions } from '../../../data/augment.ts'
import { batches } from '../../../data/batches.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { tensorOf } from '../../../onnx/tensor.ts'
import { distill } from '../../../stages/distill/index.ts'
import { feedingOf } from '../../../stages/feeding.ts'
import { defaultCombination } from '../../../stages/teaching/combine.ts'
import { openTeaching } from '../../../stages/teaching/teaching.ts'
import { tasks } from '../../../tasks/index.ts'
import { imagesOf } from '../../support/samples.ts'
import { mixedData } from '../mixed-data.ts'
import { contextOf } from '../support.ts'
import { first } from './support.ts'

const float = (...shape: (number | string)[]) => ({ dtype: 'float32' as const, shape })

/** Reads images alone. */
function student(): Model {
  const { model, g } = newModel('student')
  const x = g.input('image', float('N', 1, 2, 2))
  const weights = g.constant(tensorOf('float32', [4, 3], new Array(12).fill(0.1)), 'w')
  g.output('y', g.MatMul(g.Reshape(x, [0, 4]), weights), float('N', 3))
  return model
}

const run = (teacher: Model) => {
  const split = mixedData(16)
  const { context } = contextOf(teacher)
  const options = distill.options.parse({
    ...{ stage: 'distill', epochs: 1, batch: 8, augment: { noise: 0.1 } },
    losses: [{ loss: 'mse' }],
  })
  const data = { train: split, validation: split, calibration: split, test: split }
  const input = { model: student(), facts: {} }
  return distill.run(input, options, { ...context, data, task: tasks.match })
}

describe('a teacher asked about augmented samples', () => {
  it.each([
    { flip: true, crop: 2, noise: 0.1 },
    { erasing: true, mixup: 0.4 },
    { rotate: 20, cutmix: 1 },
  ])('sees exactly what the student sees: %j', async (asked) => {
    // A teacher that says its input back.
    const { model, g } = newModel('echo')
    const x = g.input('image', float('N', 1, 8, 8))
    g.output('y', g.Mul(g.Reshape(x, [0, 64]), 1), float('N', 64))
    const { context } = contextOf(model)
    const matching = { ...context, task: tasks.match }
    const how = { online: true, store: 'float16', batch: 16 } as const
    const noise = random(1, 'pixels')
    const pixels = Uint8Array.from({ length: 48 * 64 }, () => noise.integer(256))
    const samples = imagesOf(pixels, [1, 8, 8], {
      classes: ['a', 'b'],
      labels: Int32Array.from({ length: 48 }, (_, index) => index % 2),
    })
    const teaching = await openTeaching(
      [{ name: 'echo', model, weight: 1 }],
      ...([defaultCombination, first, samples, how, matching] as const),
    )
    const feeding = feedingOf(model.graph, samples, matching.task, how.batch)
    const augment = augmentOptions.parse(asked)
    let changed = 0
    for await (const fed of feeding.batches(
      batches(samples, { size: how.batch, shuffle: true, seed: 3, epoch: 2, augment }),
    )) {
      const [said] = await teaching.answers(fed)
      expect(said).toEqual(fed.inputs[0])
      const plain = new Float32Array(64)
      for (const [row, index] of fed.indices.entries()) {
        samples.read(index, 0, plain, 0)
        changed += Number(plain.some((value, at) => value !== said![row * 64 + at]))
      }
    }
    await teaching.close()
    expect(changed).toBeGreaterThan(24)
  })

  it('reads columns that the student does not', async () => {
    const { model, g } = newModel('teacher')
    const v = g.input('v', float('N', 2))
    g.output('y', g.Mul(g.Concat(v, g.Slice(v, [0], [1], [1]), { axis: 1 }), 1000), float('N', 3))
    const { facts } = await run(model)
    // The vectors go up to 151.5, and with them the teacher's answers, which the student is far from.
    expect(facts.epochs![0]!.loss).toBeGreaterThan(100)
  })

  it('may not take the bytes, which stay as they are', async () => {
    const { model, g } = newModel('teacher')
    const x = g.input('image', { dtype: 'uint8', shape: ['N', 2, 2, 1] })
    const values = g.Reshape(g.Cast(x, { to: 1 }), [0, 4])
    g.output('y', g.Slice(values, [0], [3], [1]), float('N', 3))
    await expect(run(model)).rejects.toThrow(
      "augment: the teacher takes the bytes of 'image.raw', which augmentation does not change",
    )
  })
})
