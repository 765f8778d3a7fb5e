// Mean and spread of numbers that come one at a time.

/** What is known of numbers that were seen. */
export interface Moments {
  readonly count: number
  readonly mean: number
  /** Population standard deviation; 1 for fewer than two different numbers, so that it can divide. */
  readonly std: number
}

/** Collects mean and standard deviation in one pass (Welford 1962), without the loss of sums of squares. */
export function momentsCollector(): { add(value: number): void; finish(): Moments } {
  let count = 0
  let mean = 0
  let squares = 0
  return {
    add(value) {
      count++
      const before = value - mean
      mean += before / count
      squares += before * (value - mean)
    },
    finish() {
      const std = Math.sqrt(squares / Math.max(1, count))
      return { count, mean, std: std > 0 ? std : 1 }
    },
  }
}
