// What a run has done, does and is going to do: a row for each step, made of its events alone.
import { formatBytes } from '../benchmarks/report/format.ts'
import type { RunEvent } from '../pipeline/events.ts'
import { formatDuration } from './duration.ts'
import { type Part, speedometer } from './speed.ts'

/** A step of a run, or its benchmark. */
export interface Row {
  readonly label: string
  readonly state: 'waiting' | 'running' | 'done' | 'stopped'
  /** Share of the work done, 0..1. */
  readonly done: number
  /** What is known of it: current numbers while it runs, then how long it took and what came out. */
  readonly parts: readonly Part[]
}

/** Follows a run. */
export interface Board {
  rows(): readonly Row[]
  /** Whether the run has ended, and how; undefined while it has not. */
  passed(): boolean | undefined
  /** Takes note of an event. */
  take(event: RunEvent): void
  /** Nothing more comes: what ran has been stopped, and what waited will not run. */
  end(): void
}

/** How a step is called where there are several. */
export const placeOf = ({
  id,
  step,
  steps,
}: {
  id: string
  step: number
  steps: number
}): string => (step === 0 ? id : `[${step}/${steps}] ${id}`)

/** Starts to follow a run; a command that runs one stage alone, or measures alone, has the rows that it tells of. */
export function openBoard(now: () => number = () => performance.now()): Board {
  // The key of a step begins with 'step', for a step may be called 'benchmark'.
  const rows = new Map<string, Row>()
  let speed = speedometer(now)
  let passed: boolean | undefined
  let isRun = false
  let benchmarkStart = now()
  const set = (key: string, row: Partial<Row>) => {
    const before = rows.get(key) ?? { label: key, state: 'running', done: 0, parts: [] }
    rows.set(key, { ...before, ...row })
  }
  const take = (event: RunEvent): void => {
    switch (event.event) {
      case 'run-start':
        isRun = true
        for (const place of event.stages ?? [])
          set(`step ${place.id}`, { label: placeOf(place), state: 'waiting' })
        set(measuring, { state: 'waiting' })
        break
      case 'stage-start':
        speed = speedometer(now)
        set(`step ${event.id}`, { label: placeOf(event), state: 'running' })
        break
      case 'progress':
        if (!rows.has(`step ${event.id}`)) set(`step ${event.id}`, { label: event.id })
        set(`step ${event.id}`, { done: event.done, parts: speed(event) })
        break
      case 'stage-done':
        set(`step ${event.id}`, { label: placeOf(event), state: 'done', parts: resultOf(event) })
        break
      case 'benchmark-start':
        benchmarkStart = now()
        set(measuring, { state: 'running' })
        break
      case 'benchmark-progress':
        set(measuring, { state: 'running', done: event.done, parts: [same(event.what)] })
        break
      case 'run-done':
        passed = event.passed
        set(measuring, {
          state: 'done',
          parts: [same(formatDuration((now() - benchmarkStart) / 1000))],
        })
    }
  }
  return {
    rows: () => [...rows.values()],
    passed: () => passed,
    take,
    end() {
      for (const [key, row] of rows) {
        // Without a run nobody tells when the benchmark is over, nor a search that has no stage.
        if (row.state === 'running' && isRun) set(key, { state: 'stopped' })
        else if (row.state === 'running' || row.state === 'waiting') rows.delete(key)
      }
    },
  }
}

const measuring = 'benchmark'

const same = (text: string): Part => ({ long: text, short: text })

const resultOf = ({
  cached,
  seconds,
  sizeBytes,
  summary,
}: Extract<RunEvent, { event: 'stage-done' }>): Part[] => [
  cached ? { long: 'kept from an earlier run', short: 'kept' } : same(formatDuration(seconds)),
  same(formatBytes(sizeBytes)),
  ...(summary ? [same(summary)] : []),
]
