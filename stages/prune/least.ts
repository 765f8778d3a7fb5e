// The least that is enough of what goes in an order: channels, layers, or anything else of which less can be taken.

/** True where enough is taken; stays true where more is. */
export type Enough<Taken> = (taken: Taken) => boolean | Promise<boolean>

/** Takes a part of what was taken back by its smallest step; undefined where nothing of it is left to take back. */
export type GiveBack<Taken> = (taken: Taken) => Taken | undefined

/** Things in the order in which they go. */
export interface Order<Taken> {
  readonly length: number
  /** What is taken when the first so many go. */
  first(count: number): Taken
  /** The parts of that which can be given back, the one that went last first. */
  parts(count: number): readonly GiveBack<Taken>[]
}

/**
 * Takes from the front of an order until it is enough; undefined where all of it is not.
 *
 * One step can be a large one, so what went last overshoots: whatever can be given back is.
 */
export async function leastThat<Taken>(
  { length, first, parts }: Order<Taken>,
  enough: Enough<Taken>,
): Promise<Taken | undefined> {
  if (!(await enough(first(length)))) return undefined
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (await enough(first(middle))) high = middle
    else low = middle + 1
  }
  return givenBack(first(low), parts(low), enough)
}

/** Parts in a row of which nothing could be given back, after which no more are tried: a test can count a whole model. */
const mostFailures = 64

/** What is left of what was taken when as much of each part is given back, one after the other, as need not go. */
export async function givenBack<Taken>(
  taken: Taken,
  parts: readonly GiveBack<Taken>[],
  enough: Enough<Taken>,
): Promise<Taken> {
  let least = taken
  let failures = 0
  for (const giveBack of parts) {
    if (failures === mostFailures) break
    failures++
    for (;;) {
      const fewer = giveBack(least)
      if (fewer === undefined || !(await enough(fewer))) break
      least = fewer
      failures = 0
    }
  }
  return least
}
