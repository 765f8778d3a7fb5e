// Accuracy against what it costs: one plot for the size, one for the latency on each provider.
import { paretoFront } from '../../statistics.ts'
import type { Block } from '../blocks.ts'
import { formatBytes, formatInterval, formatMs, formatPercent } from '../format.ts'
import { everyVariant, isEmulated, timed, timedProviders } from '../judge.ts'
import type { Report, Variant } from '../report.ts'
import { seriesOf } from './cells.ts'

/** Plots the accuracy of every variant against its size and its latencies. */
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
      ? [{ variant, accuracy, cost }]
      : []
  })
  if (measured.length < 2) return []
  const front = new Set(
    paretoFront(
      measured.map(({ variant, accuracy, cost }) => ({
        id: variant.id,
        cost,
        value: accuracy.top1,
      })),
    ),
  )
  return [
    {
      kind: 'plot',
      caption: `Accuracy against the ${what}`,
      spec: {
        plot: 'scatter',
        x: { label, format, scale: 'log' },
        y: { label: 'Accuracy', format: (top1) => formatPercent(top1, 1), scale: 'linear' },
        points: measured.map(({ variant, accuracy, cost }) => ({
          label: variant.id,
          title: `${variant.id}: ${formatPercent(accuracy.top1)} (${formatInterval(accuracy.top1Interval)}) at ${format(cost)}`,
          series: seriesOf(report, variant),
          x: cost,
          y: accuracy.top1,
          low: accuracy.top1Interval[0],
          high: accuracy.top1Interval[1],
          onFront: front.has(variant.id),
        })),
      },
    },
  ]
}
