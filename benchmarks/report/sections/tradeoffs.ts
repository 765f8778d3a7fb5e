// Quality against what it costs: one plot for the size, one for the latency on each provider.
import { paretoFront } from '../../statistics.ts'
import type { Block } from '../blocks.ts'
import { formatBytes, formatMs } from '../format.ts'
import { everyVariant, isEmulated, timed, timedProviders } from '../judge.ts'
import {
  formatMetric,
  formatMetricInterval,
  formatTick,
  mainFigure,
  mainMetric,
  metricTitle,
} from '../metrics.ts'
import type { Report, Variant } from '../report.ts'
import { seriesOf } from './cells.ts'

/** Plots the main figure of every variant against its size and its latencies. */
export function tradeoffs(report: Report): Block[] {
  const size = plot(report, 'Size', 'size of the file', formatBytes, ({ sizeBytes }) => sizeBytes)
  const latencies = timedProviders(report)
    .filter((provider) => !isEmulated(report, provider))
    .flatMap((provider) =>
      plot(
        report,
        `Latency on ${provider}, batch 1, one thread`,
        `median latency on ${provider}`,
        formatMs,
        (variant) => timed(variant, provider)?.p50Ms,
      ),
    )
  return [...size, ...latencies]
}

function plot(
  report: Report,
  label: string,
  what: string,
  format: (cost: number) => string,
  costOf: (variant: Variant) => number | undefined,
): Block[] {
  const measured = everyVariant(report).flatMap((variant) => {
    const cost = costOf(variant)
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
  return [
    {
      kind: 'plot',
      caption: `${title} against the ${what}`,
      spec: {
        plot: 'scatter',
        x: { label, format, scale: 'log' },
        y: { label: title, format: (value) => formatTick(metric, value), scale: 'linear' },
        points: measured.map(({ variant, main, cost }) => ({
          label: variant.id,
          title: `${variant.id}: ${formatMetric(metric, main.value)} (${formatMetricInterval(metric, main.interval)}) at ${format(cost)}`,
          series: seriesOf(report, variant),
          x: cost,
          y: main.value,
          low: main.interval[0],
          high: main.interval[1],
          onFront: front.has(variant.id),
        })),
      },
    },
  ]
}
