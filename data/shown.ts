// What people see or hear of samples: rows of the table are read again, for records hold what a model takes.
import { throwIfAborted, UserError } from '../base/errors.ts'
import type { FeatureContext, Shown } from './features/feature.ts'
import { type FeatureOptions, featureNamed } from './features/index.ts'
import type { Part, Row } from './table.ts'

/** What the features show of samples, by their numbers; of one that cannot be read again, nothing. */
export type ShowSamples = (
  samples: readonly number[],
  signal?: AbortSignal,
) => Promise<readonly (readonly Shown[])[]>

/** What is shown, and where it comes from. */
export interface ShowOptions {
  /** The rows of the split. */
  readonly part: Part
  /** The row of each sample. */
  readonly rows: Uint32Array
  readonly features: Readonly<Record<string, FeatureOptions>>
  readonly learned: Readonly<Record<string, unknown>>
  readonly context: FeatureContext
}

/** Shows samples of a split; nothing is read before it is asked for. */
export const showing =
  ({ part, rows, features, learned, context }: ShowOptions): ShowSamples =>
  async (samples, signal) => {
    const shows = Object.entries(features).flatMap(
      ([name, options]) =>
        featureNamed(options.kind).show?.(options, learned[name] ?? null, context) ?? [],
    )
    const wanted = new Map(samples.map((sample, place) => [rows[sample]!, place]))
    const last = Math.max(...wanted.keys())
    const found: (readonly Shown[])[] = samples.map(() => [])
    if (shows.length === 0) return found
    let number = 0
    for await (const row of part.rows()) {
      throwIfAborted(signal)
      const place = wanted.get(number)
      if (place !== undefined) found[place] = await shownOf(row, shows)
      if (number++ === last) break
    }
    return found
  }

async function shownOf(
  row: Row,
  shows: readonly ((row: Row) => Shown | undefined | Promise<Shown | undefined>)[],
): Promise<Shown[]> {
  const shown: Shown[] = []
  for (const show of shows) {
    try {
      const one = await show(row)
      if (one) shown.push(one)
    } catch (thrown) {
      // It was read when records were made of it; a file that has gone since is no reason to lose the rest.
      if (!(thrown instanceof UserError)) throw thrown
    }
  }
  return shown
}
