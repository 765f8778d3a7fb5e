// What a question of the suite is: something about our own speed, answered by repeated measurements.

/** One line of an answer. */
export interface Answer {
  readonly what: string
  readonly unit: 'ms' | 'samples/s' | 'MB' | 'kB' | 'times' | 'of 1' | 'times the file'
  /** At least one measured value. */
  readonly values: readonly number[]
}

/** A question about our own speed. */
export interface Question {
  /** One line for the list. */
  readonly summary: string
  answer(): Promise<readonly Answer[]> | AsyncIterable<Answer>
}

/** The time that something takes, in ms. */
export async function timeOf(action: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint()
  await action()
  return Number(process.hrtime.bigint() - start) / 1e6
}
