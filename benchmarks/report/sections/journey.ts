// The main table: what each stage cost and saved, and what it made worse.
import type { Block, Cell } from '../blocks.ts'
import {
  formatBytes,
  formatCount,
  formatMs,
  formatNumber,
  formatPercent,
  formatRatio,
} from '../format.ts'
import type { Worsening } from '../judge.ts'
import {
  everyVariant,
  isJudged,
  latencyDoubt,
  latencyRatio,
  timed,
  timedProviders,
  worsenings,
} from '../judge.ts'
import {
  formatMetric,
  formatMetricInterval,
  mainFigure,
  mainMetric,
  metricTitle,
} from '../metrics.ts'
import type { Report, Retention, Variant } from '../report.ts'
import { variantCell } from './cells.ts'
import { type MeasuredColumn, measuredTable } from './measured-table.ts'

/** Compares the teacher and all variants in every measure, then says in words what got worse. */
export function journey(report: Report): Block[] {
  const everyone = everyVariant(report)
  const worse = report.variants.flatMap((variant) => [...worsenings(report, variant).values()])
  const named: MeasuredColumn<Variant> = {
    title: 'Variant',
    align: 'left',
    cell: (variant) => variantCell(report, variant),
  }
  return [
    measuredTable('The teacher and its variants', everyone, [
      { ...named, cell: (variant) => variantCell(report, variant, originOf(variant)) },
      ...qualityColumns(report),
      sizeColumn(report),
      ...timedProviders(report).map((provider) => latencyColumn(report, provider)),
    ]),
    measuredTable('What is stored and computed', everyone, [named, ...costColumns(report)]),
    ...(worse.length > 0
      ? [
          { kind: 'paragraph', text: 'What got worse:' } as const,
          { kind: 'list', items: worse } as const,
        ]
      : []),
  ]
}

type VariantColumn = MeasuredColumn<Variant>

function qualityColumns(report: Report): VariantColumn[] {
  const compared = (cell: (retention: Retention) => Cell | undefined) => (variant: Variant) =>
    variant !== report.teacher && variant.retention ? cell(variant.retention) : undefined
  return [
    {
      title: metricTitle(mainMetric(report)),
      align: 'right',
      cell: (variant) => {
        const main = variant.accuracy && mainFigure(variant.accuracy)
        if (main)
          return marked(report, variant, 'accuracy', {
            text: formatMetric(main.metric, main.value),
            note: formatMetricInterval(main.metric, main.interval),
          })
        const failed = variant.failed !== undefined || isJudged(report)
        return failed ? { text: 'failed', mark: 'bad' } : undefined
      },
    },
    {
      title: 'Retention',
      align: 'right',
      cell: compared(({ accuracy }) => ({ text: formatPercent(accuracy) })),
    },
    {
      title: 'Agreement',
      align: 'right',
      cell: compared(({ agreement }) => ({ text: formatPercent(agreement) })),
    },
    {
      title: 'KL',
      align: 'right',
      unit: 'nats',
      cell: compared(({ klDivergence }) =>
        klDivergence === null ? undefined : { text: formatNumber(klDivergence) },
      ),
    },
  ]
}

const sizeColumn = (report: Report): VariantColumn =>
  costColumn(report, 'Size', formatBytes, ({ sizeBytes }) => sizeBytes, 'sizeBytes')

const costColumns = (report: Report): VariantColumn[] => [
  sizeColumn(report),
  costColumn(report, 'Gzip', formatBytes, ({ gzipBytes }) => gzipBytes, 'gzipBytes'),
  costColumn(report, 'Brotli', formatBytes, ({ brotliBytes }) => brotliBytes),
  {
    title: 'Parameters',
    align: 'right',
    cell: (variant) => ({ text: formatCount(variant.parameters), ...nonzeroNote(variant) }),
  },
  costColumn(report, 'MACs', formatCount, ({ macs }) => macs ?? undefined, 'macs'),
  costColumn(report, 'Bytes moved', formatBytes, ({ bytesMoved }) => bytesMoved ?? undefined),
]

/** What a variant costs, and below it the ratio to the teacher. */
const costColumn = (
  report: Report,
  title: string,
  format: (cost: number) => string,
  costOf: (variant: Variant) => number | undefined,
  worsening?: Worsening,
): VariantColumn => ({
  title,
  align: 'right',
  cell: (variant) => {
    const own = costOf(variant)
    const reference = costOf(report.teacher)
    if (own === undefined) return undefined
    return marked(report, variant, worsening, {
      text: format(own),
      ...(variant !== report.teacher &&
        reference !== undefined && { note: formatRatio(own / reference) }),
    })
  },
})

const latencyColumn = (report: Report, provider: string): VariantColumn => ({
  title: provider,
  align: 'right',
  unit: 'p50 latency',
  cell: (variant) => {
    const own = timed(variant, provider)
    if (!own) return undefined
    const ratio =
      variant === report.teacher ? undefined : latencyRatio(variant, report.teacher, provider)
    const doubt = latencyDoubt(variant, provider)
    const notes = [
      ...(ratio === undefined ? [] : [formatRatio(ratio)]),
      ...(doubt && !own.software ? [doubt] : []),
      ...(own.software ? ['software GPU'] : []),
    ]
    return marked(report, variant, `latency ${provider}`, {
      text: formatMs(own.p50Ms),
      ...(notes.length > 0 && { note: notes.join(', ') }),
    })
  },
})

/** The cell with a sign where the measure got worse. */
function marked(
  report: Report,
  variant: Variant,
  worsening: Worsening | undefined,
  cell: Cell,
): Cell {
  return worsening !== undefined && worsenings(report, variant).has(worsening)
    ? { ...cell, text: `▲ ${cell.text}`, mark: 'bad' }
    : cell
}

function originOf({ id, label, stage, from }: Variant): string | undefined {
  const made = from === null ? undefined : `${stage === id ? '' : `${stage} `}from ${from}`
  const parts = [label, made].filter((part) => part !== undefined && part !== id)
  return parts.length > 0 ? parts.join(', ') : undefined
}

function nonzeroNote({ parameters, nonzeroParameters }: Variant): Pick<Cell, 'note'> {
  const share = nonzeroParameters / parameters
  // Rounding makes some weights zero in every model; only pruned ones are worth a word.
  return share < 0.98 ? { note: `${formatPercent(share, 0)} nonzero` } : {}
}
