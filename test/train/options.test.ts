import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { optimizers } from '../../train/optimizers.ts'
import {
  optimizerOptions,
  scheduleOptions,
  schedulesByName,
  type TrainingOptions,
  trainingOptions,
} from '../../train/options.ts'

const schema = z.strictObject(trainingOptions)

describe('the options of training', () => {
  it('have a default each, but for what is off unless asked for', () => {
    const options: TrainingOptions = schema.parse({})
    expect(options).toEqual({
      epochs: 10,
      batch: 64,
      keep: 'best',
      optimizer: optimizerOptions.parse({ name: 'adamw' }),
      schedule: 'cosine',
      freeze: [],
      penalties: [],
      rates: {},
      accumulate: 1,
      batchNormalization: 'update',
      engine: 'onnx',
    })
  })

  it('take what recipes write', () => {
    const written = {
      rates: { 're:^head': 10, conv1: 0.1 },
      accumulate: 4,
      average: 0.999,
      stopAfter: 3,
      batchNormalization: 're-estimate',
      classWeights: 'balanced',
      engine: 'tfjs',
    }
    expect(schema.parse(written)).toMatchObject(written)
    expect(schema.parse({ classWeights: [1, 0, 2.5] }).classWeights).toEqual([1, 0, 2.5])
  })

  it.each([
    { rates: { head: 0 } },
    { rates: { head: -1 } },
    { accumulate: 0 },
    { accumulate: 1.5 },
    { average: 0 },
    { average: 1 },
    { stopAfter: 0 },
    { batchNormalization: 'keep' },
    { classWeights: 'even' },
    { classWeights: [1] },
    { classWeights: [1, -1] },
    { engine: 'torch' },
    { optimizer: { name: 'sgd', momentum: 1 } },
    { optimizer: { name: 'adam', betas: [0.9, 1] } },
    { optimizer: { name: 'adam', betas: [0.9] } },
    { optimizer: { name: 'rmsprop', alpha: 1 } },
    { optimizer: { name: 'rmsprop', betas: [0.9, 0.9] } },
    { optimizer: { name: 'lamb', epsilon: 0 } },
    { optimizer: { name: 'lamb', weightDecay: -1 } },
    { schedule: 'warm' },
    { schedule: { name: 'linear', final: 2 } },
    { schedule: { name: 'polynomial', power: 0 } },
    { schedule: { name: 'exponential', final: 0 } },
    { schedule: { name: 'cosine-restarts', cycles: 0 } },
    { schedule: { name: 'cosine-restarts', growth: 0.5 } },
    { schedule: { name: 'one-cycle', startDivision: 0.5 } },
    { schedule: { name: 'one-cycle', warmup: 1.1 } },
    { schedule: { name: 'plateau', patience: 0.5 } },
    { schedule: { name: 'plateau', factor: 1 } },
  ])('refuse %j', (written) => {
    expect(schema.safeParse(written).success).toBe(false)
  })

  it('give every optimizer its defaults', () => {
    for (const name of Object.keys(optimizers))
      expect(optimizerOptions.parse({ name })).toMatchObject({
        name,
        weightDecay: expect.any(Number),
      })
  })

  it('resolve to options that resolve to themselves', () => {
    for (const [name, schedule] of Object.entries(schedulesByName)) {
      expect(schedule.name).toBe(name)
      expect(scheduleOptions.parse(schedule)).toEqual(schedule)
    }
  })
})
