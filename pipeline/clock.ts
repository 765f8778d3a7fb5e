// How long the epochs of a training take.

/** Times epochs by the progress that a stage reports, for stages themselves have no clock. */
export function epochClock() {
  const times = new Map<number, number>()
  let current: number | undefined
  let start = 0
  return {
    tick(epoch: number | undefined) {
      if (epoch === undefined || epoch === current) return
      const now = performance.now()
      if (current !== undefined) times.set(current, (now - start) / 1000)
      current = epoch
      start = now
    },
    /** Epochs that an earlier, interrupted run did are not timed and count as the mean of the others. */
    seconds(epochs: number): number[] {
      this.tick(epochs + 1)
      const mean = [...times.values()].reduce((sum, time) => sum + time / times.size, 0)
      return Array.from({ length: epochs }, (_, index) => times.get(index + 1) ?? mean)
    },
  }
}
