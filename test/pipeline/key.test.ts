// What the cache key of a step depends on.
import { expect, it } from '@jest/globals'
import { subset } from '../../data/subset.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { keyOf, type World } from '../../pipeline/key.ts'
import { storedModel } from '../../pipeline/stored.ts'
import { stages } from '../../stages/index.ts'
import { classes, data, shape } from '../stages/support.ts'

const model = storedModel(
  buildArchitecture({ architecture: 'mlp' }, { ...oneInput(shape, classes), seed: 1 }),
)

const keyWith = (splits: typeof data, stage: 'train' | 'export' = 'train') => {
  const world: World = {
    environment: {
      ...{ code: 'c', runtime: 'r', provider: 'cpu', threads: 1, lowering: 'l', machine: 'm' },
    },
    ...{ seed: 1, task: 'classification', cacheFolder: '', signal: undefined },
    data: {
      splits,
      facts: { source: '', columns: [], classes: [], targetWidth: 0, learned: {}, features: {} },
      fingerprint: '',
      show: async () => [],
    },
    listen: () => undefined,
  }
  const options = stages[stage].options.parse({ stage })
  return keyOf({ id: 'x', options, step: 1, steps: 1 }, model, model, world)
}

it('depends on the samples that a stage may read, those without labels too, and not on the test split', async () => {
  const few = subset(data.train, Uint32Array.of(1, 2, 3))
  const key = await keyWith(data)
  expect(await keyWith({ ...data, test: few })).toBe(key)
  const others = [
    await keyWith({ ...data, train: few }),
    await keyWith({ ...data, validation: few }),
    await keyWith({ ...data, unlabelled: few }),
    await keyWith({ ...data, unlabelled: subset(few, Uint32Array.of(0)) }),
  ]
  expect(new Set([key, ...others]).size).toBe(5)
})

it('of a stage that reads no samples does not depend on them', async () => {
  const changed = { ...data, unlabelled: data.validation, train: data.validation }
  expect(await keyWith(changed, 'export')).toBe(await keyWith(data, 'export'))
})
