// The first thing to read: one sentence, four numbers, and the best variant for each goal.
import type { Block, Cell, Figure, Table } from '../blocks.ts'
import { formatBytes, formatMs, formatPercent, formatRatio } from '../format.ts'
import {
  acceptableRetention,
  comparison,
  headline,
  isJudged,
  latencyDoubt,
  latencyRatio,
  losesAccuracy,
  mainName,
  type Recommendation,
  recommendations,
  timed,
  timedProviders,
  verdict,
} from '../judge.ts'
import { formatMetric, mainFigure, mainMetric, metricTitle } from '../metrics.ts'
import type { Accuracy, Report, Variant } from '../report.ts'
import { variantCell } from './cells.ts'
import { type MeasuredColumn, measuredTable } from './measured-table.ts'

/** Says what came out of the run. */
export function verdictSection(report: Report): Block[] {
  const variant = headline(report)
  return [
    { kind: 'statement', text: verdict(report) },
    ...(variant ? [{ kind: 'figures', figures: figures(report, variant) } as const] : []),
    ...failures(report),
    ...(isJudged(report)
      ? []
      : [
          {
            kind: 'paragraph',
            text: 'No data was given: the models ran on random inputs, and nothing was measured of how good they are.',
          } as const,
        ]),
    ...(report.variants.length > 0 ? [recommended(report)] : []),
  ]
}

function recommended(report: Report): Table {
  const chosen = recommendations(report)
  const among = isJudged(report)
    ? `, among those that keep at least ${formatPercent(acceptableRetention, 0)} of the teacher's ${mainName(report)}`
    : ''
  const columns: readonly MeasuredColumn<Recommendation>[] = [
    { title: 'Goal', align: 'left', cell: ({ goal }) => ({ text: goal }) },
    {
      title: 'Variant',
      align: 'left',
      cell: ({ variant }) =>
        variant ? variantCell(report, variant) : { text: 'none is good enough', mark: 'muted' },
    },
    {
      title: 'Value',
      align: 'right',
      cell: ({ variant, value, relative }) => variant && { text: value, note: relative },
    },
    {
      title: metricTitle(mainMetric(report)),
      align: 'right',
      cell: ({ variant }) => (variant?.accuracy ? { text: figureOf(variant.accuracy) } : undefined),
    },
    {
      title: 'Against the teacher',
      align: 'left',
      cell: ({ variant }) => variant && againstTeacher(report, variant),
    },
  ]
  return measuredTable(`Recommended for each goal${among}`, chosen, columns)
}

const againstTeacher = (report: Report, variant: Variant): Cell =>
  variant === report.teacher
    ? { text: 'the teacher itself', mark: 'muted' }
    : { text: comparison(variant), ...(losesAccuracy(variant) && { mark: 'bad' as const }) }

function figures(report: Report, variant: Variant): Figure[] {
  const { teacher } = report
  const cost = (what: string, ratio: number, note: string, isWorse = ratio > 1): Figure => {
    const value = formatRatio(ratio)
    const label = value.endsWith('×') ? `the teacher's ${what}` : `of the teacher's ${what}`
    return { value, label, note, ...(isWorse && { mark: 'bad' as const }) }
  }
  return [
    ...(variant.retention && variant.accuracy
      ? [
          {
            value: formatPercent(variant.retention.accuracy, 1),
            label: `of the teacher's ${mainName(report)}`,
            note: `${noteOf(report, variant.accuracy)}; ${comparison(variant)}`,
            ...(losesAccuracy(variant) && { mark: 'bad' as const }),
          },
        ]
      : []),
    cost(
      'bytes',
      variant.sizeBytes / teacher.sizeBytes,
      `${formatBytes(variant.sizeBytes)} against ${formatBytes(teacher.sizeBytes)}`,
    ),
    ...timedProviders(report).flatMap((provider) => {
      const own = timed(variant, provider)
      const reference = timed(teacher, provider)
      const ratio = latencyRatio(variant, teacher, provider)
      // Emulated hardware says nothing about the real one.
      if (!own || !reference || ratio === undefined || own.software) return []
      const doubt = latencyDoubt(variant, provider)
      const note = `${formatMs(own.p50Ms)} against ${formatMs(reference.p50Ms)}, batch 1, one thread${doubt ? `; ${doubt}` : ''}`
      return [cost(`latency on ${provider}`, ratio, note, ratio > 1 && !doubt)]
    }),
  ]
}

const figureOf = (accuracy: Accuracy): string => {
  const { metric, value } = mainFigure(accuracy)
  return formatMetric(metric, value)
}

function noteOf(report: Report, accuracy: Accuracy): string {
  const { metric } = mainFigure(accuracy)
  const samples = `${report.data.test} test samples`
  return metric === 'top1'
    ? `${figureOf(accuracy)} of ${samples}`
    : `${metricTitle(metric)} ${figureOf(accuracy)} on ${samples}`
}

function failures(report: Report): Block[] {
  const failed = report.variants.filter((variant) => variant.failed !== undefined)
  if (failed.length === 0) return []
  return [
    { kind: 'list', items: failed.map(({ id, failed: why }) => `${id} is no result: ${why}`) },
  ]
}
