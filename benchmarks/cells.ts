// The measuring processes of one provider and number of threads: one for each model, all alive at once.
import { throwIfAborted } from '../base/errors.ts'
import type { DatasetRecipe } from '../data/dataset.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { CellFailure, type CellProcess, startCell } from './cell-process.ts'
import type { Subject } from './subject.ts'

/** A process whose model is open. */
export interface Cell {
  readonly process: CellProcess
  /** The batch size that the model demands, undefined where it takes any. */
  readonly fixedBatch: number | undefined
  /** Largest resident memory after the first run, bytes; undefined where the system does not tell. */
  readonly peakMemoryBytes: number | undefined
}

/** Cells, or why there is none, by the id of the model. */
export type Cells = ReadonlyMap<string, Cell | CellFailure>

/** What every cell is opened with. */
export interface CellOptions {
  readonly provider: ProviderName
  readonly threads: number
  /** The test samples; their records are in a file. */
  readonly recipe: DatasetRecipe
  /** Cells that work at the same time while nothing is timed. */
  readonly concurrency: number
  /** A process that owes an answer and says nothing for so long is killed. */
  readonly silenceMs: number
  readonly signal: AbortSignal | undefined
}

/** Opens a cell for each model; where one fails, its place holds the reason. */
export async function openCells(
  models: readonly Pick<Subject, 'id' | 'path' | 'file'>[],
  options: CellOptions,
): Promise<Cells> {
  const { provider, threads, recipe, silenceMs, signal } = options
  const open = async ({
    id,
    path,
    file,
  }: (typeof models)[number]): Promise<[string, Cell | CellFailure]> => {
    throwIfAborted(signal)
    const process = startCell({ silenceMs, signal })
    try {
      const reply = await process.ask('open', {
        ...{ path, where: file, provider, threads },
        data: recipe,
      })
      return [id, { process, ...reply }]
    } catch (thrown) {
      await process.close()
      return [id, failureOf(thrown)]
    }
  }
  return new Map(await inParallel(models, options.concurrency, open))
}

/** Ends the processes of all cells. */
export async function closeCells(cells: Cells): Promise<void> {
  await Promise.all([...cells.values()].map((cell) => isOpen(cell) && cell.process.close()))
}

/** True for a cell whose model is open. */
export const isOpen = (cell: Cell | CellFailure | undefined): cell is Cell =>
  cell !== undefined && !(cell instanceof CellFailure)

/** What a cell threw, if it is the reason for a missing number; anything else is thrown on. */
export function failureOf(thrown: unknown): CellFailure {
  if (thrown instanceof CellFailure) return thrown
  throw thrown
}

/** Does something with every item, a few at a time, and gives the results in the order of the items. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  use: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const queue = items.entries()
  const work = async () => {
    for (const [index, item] of queue) results[index] = await use(item)
  }
  await Promise.all(Array.from({ length: Math.max(1, concurrency) }, work))
  return results
}
