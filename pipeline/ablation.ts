// What helped a student: the same distillation again with each of its losses left out in turn, measured on the same
// samples. What comes before is found in the cache.
import { join } from 'node:path'
import { UserError } from '../base/errors.ts'
import { writeAtomically } from '../base/files.ts'
import { suggest } from '../base/suggest.ts'
import { outcomeOf } from '../benchmarks/report/advice.ts'
import { writtenP } from '../benchmarks/report/format.ts'
import { formatDifference, type MainFigure, metricTitle } from '../benchmarks/report/metrics.ts'
import type { Report, Variant } from '../benchmarks/report/report.ts'
import { pOf } from '../benchmarks/report/significance.ts'
import type { TaskName } from '../tasks/index.ts'
import { comparesWith, type LossOptions } from '../train/losses.ts'
import { largestOf } from '../train/scheduled.ts'
import { type FinishedRun, figureOf } from './explain.ts'
import { variantsOf } from './key.ts'
import type { RunOptions } from './prepare.ts'
import type { Recipe, RecipeInput, Step } from './recipe.ts'
import { run } from './run.ts'
import { phasesOf } from './trainings.ts'

type DistillStep = Extract<Step, { readonly stage: 'distill' }>

/** A distillation without a part of it. */
export interface Reduced {
  readonly step: DistillStep
  /** What people call the part: the name of a loss, or an option. */
  readonly leftOut: string
  /** The id of the whole distillation. */
  readonly of: string
}

/** What leaving a part out does to the student. */
export interface AblationRow {
  readonly leftOut: string
  /** The id of the variant that was made without it. */
  readonly variant: string
  /** Why the variant is no result. */
  readonly failed?: string
  /** On the test split; null where it was not measured. */
  readonly score: MainFigure | null
  /** Main figure without the part minus that of the whole distillation: below 0 the part helps. */
  readonly difference: number | null
  /** p of the task's paired test of the difference (McNemar's exact one for classifiers); null where there is none. */
  readonly p: number | null
  /** With the teacher. */
  readonly agreement: number | null
  /** Mean KL(teacher ‖ student) in nats. */
  readonly klDivergence: number | null
  readonly effect: 'helps' | 'harms' | 'no significant difference' | 'unknown'
}

/** What helped one student. */
export interface AblationOf {
  readonly variant: string
  readonly score: MainFigure | null
  readonly agreement: number | null
  readonly klDivergence: number | null
  readonly without: readonly AblationRow[]
  /** In one sentence. */
  readonly conclusion: string
}

/** What helped the students of a run. */
export interface Ablation {
  readonly run: string
  /** Where the report of the ablation is. */
  readonly folder: string
  readonly students: readonly AblationOf[]
}

/** How an ablation is made. */
export interface AblationOptions
  extends Pick<RunOptions, 'threads' | 'cacheFolder' | 'dataFolder' | 'signal' | 'onEvent'> {
  /** The id of the distillation; every one of the run unless told. */
  readonly variant?: string | undefined
  /** `<run>/ablation`, or `<run>/ablation-<variant>`, unless told. */
  readonly outFolder?: string | undefined
}

/**
 * Runs the distillations of a run again, each with one of its parts left out, and compares them with the whole one on the test
 * split; leaves a report of all and `explain.json` in a folder of their own.
 *
 * A run without distillation, a variant that is none, and a distillation of which nothing can be left out are a
 * {@link UserError}.
 */
export async function ablate(finished: FinishedRun, options: AblationOptions): Promise<Ablation> {
  const { folder: home, recipe } = finished
  const { variant, outFolder, ...rest } = options
  const { input, reduced } = ablationRecipe(finished, variant)
  const folder = outFolder ?? join(home, variant === undefined ? 'ablation' : `ablation-${variant}`)
  const rivals = Object.fromEntries(reduced.map(({ step, of }) => [step.id, [of]]))
  const report = await run(input, { ...rest, outFolder: folder, rivals })
  const students = recipe.stages
    .filter(({ id }) => reduced.some(({ of }) => of === id))
    .map(({ id }) => studentOf(report, id, reduced))
  const result = { run: home, folder, students }
  writeAtomically(join(folder, 'explain.json'), `${JSON.stringify(result, null, 2)}\n`)
  return result
}

/** The recipe of an ablation: the whole distillations, what they are made from, and each without one of its parts. */
export function ablationRecipe(
  { folder, recipe }: FinishedRun,
  variant?: string,
): { readonly input: RecipeInput; readonly reduced: readonly Reduced[] } {
  const all = recipe.stages.filter((step): step is DistillStep => step.stage === 'distill')
  if (all.length === 0)
    throw new UserError(
      `${folder}: nothing was distilled in this run — give a run with a 'distill' stage`,
    )
  const ids = all.map(({ id }) => id)
  if (variant !== undefined && !ids.includes(variant))
    throw new UserError(`--ablate: no distilled variant: '${variant}' — ${suggest(variant, ids)}`)
  const wanted = all.filter(({ id }) => variant === undefined || id === variant)
  const taken = new Set(recipe.stages.map(({ id }) => id))
  const reduced = wanted.flatMap((step) => reducedOf(step, recipe.task, taken))
  if (reduced.length === 0) {
    const named = wanted.map(({ id }) => `'${id}'`).join(', ')
    throw new UserError(
      `${folder}: nothing can be left out: ${named} ${wanted.length > 1 ? 'have' : 'has'} a single loss — distil with several, or compare with a student that learns from labels alone`,
    )
  }
  const needed = ancestors(
    recipe,
    reduced.map(({ of }) => of),
  )
  const stages = [
    ...recipe.stages.filter(({ id }) => needed.has(id)),
    ...reduced.map(({ step }) => step),
  ]
  return {
    // Latency says nothing of what helped.
    input: {
      ...recipe,
      stages,
      benchmark: {
        latency: { batches: [1], threads: [1], rounds: 1, runs: 3, seconds: 0.02 },
        knowledge: false,
      },
    } as RecipeInput,
    reduced,
  }
}

/** The steps that are needed for some variants, these included. */
function ancestors({ stages }: Recipe, ids: readonly string[]): Set<string> {
  const found = new Set<string>()
  const add = (id: string): void => {
    const step = stages.find((one) => one.id === id)
    if (!step || found.has(id)) return
    found.add(id)
    for (const other of [step.from, ...variantsOf(step)]) add(other)
  }
  for (const id of ids) add(id)
  return found
}

/** A distillation without each of its parts in turn. */
function reducedOf(step: DistillStep, task: TaskName, taken: Set<string>): Reduced[] {
  const found: Reduced[] = []
  const add = (leftOut: string, change: Partial<DistillStep>) => {
    const id = freeId(`${step.id.slice(0, 60)}-without-${leftOut.replace(/[^\w.-]+/g, '-')}`, taken)
    found.push({ step: withoutIdlePeers({ ...step, ...change, id }, task), leftOut, of: step.id })
  }
  const shared = step.losses ?? phasesOf({ ...step, phases: undefined }, task)[0]!
  const { phases } = step
  if (!phases || phases.some(({ losses }) => !losses))
    for (const { leftOut, losses } of withoutEach(shared)) add(leftOut, { losses })
  for (const [index, phase] of (phases ?? []).entries()) {
    const where = `phase ${index + 1}`
    const others = phases!.filter((one) => one !== phase)
    for (const { leftOut, losses } of withoutEach(phase.losses ?? []))
      add(`${leftOut} of ${where}`, {
        phases: phases!.map((one) => (one === phase ? { ...phase, losses } : one)),
      })
    if (others.length > 0) add(where, { phases: others })
  }
  // A bias correction makes up for what the transfer set lacks.
  if (step.transfer) add('transfer', { transfer: undefined, bias: undefined })
  if (step.focus) add('focus', { focus: undefined })
  return found
}

/** Some losses without each of them that counts, where others that count are left. */
function withoutEach(losses: readonly LossOptions[]) {
  const counts = ({ weight }: LossOptions) => largestOf(weight) > 0
  return losses.flatMap((loss, place) => {
    const others = losses.filter((other) => other !== loss)
    if (!counts(loss) || !others.some(counts)) return []
    const before = losses.slice(0, place).filter((other) => other.loss === loss.loss).length
    return [{ leftOut: before > 0 ? `${loss.loss} (${before + 1})` : loss.loss, losses: others }]
  })
}

/** Peers teach nothing where no loss listens to them. */
const withoutIdlePeers = (step: DistillStep, task: TaskName): DistillStep =>
  phasesOf(step, task).some((losses) => comparesWith(losses, 'peers'))
    ? step
    : { ...step, peers: undefined }

function freeId(wanted: string, taken: Set<string>): string {
  const base = wanted.replace(/-+$/, '')
  let id = base
  for (let count = 2; taken.has(id); count++) id = `${base}-${count}`
  taken.add(id)
  return id
}

function studentOf(report: Report, id: string, reduced: readonly Reduced[]): AblationOf {
  const whole = variantOf(report, id)
  const without = reduced
    .filter(({ of }) => of === id)
    .map(({ step, leftOut }) => rowOf(variantOf(report, step.id), whole, leftOut))
  return {
    variant: id,
    score: figureOf(whole),
    ...likenessOf(whole),
    without,
    conclusion: conclusionOf(id, without),
  }
}

function rowOf(variant: Variant, whole: Variant, leftOut: string): AblationRow {
  const { id, failed, against = {} } = variant
  const rival = against[whole.id]
  const outcome = outcomeOf(variant, whole)
  const effects = { worse: 'helps', better: 'harms', same: 'no significant difference' } as const
  return {
    leftOut,
    variant: id,
    ...(failed !== undefined && { failed }),
    score: figureOf(variant),
    difference: rival?.difference ?? null,
    p: pOf(variant, whole) ?? null,
    ...likenessOf(variant),
    effect: outcome ? effects[outcome] : 'unknown',
  }
}

const likenessOf = ({ retention }: Variant) => ({
  agreement: retention?.agreement ?? null,
  klDivergence: retention?.klDivergence ?? null,
})

/** What helped most, what harmed, and what made no difference that chance does not explain. */
function conclusionOf(id: string, rows: readonly AblationRow[]): string {
  const by = (effect: AblationRow['effect'], sign: number) =>
    rows
      .filter((row) => row.effect === effect)
      .sort((a, b) => sign * ((a.difference ?? 0) - (b.difference ?? 0)))
  const quoted = (found: readonly AblationRow[]) =>
    found.map(({ leftOut }) => `'${leftOut}'`).join(', ')
  const told = ({ leftOut, score, difference, p }: AblationRow, word: string) => {
    const metric = score?.metric ?? 'top1'
    const title = metricTitle(metric)
    const points = formatDifference(metric, Math.abs(difference ?? 0))
    return `'${leftOut}' (without it ${title === 'Accuracy' ? 'accuracy' : title} is ${points} ${word}${p === null ? '' : `, ${writtenP(p)}`})`
  }
  const [helpful, harmful] = [by('helps', 1), by('harms', -1)]
  const idle = [...by('no significant difference', 1), ...by('unknown', 1)]
  const parts = [
    helpful[0] && `helped most by ${told(helpful[0], 'lower')}`,
    helpful.length > 1 && `helped by ${quoted(helpful.slice(1))} too`,
    harmful[0] && `harmed by ${harmful.map((row) => told(row, 'higher')).join(', ')}`,
    idle.length > 0 &&
      (helpful.length + harmful.length === 0
        ? `not changed significantly by leaving out any of ${quoted(idle)}`
        : `not changed significantly by ${quoted(idle)}`),
  ].filter(Boolean)
  return `'${id}' is ${parts.join('; ')}`
}

function variantOf({ variants }: Report, id: string): Variant {
  const found = variants.find((variant) => variant.id === id)
  if (!found) throw new Error(`internal: '${id}' is not in the report of its ablation`)
  return found
}
