import { describe, expect, it } from '@jest/globals'
import { barLine } from '../../cli/bar.ts'
import { formatDuration } from '../../cli/duration.ts'
import { inWords, speedometer } from '../../cli/speed.ts'
import { table } from '../../cli/table.ts'
import { throttled } from '../../pipeline/events.ts'
import type { Progress } from '../../stages/stage.ts'

it('tells epoch, loss, accuracy, speed and time left', () => {
  let now = 0
  const speed = speedometer(() => now)
  speed({ done: 0, epoch: 1, epochs: 4, samples: 0 })
  now = 2000
  const parts = speed({
    done: 0.25,
    epoch: 2,
    epochs: 4,
    loss: 0.51234,
    accuracy: 0.972,
    samples: 3000,
  })
  expect(inWords(parts)).toBe(
    'epoch 2/4  loss 0.512  accuracy 97.20\u202f%  1500 samples/s  6.0 s left',
  )
})

it.each([
  ['mae', 0.51234, 'mean absolute error|MAE'],
  ['ndcg@10', 0.5, 'NDCG@10'],
])('tells the figure of another task by its name: %s', (metric, accuracy, title) => {
  const [, said] = speedometer(() => 0)({ done: 0.5, epoch: 1, epochs: 2, metric, accuracy })
  expect(said?.long).toMatch(new RegExp(`^(${title}) 0\\.5`))
})

it('counts only what is done here when a training goes on from a checkpoint', () => {
  let now = 0
  const speed = speedometer(() => now)
  speed({ done: 0.5, epoch: 3, epochs: 4 })
  now = 1000
  expect(inWords(speed({ done: 0.75, epoch: 4, epochs: 4 }))).toBe('epoch 4/4  1.0 s left')
})

it('tells the share of work where there are no epochs', () => {
  expect(inWords(speedometer(() => 0)({ done: 0.42 }))).toBe('42 %')
})

it('has no speed before the second report, which is the first with a time', () => {
  let now = 5000
  const speed = speedometer(() => now)
  expect(inWords(speed({ done: 0.1, epoch: 1, epochs: 2, samples: 64 }))).toBe('epoch 1/2')
  now = 6000
  const text = inWords(speed({ done: 0.2, epoch: 1, epochs: 2, samples: 64 }))
  expect(text).toBe('epoch 1/2  64 samples/s  8.0 s left')
})

describe('the line of a bar', () => {
  const parts = [
    { long: 'epoch 12/20', short: '12/20' },
    { long: 'loss 0.123', short: 'loss 0.123' },
    { long: 'accuracy 97.20 %', short: 'acc 97.2 %' },
    { long: '15000 samples/s', short: '15000/s' },
    { long: '1 min 20 s left', short: '1 min 20 s left' },
  ]
  it.each([
    [120, '[1/4] distill ████████████░░░░░░░░░░░░  epoch 12/20  loss 0.123  accuracy 97.20 %'],
    [100, '[1/4] distill █████░░░░  epoch 12/20  loss 0.123  accuracy 97.20 %'],
    [79, '[1/4] distill ██████░░░░░░  12/20 loss 0.123 acc 97.2 % 15000/s 1 min 20 s left'],
  ])('fits %d columns', (width, start) => {
    const line = barLine({ label: '[1/4] distill', done: 0.5, parts }, width)
    expect(line.slice(0, start.length)).toBe(start)
    expect(line.length).toBeLessThanOrEqual(width)
    expect(line.endsWith('1 min 20 s left')).toBe(true)
  })

  it('is cut where even abbreviations are too long', () => {
    expect(barLine({ label: '[1/4] distill', done: 1, parts }, 30)).toHaveLength(30)
  })
})

it.each([
  [0.44, '0.4 s'],
  [42.4, '42 s'],
  [185, '3 min 5 s'],
])('writes %d seconds as %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text)
})

it('aligns the columns of a table', () => {
  expect(table(['a', 'long'], [['wide cell', 'b'], ['c']])).toBe('a          long\nwide cell  b\nc')
})

it('lets progress through ten times a second, ends of epochs always, and loses no sample', () => {
  let now = 0
  const seen: Progress[] = []
  const report = throttled(
    (progress) => seen.push(progress),
    () => now,
  )
  for (let step = 1; step <= 40; step++) {
    now += 10
    report({ done: step / 40, epoch: step <= 25 ? 1 : 2, epochs: 2, samples: 8 })
  }
  expect(seen.length).toBeLessThan(10)
  expect(seen.map(({ epoch }) => epoch)).toContain(2)
  expect(seen.at(-1)?.done).toBe(1)
  expect(seen.reduce((sum, { samples = 0 }) => sum + samples, 0)).toBe(40 * 8)
  report({ done: 0.5, epoch: 2, epochs: 2, epochDone: true })
  report({ done: 0.5, epoch: 2, epochs: 2, epochDone: true })
  expect(seen.slice(-2).map(({ epochDone }) => epochDone)).toEqual([true, true])
})
