// Models of several runs side by side: what is compared, and what may be said of two of them together.
import { errorFunction } from 'simple-statistics'
import { mainFigure } from '../report/metrics.ts'
import type { Report, Variant } from '../report/report.ts'
import { pOf } from '../report/significance.ts'

/** A run whose models are compared. */
export interface ComparedRun {
  /** Unique among the runs. */
  readonly name: string
  /** Where its report was read, as it was given. */
  readonly path: string
  readonly report: Report
}

/** A model that is compared. */
export interface ComparedModel {
  /** Unique among the models. */
  readonly id: string
  /** The run that measured it; undefined of a file alone, of which its size is known. */
  readonly run: ComparedRun | undefined
  readonly variant: Variant
}

/** What is compared; the first model is what the others are compared with. */
export interface Comparison {
  readonly createdAt: string
  readonly runs: readonly ComparedRun[]
  readonly models: readonly ComparedModel[]
}

/** How two figures differ, and whether chance explains it. */
export interface FigureDifference {
  readonly metric: string
  /** Above 0 is better than the reference. */
  readonly difference: number
  /** Of a two-sided test; undefined where only the intervals can be looked at. */
  readonly p: number | undefined
  /** What was looked at: a paired test of the run, shares as of independent samples, or whether the 95 % intervals overlap. */
  readonly by: 'paired' | 'shares' | 'overlap' | 'apart'
}

/** Whether reports judge their models on the same samples, by the same figure. */
export const isSameTest = (one: Report, other: Report): boolean =>
  one.data.fingerprint === other.data.fingerprint &&
  one.data.test === other.data.test &&
  (one.task ?? 'classification') === (other.task ?? 'classification') &&
  one.data.random !== true &&
  other.data.random !== true

/** Whether times of two models were measured in turn, so that their ratio says something. */
export const isSameRace = (one: ComparedModel, other: ComparedModel): boolean =>
  one.run !== undefined && one.run === other.run

/**
 * Compares the main figures of two models; undefined where they were not judged by the same samples.
 *
 * Within a run the samples' answers were compared in pairs. Between runs the answers are not there any more: shares of right
 * answers are tested as if they came from independent samples, which finds less than a paired test would; of other
 * figures it is said whether their intervals overlap.
 */
export function figureDifference(
  model: ComparedModel,
  reference: ComparedModel,
): FigureDifference | undefined {
  const [own, other] = [model.variant.accuracy, reference.variant.accuracy]
  if (!own || !other || !model.run || !reference.run || model === reference) return undefined
  if (!isSameTest(model.run.report, reference.run.report)) return undefined
  const [mine, theirs] = [mainFigure(own), mainFigure(other)]
  if (mine.metric !== theirs.metric) return undefined
  const found = { metric: mine.metric, difference: mine.value - theirs.value }
  const paired = isSameRace(model, reference) ? pOf(model.variant, reference.variant) : undefined
  if (paired !== undefined) return { ...found, p: paired, by: 'paired' }
  if (mine.metric === 'top1') {
    const p = sharesP(mine.value, theirs.value, model.run.report.data.test)
    return { ...found, p, by: 'shares' }
  }
  const [low, high] = [
    Math.max(mine.interval[0], theirs.interval[0]),
    Math.min(mine.interval[1], theirs.interval[1]),
  ]
  return { ...found, p: undefined, by: low <= high ? 'overlap' : 'apart' }
}

/** p of the two-sided z-test of two shares of as many samples each, their common share as the variance. */
export function sharesP(one: number, other: number, samples: number): number {
  const common = (one + other) / 2
  const deviation = Math.sqrt((2 * common * (1 - common)) / Math.max(1, samples))
  return deviation === 0 ? 1 : 1 - errorFunction(Math.abs(one - other) / deviation / Math.SQRT2)
}
