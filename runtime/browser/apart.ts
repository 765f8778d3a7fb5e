// Running a model in a browser, and timing it against another there.
import { Interrupted, throwIfAborted } from '../../base/errors.ts'
import { byteLengthOf, Tensor } from '../../onnx/tensor.ts'
import type { ApartRequest, ApartResult } from '../apart.ts'
import type { Tensors } from '../feed.ts'
import { openSession, type Session } from '../session.ts'

/** Runs a model, and its rival in turn with it; `runs` of each at most, for `budgetMs`. */
export async function runInPages(
  { model, runs, outputs, provider, threads, rival, signal, where }: ApartRequest,
  { runs: most, budgetMs }: { readonly runs: number; readonly budgetMs: number },
): Promise<ApartResult> {
  const sessions: Session[] = []
  const open = async (bytes: Uint8Array) => {
    throwIfAborted(signal)
    const session = await openSession(bytes, { provider, threads, where })
    sessions.push(session)
    return session
  }
  const close = () => Promise.all(sessions.splice(0).map((session) => session.dispose()))
  signal?.addEventListener('abort', close)
  try {
    const own = await open(model)
    const results: Tensors[] = []
    for (const feeds of runs) {
      throwIfAborted(signal)
      results.push(await own.run(feeds, outputs))
    }
    const times = { own: [] as number[], rival: [] as number[] }
    if (rival) {
      const [feeds, found] = [runs[0]!, results[0]!]
      const watches = {
        own: prepared(own, feeds, found),
        rival: prepared(await open(rival), feeds, found),
      }
      // The first run of each makes its kernels ready.
      let spent = (await watches.own()) + (await watches.rival())
      for (let run = 0; run < most && (run === 0 || spent < budgetMs); run++)
        for (const name of run % 2 ? (['own', 'rival'] as const) : (['rival', 'own'] as const)) {
          throwIfAborted(signal)
          const ms = await watches[name]()
          times[name].push(ms)
          spent += ms
        }
    }
    return { results, times }
  } catch (thrown) {
    throw signal?.aborted ? new Interrupted() : thrown
  } finally {
    signal?.removeEventListener('abort', close)
    await close()
  }
}

/** Runs with the same feeds that tell their time in the page, ms. */
function prepared(session: Session, feeds: Tensors, like: Tensors): () => Promise<number> {
  const fetches = Object.fromEntries(
    Object.entries(like).map(([name, { dtype, dims }]) => [
      name,
      new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims))),
    ]),
  )
  const run = session.prepare(feeds, fetches)
  return async () => (await run()) ?? 0
}
