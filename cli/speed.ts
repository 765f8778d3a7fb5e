// What is said beside a progress bar and in a log: epoch, loss, accuracy, speed, time left.
import { formatMetric, metricTitle } from '../benchmarks/report/metrics.ts'
import type { Progress } from '../stages/stage.ts'
import { formatDuration } from './duration.ts'

/** One thing to say, in words and for a narrow terminal. */
export interface Part {
  readonly long: string
  readonly short: string
}

// Over a shorter time a speed says nothing.
const shortestSeconds = 0.1

/** Starts to watch one step; every report of progress gives what to say of it. */
export function speedometer(
  now: () => number = () => performance.now(),
): (progress: Progress) => Part[] {
  let first: { readonly time: number; readonly done: number } | undefined
  let samples = 0
  return ({ done, epoch, epochs = '?', loss, accuracy, metric = 'top1', samples: seen = 0 }) => {
    const time = now()
    // The clock starts with the first report, so what it tells of was done before. A training that goes on from a
    // checkpoint starts in the middle; only what is done here has a speed.
    if (first) samples += seen
    else first = { time, done }
    const seconds = (time - first.time) / 1000
    const share = done - first.done
    const timed = seconds > shortestSeconds
    const left = formatDuration((seconds / share) * (1 - done))
    const speed = Math.round(samples / seconds)
    const parts: (Part | false)[] = [
      epoch === undefined
        ? same(`${Math.round(done * 100)} %`)
        : { long: `epoch ${epoch}/${epochs}`, short: `${epoch}/${epochs}` },
      loss !== undefined && same(`loss ${loss.toFixed(3)}`),
      accuracy !== undefined && {
        long: `${titleOf(metric)} ${formatMetric(metric, accuracy)}`,
        short: formatMetric(metric, accuracy),
      },
      timed && samples > 0 && { long: `${speed} samples/s`, short: `${speed}/s` },
      timed && share > 0 && done < 1 && same(`${left} left`),
    ]
    return parts.filter((part) => part !== false)
  }
}

const same = (text: string): Part => ({ long: text, short: text })

/** The parts as one line of a log. */
export const inWords = (parts: readonly Part[]): string => parts.map(({ long }) => long).join('  ')

/** The name of a figure as it stands in a line of text. */
const titleOf = (metric: string): string => {
  const title = metricTitle(metric)
  return /^[A-Z][a-z]/.test(title) ? title.toLowerCase() : title
}
