// How busy a machine was with other things while something was timed.
import { readFileSync } from 'node:fs'
import { quantile } from 'simple-statistics'
import type { Rounds } from './latency.ts'
import type { ProviderResult } from './report/report.ts'

/** What speaks for and against the times of a model. */
export type Noise = NonNullable<ProviderResult['noise']>

/**
 * How far apart the medians of a model's rounds lie: the distance of their quartiles over their median. Undefined for fewer
 * than four rounds, which have no quartiles.
 */
export function roundSpread(rounds: Rounds): number | undefined {
  if (rounds.length < 4) return undefined
  const medians = rounds.map((times) => quantile([...times], 0.5))
  const [low, middle, high] = quantile(medians, [0.25, 0.5, 0.75]) as [number, number, number]
  return (high - low) / middle
}

/** What processors have done since the machine was started: ticks of a clock, all processors together. */
interface ProcessorTimes {
  readonly processors: number
  readonly busy: number
  readonly total: number
}

/**
 * Begins to watch what other processes do. The result tells, given the processor time in ms that was our own meanwhile, which
 * share of the time of all processors others took, what a hypervisor took included; undefined where the system does
 * not say. `file` is laid out as `/proc/stat`.
 */
export function watchOthers(file = '/proc/stat'): (ownMs: number) => number | undefined {
  const before = processorTimes(file)
  const start = process.hrtime.bigint()
  return (ownMs) => {
    const after = processorTimes(file)
    if (!before || !after || after.total <= before.total) return undefined
    const elapsedMs = Number(process.hrtime.bigint() - start) / 1e6
    const busy = (after.busy - before.busy) / (after.total - before.total)
    // Ticks are coarse, so the difference of two shares may fall below none.
    return Math.max(0, busy - ownMs / (elapsedMs * after.processors))
  }
}

function processorTimes(file: string): ProcessorTimes | undefined {
  try {
    const text = readFileSync(file, 'utf8')
    const processors = text.match(/^cpu\d+ /gm)?.length ?? 0
    // user nice system idle iowait irq softirq steal; what guests take is in user already (man 5 proc).
    const ticks = text
      .match(/^cpu +([\d ]+)$/m)?.[1]
      ?.split(' ')
      .slice(0, 8)
      .map(Number)
    if (!ticks || ticks.length < 4 || processors === 0) return undefined
    const total = ticks.reduce((sum, ticksOf) => sum + ticksOf, 0)
    const [idle, waiting = 0] = ticks.slice(3)
    return { processors, total, busy: total - idle! - waiting }
  } catch {
    return undefined // only Linux has this file
  }
}
