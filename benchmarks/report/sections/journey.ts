// The main table: what each stage cost and saved, and what it made worse.
import type { Block, Cell, Column } from '../blocks.ts'
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
import type { Report, Variant } from '../report.ts'
import { missing, variantCell } from './cells.ts'

/** Compares the teacher and all variants in every measure, then says in words what got worse. */
export function journey(report: Report): Block[] {
  const providers = timedProviders(report)
  const worse = report.variants.flatMap((variant) => [...worsenings(report, variant).values()])
  return [
    {
      kind: 'table',
      caption: 'The teacher and its variants',
      columns: [...columnsOf(report), ...providers.map(latencyColumn)],
      rows: everyVariant(report).map((variant) => rowOf(report, variant, providers)),
    },
    ...(worse.length > 0
      ? [
          { kind: 'paragraph', text: 'What got worse:' } as const,
          { kind: 'list', items: worse } as const,
        ]
      : []),
  ]
}

/** Where nothing has a divergence, the task has none. */
const hasDivergence = (report: Report): boolean =>
  mainMetric(report) === 'top1' ||
  report.variants.some(({ retention }) => retention && retention.klDivergence !== null)

const columnsOf = (report: Report): readonly Column[] => [
  { title: 'Variant', align: 'left' },
  { title: metricTitle(mainMetric(report)), align: 'right' },
  { title: 'Retention', align: 'right' },
  { title: 'Agreement', align: 'right' },
  ...(hasDivergence(report) ? [{ title: 'KL', align: 'right', unit: 'nats' } as const] : []),
  { title: 'Size', align: 'right' },
  { title: 'Gzip', align: 'right' },
  { title: 'Parameters', align: 'right' },
  { title: 'MACs', align: 'right' },
]

const latencyColumn = (provider: string): Column => ({
  title: provider,
  align: 'right',
  unit: 'p50 latency',
})

function rowOf(report: Report, variant: Variant, providers: readonly string[]): Cell[] {
  const { teacher } = report
  const { accuracy, retention, macs } = variant
  const isTeacher = variant === teacher
  const main = accuracy && mainFigure(accuracy)
  const worse = worsenings(report, variant)
  const measured = (text: string, note: string | undefined, key?: Worsening): Cell => {
    const bad = key !== undefined && worse.has(key)
    return {
      text: bad ? `▲ ${text}` : text,
      ...(note !== undefined && { note }),
      ...(bad && { mark: 'bad' as const }),
    }
  }
  const relative = (own: number, reference: number) =>
    isTeacher ? undefined : formatRatio(own / reference)
  const latencies = providers.map((provider): Cell => {
    const own = timed(variant, provider)
    if (!own) return missing
    const ratio = isTeacher ? undefined : latencyRatio(variant, teacher, provider)
    const doubt = latencyDoubt(variant, provider)
    const notes = [
      ...(ratio === undefined ? [] : [formatRatio(ratio)]),
      ...(doubt && !own.software ? [doubt] : []),
      ...(own.software ? ['software GPU'] : []),
    ]
    return measured(
      formatMs(own.p50Ms),
      notes.length > 0 ? notes.join(', ') : undefined,
      `latency ${provider}`,
    )
  })
  return [
    variantCell(report, variant, originOf(variant)),
    main
      ? measured(
          formatMetric(main.metric, main.value),
          formatMetricInterval(main.metric, main.interval),
          'accuracy',
        )
      : variant.failed === undefined && !isJudged(report)
        ? missing
        : { text: 'failed', mark: 'bad' },
    isTeacher || !retention ? missing : measured(formatPercent(retention.accuracy), undefined),
    isTeacher || !retention ? missing : measured(formatPercent(retention.agreement), undefined),
    ...(hasDivergence(report)
      ? [
          isTeacher || !retention || retention.klDivergence === null
            ? missing
            : measured(formatNumber(retention.klDivergence), undefined),
        ]
      : []),
    measured(
      formatBytes(variant.sizeBytes),
      relative(variant.sizeBytes, teacher.sizeBytes),
      'sizeBytes',
    ),
    measured(
      formatBytes(variant.gzipBytes),
      relative(variant.gzipBytes, teacher.gzipBytes),
      'gzipBytes',
    ),
    measured(formatCount(variant.parameters), nonzeroNote(variant)),
    macs === null
      ? missing
      : measured(
          formatCount(macs),
          teacher.macs === null ? undefined : relative(macs, teacher.macs),
          'macs',
        ),
    ...latencies,
  ]
}

function originOf({ id, label, stage, from }: Variant): string | undefined {
  const made = from === null ? undefined : `${stage === id ? '' : `${stage} `}from ${from}`
  const parts = [label, made].filter((part) => part !== undefined && part !== id)
  return parts.length > 0 ? parts.join(', ') : undefined
}

function nonzeroNote({ parameters, nonzeroParameters }: Variant): string | undefined {
  const share = nonzeroParameters / parameters
  // Rounding makes some weights zero in every model; only pruned ones are worth a word.
  return share < 0.98 ? `${formatPercent(share, 0)} nonzero` : undefined
}
