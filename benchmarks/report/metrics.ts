// The figures of all tasks as the report shows them: their names for people, and how they are written.
import { mostDecibels } from '../../tasks/match.ts'
import type { Evaluation, Retention as Likeness } from '../../tasks/task.ts'
import {
  formatInterval,
  formatNumber,
  formatPercent,
  formatPoints,
  formatSigned,
} from './format.ts'
import type { Accuracy, Report, Retention } from './report.ts'

/** How a figure is written. */
type Notation = 'share' | 'coefficient' | 'decibels' | 'number'

interface Metric {
  readonly title: string
  readonly notation: Notation
  /** What a smaller one is; larger is better unless told. */
  readonly smaller?: 'better'
}

const share = (title: string): Metric => ({ title, notation: 'share' })
const coefficient = (title: string): Metric => ({ title, notation: 'coefficient' })
const error = (title: string): Metric => ({ title, notation: 'number', smaller: 'better' })

/** Every figure that a task gives, by the name that report.json has for it. */
const metrics: ReadonlyMap<string, Metric> = new Map(
  Object.entries({
    top1: share('Accuracy'),
    top5: share('Top-5 accuracy'),
    accuracy: share('Accuracy'),
    'exact-match': share('Exact match'),
    f1: share('F1'),
    'f1-macro': share('F1, macro'),
    precision: share('Precision'),
    'precision-macro': share('Precision, macro'),
    recall: share('Recall'),
    'recall-macro': share('Recall, macro'),
    map: share('Mean average precision'),
    'average-precision': share('Average precision'),
    'entity-f1': share('Entity F1'),
    'entity-precision': share('Entity precision'),
    'entity-recall': share('Entity recall'),
    auc: coefficient('ROC AUC'),
    r2: coefficient('R²'),
    mae: error('MAE'),
    rmse: error('RMSE'),
    'max-error': error('Largest error'),
    'ndcg@10': coefficient('NDCG@10'),
    mrr: coefficient('MRR'),
    'hit-rate@1': share('Hit rate@1'),
    'hit-rate@5': share('Hit rate@5'),
    'hit-rate@10': share('Hit rate@10'),
    'rank-correlation': coefficient('Rank correlation of the classes'),
    spearman: coefficient('Spearman'),
    pearson: coefficient('Pearson'),
    fidelity: coefficient('Fidelity R²'),
    cosine: coefficient('Cosine'),
    psnr: { title: 'PSNR', notation: 'decibels' },
    'same-sets': share('Same sets'),
    'same-decisions': share('Same decisions'),
    'same-first': share('Same first'),
    'overlap@10': share('Overlap@10'),
  } satisfies Record<string, Metric>),
)

/** A figure of one output, as `mae.price`, is that figure; one that is not known is a number. */
function metricOf(name: string): Metric {
  const known = metrics.get(name)
  if (known) return known
  const dot = name.indexOf('.')
  const base = dot > 0 ? metrics.get(name.slice(0, dot)) : undefined
  return base
    ? { ...base, title: `${base.title}, ${name.slice(dot + 1)}` }
    : { title: name, notation: 'number' }
}

/** A figure's name for people. */
export const metricTitle = (name: string): string => metricOf(name).title

/** Whether less of a figure is better. */
export const isError = (name: string): boolean => metricOf(name).smaller === 'better'

/** A figure as it is written: `98.10 %`, `0.912`, `31.20 dB`. */
export function formatMetric(name: string, value: number): string {
  switch (metricOf(name).notation) {
    case 'share':
      return formatPercent(value)
    case 'coefficient':
      return formatSigned(value, 4)
    case 'decibels':
      return value < mostDecibels
        ? `${formatSigned(value, 2)}\u202fdB`
        : `≥\u202f${mostDecibels}\u202fdB`
    case 'number':
      return formatNumber(value)
  }
}

/** A figure on an axis, with fewer digits. */
export const formatTick = (name: string, value: number): string =>
  metricOf(name).notation === 'share' ? formatPercent(value, 1) : formatNumber(value)

/** The ends of an interval of a figure: `97.4–98.6 %`, `0.89–0.93`. */
export function formatMetricInterval(name: string, [low, high]: readonly [number, number]): string {
  if (metricOf(name).notation === 'share') return formatInterval([low, high])
  const separator = low < 0 ? ' … ' : '–'
  // A narrow one would show the same number twice.
  const digits = high - low < 0.005 ? 4 : 3
  return `${formatSigned(low, digits)}${separator}${formatSigned(high, digits)}`
}

/** A difference of two values of a figure: `1.20 points`, `0.0120`. */
export const formatDifference = (name: string, difference: number): string =>
  metricOf(name).notation === 'share' ? formatPoints(difference) : formatSigned(difference, 4)

/** The main figure of a variant. */
export interface MainFigure {
  readonly metric: string
  readonly value: number
  readonly interval: readonly [number, number]
}

/** The main figure; reports that know of classification alone have it under another name. */
export function mainFigure(accuracy: Accuracy): MainFigure {
  const value = accuracy.value ?? accuracy.top1 ?? 0
  return {
    metric: accuracy.metric ?? 'top1',
    value,
    interval: accuracy.interval ?? accuracy.top1Interval ?? [value, value],
  }
}

/** The name of the main figure of a report: that of the first variant that has one. */
export function mainMetric({ teacher, variants }: Pick<Report, 'teacher' | 'variants'>): string {
  const accuracy = [teacher, ...variants].find((variant) => variant.accuracy)?.accuracy
  return accuracy ? mainFigure(accuracy).metric : 'top1'
}

/** What the report has of a task's judgement of a model. */
export function reportedAccuracy({ accuracy }: Evaluation): Accuracy {
  const { metric, value, interval } = accuracy
  return { ...accuracy, ...(metric === 'top1' && { top1: value, top1Interval: interval }) }
}

/** What the report has of a task's comparison with the teacher; `accuracy` is that of the same model. */
export function reportedRetention(retention: Likeness, { accuracy }: Evaluation): Retention {
  const { p } = retention
  return { ...retention, ...(accuracy.metric === 'top1' && p !== null && { mcnemarP: p }) }
}
