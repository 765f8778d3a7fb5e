import { expect, it } from '@jest/globals'
import { formatDuration } from '../../cli/duration.ts'
import { speedometer } from '../../cli/speed.ts'
import { table } from '../../cli/table.ts'
import { throttled } from '../../pipeline/events.ts'
import type { Progress } from '../../stages/stage.ts'

it('tells epoch, loss, accuracy, speed and time left', () => {
  let now = 0
  const speed = speedometer(() => now)
  speed({ done: 0, epoch: 1, epochs: 4, samples: 0 })
  now = 2000
  const text = speed({
    done: 0.25,
    epoch: 2,
    epochs: 4,
    loss: 0.51234,
    accuracy: 0.972,
    samples: 3000,
  })
  expect(text).toBe('epoch 2/4  loss 0.512  accuracy 97.20 %  1500 images/s  6.0 s left')
})

it('counts only what is done here when a training goes on from a checkpoint', () => {
  let now = 0
  const speed = speedometer(() => now)
  speed({ done: 0.5, epoch: 3, epochs: 4 })
  now = 1000
  expect(speed({ done: 0.75, epoch: 4, epochs: 4 })).toBe('epoch 4/4  1.0 s left')
})

it('tells the share of work where there are no epochs', () => {
  expect(speedometer(() => 0)({ done: 0.42 })).toBe('42 %')
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
})
