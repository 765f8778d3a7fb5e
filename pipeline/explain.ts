// What a run's students learned from, read off its report.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../base/errors.ts'
import { adviceLines } from '../benchmarks/report/advice.ts'
import { type MainFigure, mainFigure } from '../benchmarks/report/metrics.ts'
import { readReport } from '../benchmarks/report/read.ts'
import type { Report, Variant } from '../benchmarks/report/report.ts'
import { lastShares } from '../stages/distill/advice.ts'
import type { LossOptions } from '../train/losses.ts'
import type { Scheduled } from '../train/scheduled.ts'
import { checkRecipe } from './read-recipe.ts'
import type { Recipe } from './recipe.ts'
import { phasesOf } from './trainings.ts'

/** A run that is over. */
export interface FinishedRun {
  readonly folder: string
  readonly report: Report
  readonly recipe: Recipe
}

/** One term of a student's loss. */
export interface ExplainedLoss {
  readonly loss: string
  /** From 1; present where there are several. */
  readonly phase?: number
  readonly weight: Scheduled
  readonly temperature?: Scheduled
  /** Share of the loss in the last epoch, 0..1; absent where it is not known. */
  readonly share?: number
}

/** What a trained variant learned from, and what came of it. */
export interface ExplainedVariant {
  readonly id: string
  readonly stage: string
  readonly from: string | null
  readonly losses: readonly ExplainedLoss[]
  readonly epochs: number
  /** On the test split; null where it was not measured. */
  readonly score: MainFigure | null
  /** Main figure over the teacher's. */
  readonly retention: number | null
  readonly agreement: number | null
  readonly klDivergence: number | null
}

/** What a run tells of its students. */
export interface Explanation {
  readonly run: string
  readonly name: string
  readonly teacher: MainFigure | null
  readonly variants: readonly ExplainedVariant[]
  /** A line each, with the variant that it is about. */
  readonly advice: readonly string[]
}

/** Reads the report of a run; a folder without one, or whose report has no recipe, is a {@link UserError}. */
export function openRun(folder: string): FinishedRun {
  const path = join(folder, 'report.json')
  if (!existsSync(path))
    throw new UserError(
      `${folder}: no run is there: it has no report.json — give the folder of a finished run, as runs/<name>`,
    )
  const report = readReport(path)
  if (!report.recipe)
    throw new UserError(`${path}: it was made without a recipe — give a run of 'condense run'`)
  return { folder, report, recipe: checkRecipe(report.recipe, { where: `${path}: recipe` }).recipe }
}

/** Says what every trained variant learned from; a run that trained none is a {@link UserError}. */
export function explainRun({ folder, report, recipe }: FinishedRun): Explanation {
  const variants = recipe.stages.flatMap((step): ExplainedVariant[] => {
    const phases = phasesOf(step, recipe.task)
    const variant = report.variants.find(({ id }) => id === step.id)
    if (phases.length === 0 || !variant) return []
    const { retention } = variant
    return [
      {
        id: step.id,
        stage: step.stage,
        from: variant.from,
        losses: lossesOf(phases, variant),
        epochs: variant.training?.epochs.length ?? 0,
        score: figureOf(variant),
        retention: retention?.accuracy ?? null,
        agreement: retention?.agreement ?? null,
        klDivergence: retention?.klDivergence ?? null,
      },
    ]
  })
  if (variants.length === 0)
    throw new UserError(
      `${folder}: nothing was distilled or trained in this run: it has ${report.variants.map(({ stage }) => stage).join(', ') || 'no stages'} — give a run with a 'distill' stage`,
    )
  return {
    run: folder,
    name: report.name,
    teacher: figureOf(report.teacher),
    variants,
    advice: adviceLines(report),
  }
}

/** The main figure of a variant; null where it was not measured. */
export const figureOf = ({ accuracy }: Variant): MainFigure | null =>
  accuracy ? mainFigure(accuracy) : null

/** The losses of all phases, with the shares of those of the last one. */
function lossesOf(phases: readonly (readonly LossOptions[])[], variant: Variant): ExplainedLoss[] {
  const last = variant.training?.epochs.at(-1)
  return phases.flatMap((losses, index) => {
    const isLast = index === phases.length - 1
    const terms = losses.length === 1 ? [1] : last?.terms
    const { shares } =
      isLast && terms
        ? lastShares({ losses, epochs: [{ epoch: 1, loss: 0, score: 0, terms }] })
        : { shares: [] }
    return losses.map((options, place) => ({
      loss: options.loss,
      ...(phases.length > 1 && { phase: index + 1 }),
      weight: options.weight,
      ...('temperature' in options && { temperature: options.temperature }),
      ...(shares[place] !== undefined && { share: shares[place] }),
    }))
  })
}
