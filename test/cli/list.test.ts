// The steps of a run as lines, and lines on a terminal that is written to again and again.
import { describe, expect, it } from '@jest/globals'
import { openBoard } from '../../cli/board.ts'
import { listLines } from '../../cli/list.ts'
import { openScreen } from '../../cli/screen.ts'
import type { RunEvent } from '../../pipeline/events.ts'
import { screenOf } from './screen.ts'

const stages = ['teacher', 'distill', 'prune', 'int8'].map((id, step) => ({
  ...{ id, stage: 'train', step, steps: 3 },
}))
const [teacher, distill] = stages as [(typeof stages)[0], (typeof stages)[0]]

const start: RunEvent = { event: 'run-start', name: 'run', folder: 'runs/run', steps: 3, stages }
const halfway: readonly RunEvent[] = [
  start,
  { event: 'stage-start', ...teacher },
  { event: 'stage-done', ...teacher, cached: false, seconds: 12, sizeBytes: 1e6, summary: 'good' },
  { event: 'stage-start', ...distill },
  { event: 'progress', id: 'distill', done: 0.5, epoch: 2, epochs: 4, loss: 0.25 },
]

/** What is known after these events, by a clock that stands still. */
function boardAfter(events: readonly RunEvent[]) {
  const board = openBoard(() => 0)
  for (const event of events) board.take(event)
  return board
}

describe('the list of steps', () => {
  it('shows what is done, what runs and what waits, the benchmark last', () => {
    expect(listLines(boardAfter(halfway).rows(), { columns: 80, lines: 24 })).toEqual([
      '✓ teacher       12 s  1.00\u202fMB  good',
      '▸ [1/3] distill ████████████░░░░░░░░░░░░  epoch 2/4  loss 0.250',
      '· [2/3] prune',
      '· [3/3] int8',
      '· benchmark',
    ])
  })

  it('leaves a failed run with the step that failed, without those that never came', () => {
    const board = boardAfter(halfway)
    board.end()
    expect(board.rows().map(({ label, state }) => [label, state])).toEqual([
      ['teacher', 'done'],
      ['[1/3] distill', 'stopped'],
    ])
  })

  it('tells a step called benchmark from the benchmark', () => {
    const step = { id: 'benchmark', stage: 'prune', step: 1, steps: 1 }
    const board = boardAfter([
      { ...start, stages: [step] },
      { event: 'stage-start', ...step },
      { event: 'progress', id: 'benchmark', done: 0.5 },
    ])
    expect(board.rows().map(({ state }) => state)).toEqual(['running', 'waiting'])
  })

  it('follows commands that have no steps, and leaves nothing of them', () => {
    const board = boardAfter([{ event: 'benchmark-progress', done: 0.5, what: 'cpu: opening' }])
    const [line] = listLines(board.rows(), { columns: 80, lines: 24 })
    expect(line).toMatch(/^▸ benchmark +█+░+ {2}cpu: opening$/)
    board.end()
    expect(board.rows()).toEqual([])
  })

  it('never has more lines or columns than there is room, and always the step that runs', () => {
    const many = Array.from({ length: 30 }, (_, index) => ({
      ...{ id: `step-${index + 1}`, stage: 'prune', step: index + 1, steps: 30 },
    }))
    for (const running of [1, 2, 3, 15, 28, 29, 30]) {
      const events: RunEvent[] = [{ ...start, stages: many }]
      for (const place of many.slice(0, running)) {
        events.push({ event: 'stage-start', ...place })
        if (place.step < running)
          events.push({ event: 'stage-done', ...place, cached: true, seconds: 1, sizeBytes: 1e3 })
      }
      const rows = boardAfter(events).rows()
      for (let lines = 1; lines <= 34; lines += lines < 8 ? 1 : 13)
        for (const columns of [5, 39, 100]) {
          const shown = listLines(rows, { columns, lines })
          expect(shown.length).toBeLessThanOrEqual(lines)
          expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(columns)
          expect(shown.filter((line) => line.startsWith('▸'))).toHaveLength(1)
          const left = shown.flatMap((line) => /^… (\d+)/.exec(line)?.[1] ?? [])
          const rest =
            shown.length - left.length + left.reduce((sum, text) => sum + Number(text), 0)
          if (lines >= 3 && columns > 5) expect(rest).toBe(31)
        }
    }
  })
})

describe('the bottom of a terminal', () => {
  it('holds the list alone, below what was said, after every change', () => {
    const screen = screenOf(20, 10)
    const { draw } = openScreen(screen)
    draw(['one', 'two', 'three'])
    draw(['one', 'TWO'], ['said', 'a line that is longer than the terminal'])
    draw(['1', '2', '3', '4'])
    expect(screen.text()).toEqual([
      'said',
      'a line that is longe',
      'r than the terminal',
      ...'1234',
    ])
    draw([], ['end'])
    expect(screen.text()).toEqual(['said', 'a line that is longe', 'r than the terminal', 'end'])
    expect(screen.modes()).toEqual({ cursor: true, wrap: true })
  })

  it('cuts what is wider than it seems', () => {
    const screen = screenOf(10, 10)
    const { draw } = openScreen(screen)
    draw(['0123456789abc', 'next'])
    draw(['again', 'next'])
    expect(screen.text()).toEqual(['again', 'next'])
  })

  it('is cleared of lines that a narrower window has broken', () => {
    const screen = screenOf(40, 20)
    const { draw } = openScreen(screen)
    draw(['x'.repeat(39), 'short', '\u001b[1mbold\u001b[22m'], ['said'])
    screen.resize(10)
    draw(['new'])
    expect(screen.text()).toEqual(['said', 'new'])
  })
})
