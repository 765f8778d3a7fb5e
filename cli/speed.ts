// What a progress bar says beside the bar: epoch, loss, accuracy, speed, time left.
import type { Progress } from '../stages/stage.ts'
import { formatDuration } from './duration.ts'

/** Starts to watch one step; every report of progress gives the text for it. */
export function speedometer(now: () => number = () => performance.now()): (p: Progress) => string {
  let first: { readonly time: number; readonly done: number } | undefined
  let samples = 0
  return ({ done, epoch, epochs, loss, accuracy, samples: seen }) => {
    const time = now()
    // A training that goes on from a checkpoint starts in the middle; only what is done here has a speed.
    first ??= { time, done }
    samples += seen ?? 0
    const seconds = (time - first.time) / 1000
    const share = done - first.done
    const parts = [
      epoch === undefined ? `${Math.round(done * 100)} %` : `epoch ${epoch}/${epochs ?? '?'}`,
      loss === undefined ? '' : `loss ${loss.toFixed(3)}`,
      accuracy === undefined ? '' : `accuracy ${(accuracy * 100).toFixed(2)} %`,
      samples > 0 && seconds > 0.5 ? `${Math.round(samples / seconds)} images/s` : '',
      share > 0 && seconds > 0.5 && done < 1
        ? `${formatDuration((seconds / share) * (1 - done))} left`
        : '',
    ]
    return parts.filter((part) => part !== '').join('  ')
  }
}
