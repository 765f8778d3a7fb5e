// What each node of a model costs as ONNX Runtime runs it, read from its profiles of several runs.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quantile } from 'simple-statistics'
import { UserError } from '../../base/errors.ts'
import type { Model } from '../../onnx/graph.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { type ProviderName, providers } from '../../runtime/providers.ts'
import { openSession } from '../../runtime/session.ts'

/** How a model is profiled. */
export interface ProfileOptions {
  readonly provider: ProviderName
  readonly threads: number
  /** What every run is fed with. */
  readonly feeds: Tensors
  /** Time for runs that are kept, s; there are {@link fewestRuns} at least. */
  readonly seconds: number
  /** What error messages call the model. */
  readonly where: string
}

/** A node as ONNX Runtime ran it. */
export interface ProfiledNode {
  readonly name: string
  readonly operator: string
  /** What ONNX Runtime calls the provider that ran it. */
  readonly provider: string
  /** The shape of the first output; undefined where the profile has none. */
  readonly outputShape: readonly number[] | undefined
  /** Its own time in each run, without that of nodes inside it, ms. */
  readonly times: readonly number[]
}

/** What the profiles of several runs say. */
export interface Profile {
  /** Nodes in the order in which they ran; copies between devices are not among them. */
  readonly nodes: readonly ProfiledNode[]
  /** Copies between devices in each run, ms. */
  readonly copying: readonly number[]
  /** The rest of each run, ms: what the session does around the nodes, noting their times among it. */
  readonly outside: readonly number[]
  /** `device` where the device itself was timed; else what the processor spent, which for a GPU is handing work over. */
  readonly clock: 'processor' | 'device'
}

/** So few runs are kept, however slow the model is, and no more than so many. */
const [fewestRuns, mostRuns] = [5, 200] as const

/** Runs before the first that is kept, at least. */
const warmUps = 3

/** An event of a profile, as far as it is read here; times are in microseconds. */
interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly ts: number
  readonly dur: number
  readonly args?: {
    readonly provider?: string
    readonly op_name?: string
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[]
  }
}

/**
 * Runs a model until the time is up and reads what ONNX Runtime noted of each node.
 *
 * A provider whose package writes no profiles, and a model that cannot be run, are a {@link UserError}.
 */
export async function profileModel(
  model: Model | string,
  { provider, threads, feeds, seconds, where }: ProfileOptions,
): Promise<Profile> {
  requireProfiles(provider)
  const folder = mkdtempSync(join(tmpdir(), 'condense-layers-'))
  try {
    const session = await openSession(model, {
      ...{ provider, threads, where, spinning: threads > 1 },
      profile: join(folder, 'profile'),
    })
    let warm = 0
    try {
      warm = await runFor(seconds * 1000, () => session.run(feeds))
    } finally {
      await session.dispose()
    }
    const file = readdirSync(folder)[0]
    if (file === undefined)
      throw new UserError(`${where}: ONNX Runtime wrote no profile on '${provider}' — use cpu`)
    return profileFrom(JSON.parse(readFileSync(join(folder, file), 'utf8')), warm)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs for so long, after runs to warm up: how many those were. */
async function runFor(budgetMs: number, run: () => Promise<unknown>): Promise<number> {
  const timed = async (): Promise<number> => {
    const start = process.hrtime.bigint()
    await run()
    return Number(process.hrtime.bigint() - start) / 1e6
  }
  let warm = 0
  for (let spentMs = 0; warm < warmUps || (spentMs < budgetMs / 4 && warm < mostRuns); warm++)
    spentMs += await timed()
  let kept = 0
  for (let spentMs = 0; kept < fewestRuns || (spentMs < budgetMs && kept < mostRuns); kept++)
    spentMs += await timed()
  return warm
}

/** Throws a {@link UserError} where a provider's package writes no profiles. */
export function requireProfiles(provider: ProviderName): void {
  const { package: name } = providers[provider]
  if (name === 'onnxruntime-node') return
  throw new UserError(
    `provider '${provider}' writes no profile of its nodes: ${name} has none — use cpu`,
  )
}

/** Sorts events into runs, of which the first ones are left out. */
export function profileFrom(events: readonly ProfileEvent[], warm: number): Profile {
  const runs = events
    .filter(({ cat, name }) => cat === 'Session' && name === 'model_run')
    .sort((a, b) => a.ts - b.ts)
  const kernels = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith(kernelTime))
  const nodes = new Map<string, Draft>()
  const count = runs.length - warm
  const copying = new Array<number>(count).fill(0)
  for (const [run, own] of inRuns(kernels, runs).slice(warm).entries())
    for (const { event, selfMs } of selfTimes(own)) {
      const operator = event.args?.op_name ?? ''
      if (operator.startsWith('Memcpy')) copying[run] = copying[run]! + selfMs
      else {
        const draft = draftOf(nodes, event, count)
        draft.times[run] = draft.times[run]! + selfMs
      }
    }
  const onDevice = deviceTimes(events, runs.length, warm, nodes)
  if (onDevice) for (const [name, draft] of nodes) draft.times = onDevice.get(name) ?? draft.times
  const inside = (run: number) =>
    [...nodes.values()].reduce((sum, { times }) => sum + times[run]!, copying[run]!)
  return {
    nodes: [...nodes.values()],
    copying,
    outside: runs.slice(warm).map(({ dur }, run) => Math.max(0, dur / 1000 - inside(run))),
    clock: onDevice ? 'device' : 'processor',
  }
}

const kernelTime = '_kernel_time'

type Draft = Omit<ProfiledNode, 'times'> & { times: number[] }

function draftOf(nodes: Map<string, Draft>, { name, args }: ProfileEvent, runs: number): Draft {
  const node = name.slice(0, -kernelTime.length)
  const known = nodes.get(node)
  if (known) return known
  const [first] = args?.output_type_shape ?? []
  const draft: Draft = {
    name: node,
    operator: args?.op_name ?? '',
    provider: args?.provider ?? '',
    outputShape: first && Object.values(first)[0],
    times: new Array<number>(runs).fill(0),
  }
  nodes.set(node, draft)
  return draft
}

/** The events that lie within each run, in the order in which they began, outer ones first. */
function inRuns(
  events: readonly ProfileEvent[],
  runs: readonly ProfileEvent[],
): readonly (readonly ProfileEvent[])[] {
  const sorted = [...events].sort((a, b) => a.ts - b.ts || b.dur - a.dur)
  let at = 0
  return runs.map(({ ts, dur }) => {
    while (at < sorted.length && sorted[at]!.ts < ts) at++
    const start = at
    while (at < sorted.length && sorted[at]!.ts <= ts + dur) at++
    return sorted.slice(start, at)
  })
}

/** The time of each event without that of those inside it, as the branch of an If is. */
function selfTimes(
  events: readonly ProfileEvent[],
): readonly { readonly event: ProfileEvent; readonly selfMs: number }[] {
  const inside = new Map<ProfileEvent, number>()
  const open: ProfileEvent[] = []
  for (const event of events) {
    while (open.length > 0 && open.at(-1)!.ts + open.at(-1)!.dur <= event.ts) open.pop()
    const outer = open.at(-1)
    if (outer) inside.set(outer, (inside.get(outer) ?? 0) + event.dur)
    open.push(event)
  }
  return events.map((event) => ({
    event,
    selfMs: Math.max(0, event.dur - (inside.get(event) ?? 0)) / 1000,
  }))
}

/**
 * The times that the device itself noted, by node: WebGPU's are events called `node&operator&shader`, the same ones in
 * each run. Undefined where there are none.
 */
function deviceTimes(
  events: readonly ProfileEvent[],
  runs: number,
  warm: number,
  nodes: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, number[]> | undefined {
  const byNode = new Map<string, ProfileEvent[]>()
  for (const event of events) {
    const [node] = event.name.split('&')
    if (event.cat !== 'Api' || node === undefined || !nodes.has(node)) continue
    const own = byNode.get(node)
    if (own) own.push(event)
    else byNode.set(node, [event])
  }
  if (byNode.size === 0) return undefined
  return new Map(
    [...byNode].map(([node, own]) => {
      const perRun = Math.round(own.length / runs)
      const sorted = own.sort((a, b) => a.ts - b.ts)
      const times = Array.from({ length: runs - warm }, (_, run) => {
        const start = (run + warm) * perRun
        return sorted.slice(start, start + perRun).reduce((sum, { dur }) => sum + dur, 0) / 1000
      })
      return [node, times]
    }),
  )
}

/** The median of times and the middle half of them. */
export function summaryOf(times: readonly number[]): {
  readonly ms: number
  readonly spreadMs: readonly [number, number]
} {
  const [low, ms, high] = quantile([...times], [0.25, 0.5, 0.75]) as [number, number, number]
  return { ms, spreadMs: [low, high] }
}
