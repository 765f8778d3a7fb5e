// A night: every recipe of a suite runs, what came out is judged against the nights before and added to the history.
import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Interrupted, messageOf, throwIfAborted, UserError } from '../../base/errors.ts'
import { makeFolder, writeAtomically } from '../../base/files.ts'
import { hashOf } from '../../base/hash.ts'
import { suggest } from '../../base/suggest.ts'
import { describeHost } from '../../benchmarks/host.ts'
import type { Report } from '../../benchmarks/report/report.ts'
import type { RunEvent } from '../events.ts'
import { type Plan, planRun } from '../plan.ts'
import type { RunOptions } from '../prepare.ts'
import { run } from '../run.ts'
import { packageVersion } from '../version.ts'
import { type History, openExistingHistory, openHistory } from './history.ts'
import { judge, type Reading, type Series, seriesKey } from './judge.ts'
import { measureOf } from './measures.ts'
import {
  baselinesOf,
  hasNewLevel,
  type KeptNight,
  machineOf,
  type Night,
  type RecipeNight,
} from './night.ts'
import { renderTrend } from './page.ts'
import { type Entry, readSuite, type Suite } from './suite.ts'

/** How a night is run. */
export interface NightlyOptions extends Pick<RunOptions, 'threads' | 'signal' | 'cacheFolder'> {
  /** Where the trend page goes; the suite's folder unless told. */
  readonly outFolder?: string | undefined
  /** Told which recipe begins, its place from 1, and how many there are. */
  readonly onRecipe?: ((recipe: string, place: number, count: number) => void) | undefined
  /** Told what happens in the run of a recipe. */
  readonly onEvent?: ((recipe: string, event: RunEvent) => void) | undefined
}

/** A night that is in the history. */
export interface NightlyResult {
  readonly night: KeptNight
  /** The trend page. */
  readonly page: string
}

/** What a recipe's run came to. */
export interface Outcome {
  readonly entry: Entry
  readonly report: Report | Error
  /** Relative to the suite's folder. */
  readonly folder: string
}

/**
 * Runs all recipes of a suite, judges what came out and adds the night to the history.
 *
 * A recipe that fails is recorded with its reason, and the others go on; a history that cannot be used is told of before
 * anything runs. A night that is interrupted leaves nothing in the history.
 */
export async function runNightly(
  path: string,
  options: NightlyOptions = {},
): Promise<NightlyResult> {
  const suite = readSuite(path)
  const history = await openHistory(historyPath(suite))
  try {
    history.nights(suite.name)
    const at = new Date().toISOString()
    const stamp = `${at.slice(0, 19).replaceAll(':', '-')}-${randomBytes(3).toString('hex')}`
    const outcomes: Outcome[] = []
    for (const [index, entry] of suite.recipes.entries()) {
      options.onRecipe?.(entry.id, index + 1, suite.recipes.length)
      outcomes.push(await runEntry(suite, entry, join('nights', stamp, entry.id), options))
    }
    const host = await describeHost()
    const night = nightOf(suite, { at, host, outcomes, before: history.nights(suite.name) })
    const id = history.add(night)
    return { night: { ...night, id }, page: writeTrend(suite, history, options.outFolder) }
  } finally {
    history.close()
  }
}

/**
 * Makes the new levels of the last night the baseline, and keeps the reason in the history; nothing runs.
 *
 * Where nothing is flagged, or the night has been accepted, it is a {@link UserError}.
 */
export async function acceptNight(
  path: string,
  reason: string,
  outFolder?: string,
): Promise<NightlyResult> {
  const suite = readSuite(path)
  const history = await openExistingHistory(historyPath(suite))
  try {
    const last = history?.nights(suite.name).at(-1)
    if (!history || !last)
      throw new UserError(`${path}: there is no night to accept — run one without --accept first`)
    if (reason.trim() === '')
      throw new UserError(`${path}: --accept: the reason is missing — say why the change is wanted`)
    if (last.accepted !== undefined)
      throw new UserError(
        `${path}: the night of ${last.at} has been accepted: '${last.accepted}' — run another night first`,
      )
    if (!last.recipes.some(hasNewLevel))
      throw new UserError(
        `${path}: nothing is flagged in the night of ${last.at} that could be accepted — mend what failed, if anything did`,
      )
    history.accept(last.id, reason, new Date().toISOString())
    return { night: { ...last, accepted: reason }, page: writeTrend(suite, history, outFolder) }
  } finally {
    history?.close()
  }
}

/** What a night would do. */
export interface NightlyPlan {
  readonly recipes: readonly {
    readonly id: string
    /** What its run would do, or why it cannot run. */
    readonly plan: Plan | { readonly failed: string }
  }[]
  /** Nights that the history has of the suite. */
  readonly nights: number
  readonly history: string
}

/** Checks a suite, its recipes and its history, and runs nothing. */
export async function planNightly(
  path: string,
  { signal, threads, cacheFolder }: NightlyOptions = {},
): Promise<NightlyPlan> {
  const suite = readSuite(path)
  const history = await openExistingHistory(historyPath(suite))
  const nights = history?.nights(suite.name).length ?? 0
  history?.close()
  const recipes: { id: string; plan: Plan | { failed: string } }[] = []
  for (const { id, recipe, profile, set } of suite.recipes) {
    throwIfAborted(signal)
    try {
      const plan = await planRun(recipe, { profile, set, signal, threads, cacheFolder })
      recipes.push({ id, plan })
    } catch (thrown) {
      if (!(thrown instanceof UserError)) throw thrown
      recipes.push({ id, plan: { failed: messageOf(thrown) } })
    }
  }
  return { recipes, nights, history: historyPath(suite) }
}

const historyPath = ({ folder }: Suite): string => join(folder, 'history.db')

async function runEntry(
  suite: Suite,
  entry: Entry,
  folder: string,
  { threads, signal, cacheFolder, onEvent }: NightlyOptions,
): Promise<Outcome> {
  const outFolder = join(suite.folder, folder)
  throwIfAborted(signal)
  try {
    const { id, recipe, profile, set } = entry
    const report = await run(recipe, {
      ...{ profile, set, threads, signal, cacheFolder, outFolder },
      onEvent: (event) => onEvent?.(id, event),
    })
    checkVariants(entry, report)
    return { entry, report, folder }
  } catch (thrown) {
    if (thrown instanceof Interrupted || signal?.aborted) throw thrown
    return {
      entry,
      report: thrown instanceof Error ? thrown : new Error(messageOf(thrown)),
      folder,
    }
  } finally {
    if (!suite.keepModels) rmSync(join(outFolder, 'variants'), { recursive: true, force: true })
  }
}

function checkVariants({ id, variants = [] }: Entry, report: Report): void {
  const ids = [report.teacher, ...report.variants].map((variant) => variant.id)
  for (const variant of variants)
    if (!ids.includes(variant))
      throw new UserError(`${id}: no such variant: '${variant}' — ${suggest(variant, ids)}`)
}

/** Judges what the recipes of a night came to against the nights before, oldest first. */
export function nightOf(
  suite: Suite,
  {
    at,
    host,
    outcomes,
    before,
  }: {
    readonly at: string
    readonly host: Report['host']
    readonly outcomes: readonly Outcome[]
    readonly before: readonly KeptNight[]
  },
): Night {
  const machine = machineOf(host)
  const baselines = baselinesOf(before)
  const readings = outcomes.flatMap(({ entry, report }) =>
    report instanceof Error ? [] : readingsOf(entry, report),
  )
  const figures = judge(readings, (reading) => baselines.of(reading, machine), suite)
  const found = new Set(readings.map(seriesKey))
  const recipes = outcomes.map(({ entry, report, folder }): RecipeNight => {
    const { id } = entry
    if (report instanceof Error)
      return { id, failed: messageOf(report), gates: [], missing: [], figures: [] }
    return {
      id,
      setting: settingOf(entry, report),
      report: folder.replaceAll('\\', '/'),
      gates: report.gates.flatMap(({ name, variant, limit, value, passed }) =>
        passed ? [] : [`${variant}: ${name} is ${value ?? 'not measured'}, limit ${limit}`],
      ),
      missing: baselines
        .known(id, machine)
        .filter((series) => isWatched(entry, series) && !found.has(seriesKey(series)))
        .map(({ variant, measure, provider }) => ({ variant, measure, provider })),
      figures: figures.flatMap(({ recipe, ...figure }) => (recipe === id ? [figure] : [])),
    }
  })
  return {
    suite: suite.name,
    at,
    condense: packageVersion(),
    node: host.node,
    onnxruntime: host.onnxruntime,
    machine,
    notes: notesOf({ machine, recipes }, before),
    recipes,
  }
}

/** What of a report is watched. */
export function readingsOf(entry: Entry, report: Report): Reading[] {
  return [report.teacher, ...report.variants].flatMap((variant) =>
    entry.measures.flatMap((measure) =>
      measureOf(measure)
        .read(variant, report)
        .map((value): Reading => ({ recipe: entry.id, variant: variant.id, measure, ...value }))
        .filter((reading) => variant.failed === undefined && isWatched(entry, reading)),
    ),
  )
}

const isWatched = ({ variants, measures }: Entry, { variant, measure }: Series): boolean =>
  measures.includes(measure) && (variants?.includes(variant) ?? true)

function settingOf({ recipe, profile, set }: Entry, { data }: Report): string {
  return hashOf([readFileSync(recipe, 'utf8'), profile ?? null, set, data.fingerprint])
}

function notesOf(
  { machine, recipes }: Pick<Night, 'machine' | 'recipes'>,
  before: readonly KeptNight[],
): string[] {
  const last = before.at(-1)
  if (!last) return []
  const same = before.filter((night) => night.machine === machine).length
  const moved =
    last.machine === machine
      ? []
      : [
          `Another machine or runtime than in the night before: ${machine}; it was ${last.machine}. Latencies and memory ${same > 0 ? `are compared with its own earlier nights (${same})` : 'begin a new baseline'}.`,
        ]
  const changed = recipes.flatMap(({ id, setting }) => {
    const old = before.findLast(({ recipes: those }) =>
      those.some((recipe) => recipe.id === id && recipe.setting !== undefined),
    )
    const known = old?.recipes.find((recipe) => recipe.id === id)?.setting
    return setting === undefined || known === undefined || known === setting
      ? []
      : [`${id}: the recipe or its data changed since the night of ${old!.at}.`]
  })
  return [...moved, ...changed]
}

/** Writes the trend page, the summary and the numbers; gives the path of the page. */
function writeTrend(suite: Suite, history: History, outFolder = suite.folder): string {
  makeFolder(outFolder)
  const files = renderTrend(suite.name, history.nights(suite.name), {
    reports: relative(outFolder, suite.folder).replaceAll('\\', '/'),
    folder: suite.folder,
  })
  for (const [name, text] of Object.entries(files)) writeAtomically(join(outFolder, name), text)
  return join(outFolder, 'trend.html')
}
