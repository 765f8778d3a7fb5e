// How long models take to be ready and to answer for the first time, in fresh sessions that are opened in turn.
import { throwIfAborted } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { type Cells, failureOf, isOpen } from './cells.ts'
import type { ProviderContext } from './provider.ts'
import { quantilesOf } from './statistics.ts'
import { amend, type Findings, runsOn } from './subject.ts'

/** Fresh sessions of each model. */
const starts = 6

/** A model whose sessions took longer than this gets no more of them than the fewest, ms. */
const longMs = 2000
const fewest = 3

interface Start {
  readonly sessionMs: number
  readonly firstRunMs: number
}

/**
 * Notes how long creating a session and its first run take, each model in turn, so that all meet the same machine.
 *
 * The process has loaded the runtime before and the system has read the file, so this is what the model itself takes. Where
 * it fails there is no such note: the model runs, as has been seen.
 */
export async function coldStarts(
  findings: readonly Findings[],
  provider: ProviderName,
  cells: Cells,
  { latency, seed, signal, log }: ProviderContext,
): Promise<void> {
  const found = new Map<Findings, Start[]>(
    findings.flatMap((one) => (runsOn(one, provider) ? [[one, []]] : [])),
  )
  for (let round = 0; round < Math.min(starts, latency.rounds); round++) {
    const models = [...found.keys()]
    const { permutation } = random(seed, 'cold start', provider, round)
    for (const place of permutation(models.length)) {
      throwIfAborted(signal)
      const model = models[place]!
      const cell = cells.get(model.subject.id)
      const before = found.get(model)!
      const spent = before.reduce((sum, start) => sum + start.sessionMs + start.firstRunMs, 0)
      if (!isOpen(cell) || (before.length >= fewest && spent > longMs)) continue
      try {
        before.push(await cell.process.ask('start', {}))
      } catch (thrown) {
        throwIfAborted(signal)
        log(`${model.subject.id}: ${provider}: a second session: ${failureOf(thrown).message}`)
        found.delete(model)
      }
    }
  }
  for (const [model, times] of found) {
    if (times.length === 0) continue
    const median = (key: keyof Start) => quantilesOf(times.map((start) => start[key])).p50
    amend(model, provider, {
      coldStart: {
        starts: times.length,
        sessionMs: median('sessionMs'),
        firstRunMs: median('firstRunMs'),
      },
    })
    model.starts.set(
      provider,
      times.map(({ sessionMs, firstRunMs }) => Float64Array.of(sessionMs + firstRunMs)),
    )
  }
}
