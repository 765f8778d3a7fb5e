// How long the layers around each group of channels take at each width, measured once for each provider, batch size,
// machine and structure, and kept beside what other stages share.
import { describeHost } from '../../benchmarks/host.ts'
import type { Rounds } from '../../benchmarks/latency.ts'
import { type Contender, race, raceRatio, undisturbed } from '../../benchmarks/race.ts'
import type { RatioWithInterval } from '../../benchmarks/statistics.ts'
import { copiedGroups } from '../../channels/copied.ts'
import { cutChannels } from '../../channels/cut.ts'
import type { Counts } from '../../channels/forecast.ts'
import type { Group } from '../../channels/groups.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import type { ProviderName } from '../../runtime/providers.ts'
import { openKept } from '../measurements.ts'
import type { StageContext } from '../stage.ts'
import { anyFeeds, extract, nodesAround, structureKey } from './neighbourhood.ts'

/** Where and at which batch size something is timed. */
export interface Conditions {
  readonly provider: ProviderName
  readonly batch: number
  readonly threads: number
}

/** What is timed. */
export interface TimedModel {
  /** The model whose groups are cut, prepared. */
  readonly prepared: Model
  /** The types of its values at the batch size, by name. */
  typeOf(name: string): Value['type']
  /** The model whose time counts as 1, with all shapes stated for the batch size. */
  readonly unpruned: Contender
}

/** Times under some conditions, in the unit of the unpruned model's time. */
export interface Timetable {
  /** Measures what is saved when so many channels of a group go, and no others, where that is not known yet. */
  learn(choices: ReadonlyMap<Group, readonly number[]>): Promise<void>
  /** What is saved so; 0 where nothing can be timed. */
  saved(group: Group, count: number): number
  /** The measured time of a cut model over that of the unpruned one. */
  ratio(cut: Contender): Promise<RatioWithInterval>
  /** How many models were timed, as opposed to those whose times were known. */
  readonly timed: number
}

/** Visits to each model in a race for the table, and the time for each, ms. */
const tableRace = { rounds: 12, roundMs: 4 }
/** The same for whole models; then as many rounds again until the ratio is known well enough. */
const wholeRace = { rounds: 15, roundMs: 10 }
/** How far the ends of a ratio's interval may lie apart, and how many rounds are too many. */
const precision = { width: 0.03, rounds: 45 }

/** What a file of times holds. */
interface Known {
  /** By structure and count: what is saved. */
  readonly saved: Record<string, number>
  /** By structure: the time of a whole model. */
  readonly ratios: Record<string, RatioWithInterval>
}

/**
 * Opens the times of one model under some conditions.
 *
 * What is measured is kept in a file after each race, so that an interrupted measurement goes on where it
 * was; neighbourhoods of one structure are measured once.
 */
export async function timetable(
  { prepared, typeOf, unpruned }: TimedModel,
  { provider, batch, threads }: Conditions,
  { shared, seed, signal }: StageContext,
): Promise<Timetable> {
  const { onnxruntime, cpu, flags } = await describeHost()
  const machine = [process.platform, process.arch, cpu, ...flags]
  const whole = structureKey(unpruned.model)
  const about = { provider, batch, threads, onnxruntime, machine, whole }
  const empty: Known = { saved: {}, ratios: {} }
  const { content: known, write } = openKept('latency', about, shared, empty)
  const options = { provider, threads, seed, signal }
  const keys = new Map<Group, string>()
  let timed = 0

  const around = (group: Group, count: number): Model | undefined => {
    const copy = cloneModel(prepared)
    const own = copiedGroups(prepared, copy, [group]).get(group)!
    const before = new Set(copy.graph.nodes)
    const nodes = new Set(nodesAround(copy, own))
    cutFirst(copy, new Map([[own, count]]))
    // Cutting may write further nodes.
    const all = copy.graph.nodes.filter((node) => nodes.has(node) || !before.has(node))
    return extract(copy, all, typeOf)
  }

  return {
    get timed() {
      return timed
    },
    async learn(choices) {
      for (const [group, counts] of choices) {
        const full = around(group, 0)
        const feeds = full && anyFeeds(full)
        if (!full || !feeds) continue
        const structure = structureKey(full)
        keys.set(group, structure)
        const missing = counts.filter((count) => known.saved[`${structure}-${count}`] === undefined)
        if (missing.length === 0) continue
        const cut = missing.map((count) => ({ model: around(group, count)!, feeds }))
        const times = await race([unpruned, { model: full, feeds }, ...cut], {
          ...options,
          ...tableRace,
        })
        const [all, own, ...rest] = times.map(undisturbed)
        for (const [at, count] of missing.entries())
          known.saved[`${structure}-${count}`] = (own! - rest[at]!) / all!
        timed += missing.length + 1
        write()
      }
    },
    saved: (group, count) => (count && known.saved[`${keys.get(group)}-${count}`]) || 0,
    async ratio(cut) {
      const structure = structureKey(cut.model)
      const found = known.ratios[structure]
      if (found !== undefined) return found
      const ratioOf = ([one, other]: readonly Rounds[]) => raceRatio(other!, one!)
      const times = await race([unpruned, cut], {
        ...options,
        ...wholeRace,
        enough(times) {
          const { interval } = ratioOf(times)
          const isPrecise = interval[1] - interval[0] <= precision.width
          return isPrecise || times[0]!.length >= precision.rounds
        },
      })
      const ratio = ratioOf(times)
      known.ratios[structure] = ratio
      timed++
      write()
      return ratio
    },
  }
}

/** Cuts the first channels of groups: which ones it is does not matter to the time. */
export function cutFirst(model: Model, counts: Counts): void {
  const first = (count: number) => Array.from({ length: count }, (_, at) => at)
  cutChannels(model, new Map([...counts].map(([group, count]) => [group, first(count)])))
}
