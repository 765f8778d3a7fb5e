// Quality against what it costs: one plot for the size, one for the latency on each provider.
import { paretoFront } from '../../statistics.ts'
import type { Block, Point } from '../blocks.ts'
import { formatBytes, formatMs, formatPercent, formatRatio } from '../format.ts'
import { everyVariant, isEmulated, latencyDoubt, timed, timedProviders } from '../judge.ts'
import {
  formatMetric,
  formatMetricInterval,
  formatTick,
  type MainFigure,
  mainFigure,
  mainMetric,
  metricTitle,
} from '../metrics.ts'
import type { Report, Variant } from '../report.ts'
import { legendOf, seriesOf } from './cells.ts'

/** More names would lie over each other; a legend says then what has no room beside its point. */
export const mostNames = 6

/** What is paid for quality: one plot each. */
interface Cost {
  readonly label: string
  readonly what: string
  readonly format: (cost: number) => string
  readonly of: (variant: Variant) => number | undefined
  /** The provider whose latency the cards tell, besides the size. */
  readonly provider: string | undefined
}

/** Plots the main figure of every variant against its size and its latencies. */
export function tradeoffs(report: Report): Block[] {
  const providers = timedProviders(report).filter((provider) => !isEmulated(report, provider))
  const costs: readonly Cost[] = [
    {
      label: 'Size',
      what: 'size of the file',
      format: formatBytes,
      of: ({ sizeBytes }) => sizeBytes,
      provider: providers[0],
    },
    ...providers.map((provider) => ({
      label: `Latency on ${provider}, batch 1, one thread`,
      what: `median latency on ${provider}`,
      format: formatMs,
      of: (variant: Variant) => timed(variant, provider)?.p50Ms,
      provider,
    })),
  ]
  return costs.flatMap((cost) => plot(report, cost))
}

function plot(report: Report, { label, what, format, of, provider }: Cost): Block[] {
  const measured = everyVariant(report).flatMap((variant) => {
    const cost = of(variant)
    const { accuracy, failed } = variant
    return accuracy && failed === undefined && cost !== undefined && cost > 0
      ? [{ variant, main: mainFigure(accuracy), cost }]
      : []
  })
  if (measured.length < 2) return []
  const front = new Set(
    paretoFront(
      measured.map(({ variant, main, cost }) => ({ id: variant.id, cost, value: main.value })),
    ),
  )
  const metric = mainMetric(report)
  const title = metricTitle(metric)
  const isCrowded = measured.length > mostNames
  return [
    {
      kind: 'plot',
      caption: `${title} against the ${what}`,
      spec: {
        plot: 'scatter',
        names: isCrowded ? 'with-room' : 'all',
        x: { label, format, scale: 'log' },
        y: { label: title, format: (value) => formatTick(metric, value), scale: 'linear' },
        points: measured.map(({ variant, main, cost }) => ({
          label: variant.id,
          facts: factsOf(report, variant, main, provider),
          series: seriesOf(report, variant),
          x: cost,
          y: main.value,
          low: main.interval[0],
          high: main.interval[1],
          onFront: front.has(variant.id),
        })),
      },
      ...(isCrowded && {
        legend: legendOf(
          report,
          measured.map(({ variant }) => variant),
        ),
      }),
    },
  ]
}

/** What the card of a point tells; ratios are to the teacher. */
function factsOf(
  { teacher }: Report,
  variant: Variant,
  { metric, value, interval }: MainFigure,
  provider: string | undefined,
): Point['facts'] {
  const { retention, sizeBytes, from } = variant
  const relative = (own: number, reference: number | undefined): string =>
    from === null || reference === undefined ? '' : `, ${formatRatio(own / reference)}`
  const time = provider === undefined ? undefined : timed(variant, provider)?.p50Ms
  const doubt = provider === undefined ? undefined : latencyDoubt(variant, provider)
  return [
    { name: metricTitle(metric), value: formatMetric(metric, value) },
    { name: '95 % interval', value: formatMetricInterval(metric, interval) },
    ...(retention && from !== null
      ? [{ name: 'Retention', value: formatPercent(retention.accuracy) }]
      : []),
    { name: 'Size', value: `${formatBytes(sizeBytes)}${relative(sizeBytes, teacher.sizeBytes)}` },
    ...(provider === undefined || time === undefined
      ? []
      : [
          {
            name: `Latency, ${provider}`,
            value: `${formatMs(time)}${relative(time, timed(teacher, provider)?.p50Ms)}${doubt ? `, ${doubt}` : ''}`,
          },
        ]),
  ]
}
