// What the user should know of the rows is said whenever they are used: also when they were prepared before.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { prepareTable } from '../../data/prepare.ts'
import { findPrepared, keepPrepared } from '../../data/prepared-cache.ts'
import { fileWriter } from '../../data/store.ts'
import type { Row } from '../../data/table.ts'
import { temporaryFolder } from '../support/folder.ts'
import { partOf, plainOptions, prepared, tableOf } from './tables.ts'

const columns = { x: 'number', label: 'text' } as const

const rows = (classes: readonly string[], count = 30): Row[] =>
  Array.from({ length: count }, (_, index) => [index, classes[index % classes.length]!])

const withTest = (train: readonly string[], test: readonly string[]) =>
  tableOf(columns, rows(train), { test: partOf('test.csv', rows(test)) })

describe('a class without a sample', () => {
  it('in the test part is named', async () => {
    const { lines } = await prepared(withTest(['a', 'b', 'c'], ['a', 'c']))
    expect(lines).toEqual(["data: classes without a sample in the test split: 1 of 3: 'b'"])
  })

  it('in the training split is named, however many there are', async () => {
    const { lines } = await prepared(withTest(['0', '9'], ['0', '9']))
    expect(lines).toEqual([
      "data: classes without a sample in the training split: 8 of 10: '1', '2', '3', '4', '5', …",
      "data: classes without a sample in the test split: 8 of 10: '1', '2', '3', '4', '5', …",
    ])
  })

  it('is nowhere where all have some', async () => {
    expect((await prepared(withTest(['a', 'b'], ['b', 'a']))).lines).toEqual([])
  })
})

it('one class alone is told to say nothing', async () => {
  const { lines } = await prepared(withTest(['a'], ['a']))
  expect(lines).toEqual([
    "data: there is one class alone: 'a' — any model is right, which says nothing",
  ])
})

it.each(['-1', '1.5'])('a label %s among the numbers of classes is told', async (odd) => {
  const labels = ['0', odd, '1', '2']
  const { lines } = await prepared(withTest(labels, labels))
  expect(lines).toEqual([
    `data: labels that are not whole numbers from 0 are classes of their own: '${odd}' — correct them, or leave the samples out`,
  ])
})

it.each([[['-1', '1']], [['1', '1.5', '2', '2.5']], [['a', '1', '2']]])(
  'labels %j are as they are',
  async (labels) => {
    expect((await prepared(withTest(labels, labels))).lines).toEqual([])
  },
)

it('what was said of rows is kept with their records', async () => {
  const folder = join(temporaryFolder(), 'prepared', 'key')
  const lines: string[] = []
  await keepPrepared(folder, (pathOf) =>
    prepareTable(withTest(['a', 'b', 'c'], ['a']), plainOptions, {
      write: (part, layout) => fileWriter(layout, pathOf(part)),
      log: (line) => lines.push(line),
    }),
  )
  expect(lines).toHaveLength(1)
  expect((await findPrepared(folder))?.notes).toEqual(lines)
})
