// The layer tables of all models of a benchmark, on the CPU, each measured in the model's own process.
import { throwIfAborted } from '../../base/errors.ts'
import { type Cells, failureOf, isOpen } from '../cells.ts'
import type { ProviderContext } from '../provider.ts'
import type { Findings } from '../subject.ts'
import { costliest } from './table.ts'

/** Layers that a report shows of a model. */
const mostRows = 20

/** The share of the time for latency that profiled runs get. */
const shareOfLatency = 0.25

/** Notes the layer table of every model whose cell is open; one that cannot be profiled has none, and the log says why. */
export async function measureLayers(
  findings: readonly Findings[],
  cells: Cells,
  { recipe, latency, seed, signal, progress, log }: ProviderContext,
): Promise<void> {
  const [teacher] = findings
  // One after the other, for they are timed.
  for (const found of findings) {
    throwIfAborted(signal)
    const { id, path, file } = found.subject
    progress(`${id}: layers`, 1)
    const cell = cells.get(id)
    if (!isOpen(cell) || found.failed !== undefined) continue
    try {
      const table = await cell.process.ask('layers', {
        ...{ path, where: file, provider: 'cpu', threads: 1, batch: cell.fixedBatch ?? 1 },
        seconds: latency.seconds * shareOfLatency,
        teacher: teacher!.subject.path,
        random: { seed },
        data: recipe,
      })
      found.layers = costliest(table, mostRows)
    } catch (thrown) {
      log(`${id}: its layers were not measured: ${failureOf(thrown).message}`)
    }
  }
}
