// Every task through a small whole run; further data of the same tasks, and what knowledge is left of each, is in the slow tests.
import { describe, expect, it } from '@jest/globals'
import { fixture } from '../data/readers/fixtures.ts'
import { cases, expectWholeRun } from './task-runs.ts'
import { folderOf, wholeRun } from './whole.ts'

describe('a whole run', () => {
  it.each(Object.entries(cases).filter(([, { slow }]) => !slow))('of %s', (name, row) =>
    // What is left of knowledge is measured of one of them: it takes as long as all else together.
    expectWholeRun(row, name === 'tagging' && { samples: 16 }),
  )
})

it('reads parquet in parts, with missing cells', async () => {
  const part = fixture('parquetGzip')
  const names = Array.from({ length: 30 }, (_, index) => `${index}`.padStart(5, '0'))
  const files = Object.fromEntries(names.map((name) => [`train-${name}-of-00030.parquet`, part]))
  const { report } = await wholeRun({
    seed: 1,
    data: {
      format: 'parquet',
      path: folderOf(files),
      features: {
        text: { kind: 'text', tokenizer: { kind: 'word' }, output: 'bag', missing: 'empty' },
      },
      target: 'label',
    },
    teacher: {
      model: { architecture: 'mlp', hidden: [4] },
      train: { epochs: 2, batch: 16, optimizer: { name: 'adam', rate: 0.01 } },
    },
    stages: [{ stage: 'quantize', scheme: 'dynamic' }],
  })
  expect(report.data).toMatchObject({ test: 18 })
})
