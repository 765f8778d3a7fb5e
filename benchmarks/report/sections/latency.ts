// Latency on each provider: one plot of the headline, one table of every batch size and thread count.
import type { Block, Cell } from '../blocks.ts'
import { formatMs, formatNumber, formatRatio } from '../format.ts'
import { everyVariant, isEmulated, noiseOn, timed, timedProviders } from '../judge.ts'
import type { Measurement, ProviderResult, Report, Variant } from '../report.ts'
import { differenceOf, doubtOf } from '../significance.ts'
import { missing, seriesOf, variantCell } from './cells.ts'

/** Shows the measured times of each provider on which anything ran. */
export function latency(report: Report): Block[] {
  return timedProviders(report).flatMap((provider) => onProvider(report, provider))
}

function onProvider(report: Report, provider: string): Block[] {
  const ran = everyVariant(report).flatMap((variant) => {
    const result = timed(variant, provider)
    return result ? [{ variant, result }] : []
  })
  const software = ran.some(({ result }) => result.software)
  const warning = software ? ', on an emulated GPU: no measure of a real one' : ''
  return [
    {
      kind: 'plot',
      caption: `Latency on ${provider}: dot at the median, line to the 99th percentile${warning}`,
      spec: {
        plot: 'dots',
        x: { label: 'Latency, batch 1, one thread', format: formatMs, scale: 'log' },
        rows: ran.map(({ variant }) => variant.id),
        dots: ran.map(({ variant, result }) => ({
          row: variant.id,
          title: `${variant.id}: p50 ${formatMs(result.p50Ms)}, p99 ${formatMs(result.p99Ms ?? result.p50Ms)}`,
          series: seriesOf(report, variant),
          x: result.p50Ms,
          high: result.p99Ms ?? result.p50Ms,
        })),
      },
    },
    {
      kind: 'table',
      caption: `Latency on ${provider}${warning}`,
      columns: [
        { title: 'Variant', align: 'left' },
        { title: 'Batch', align: 'right' },
        { title: 'Threads', align: 'right' },
        { title: 'p50', align: 'right' },
        { title: 'p90', align: 'right' },
        { title: 'p99', align: 'right' },
        { title: 'Throughput', align: 'right', unit: 'samples/s' },
        { title: 'Runs', align: 'right' },
        { title: 'Relative', align: 'right', unit: 'to the teacher' },
      ],
      // What can be compared stands together: one batch size and number of threads after the other.
      rows: settingsOf(ran.map(({ result }) => result)).flatMap((setting) =>
        ran.flatMap(({ variant, result }) =>
          (result.measurements ?? [])
            .filter((measurement) => settingOf(measurement) === setting)
            .map((measurement) => rowOf(report, variant, provider, measurement)),
        ),
      ),
    },
    ...howMeasured(report, provider),
  ]
}

/** What kept the times together, and what shook them. */
function howMeasured(report: Report, provider: string): Block[] {
  const { pinned } = timed(report.teacher, provider) ?? {}
  const noise = isEmulated(report, provider) ? undefined : noiseOn(report, provider)
  const items = [
    ...(pinned === undefined ? [] : [`Processes with one thread were kept on core ${pinned}.`]),
    ...(noise === undefined ? [] : [noise]),
  ]
  return items.length > 0 ? [{ kind: 'list', items }] : []
}

const settingOf = ({ batch, threads }: Measurement): string => `${batch}, ${threads}`

const settingsOf = (results: readonly ProviderResult[]): string[] => [
  ...new Set(results.flatMap(({ measurements }) => (measurements ?? []).map(settingOf))),
]

function rowOf(
  report: Report,
  variant: Variant,
  provider: string,
  measurement: Measurement,
): Cell[] {
  return [
    variantCell(report, variant),
    { text: String(measurement.batch) },
    { text: measurement.threads === 0 ? 'provider' : String(measurement.threads) },
    { text: formatMs(measurement.p50Ms) },
    { text: formatMs(measurement.p90Ms) },
    { text: formatMs(measurement.p99Ms) },
    { text: formatNumber(measurement.throughput) },
    { text: String(measurement.runs) },
    relativeCell(report, variant, provider, measurement),
  ]
}

function relativeCell(
  report: Report,
  variant: Variant,
  provider: string,
  { batch, threads, p50Ms, latencyRatio: own }: Measurement,
): Cell {
  if (variant === report.teacher) return missing
  const reference = timed(report.teacher, provider)?.measurements?.find(
    (other) => other.batch === batch && other.threads === threads,
  )
  if (!reference) return missing
  const ratio = p50Ms / reference.p50Ms
  const { latencyRatio: ofHeadline, software } = timed(variant, provider) ?? {}
  // Older reports have an interval for the headline alone: batch 1 on one thread.
  const tested = own ?? (batch === 1 && threads <= 1 ? ofHeadline : undefined)
  const isSlower = !software && differenceOf(tested) === 'slower'
  const doubt = tested && doubtOf(tested)
  const interval = tested?.interval.map(formatRatio).join(' … ')
  return {
    text: isSlower ? `▲ ${formatRatio(ratio)}` : formatRatio(ratio),
    ...(isSlower && { mark: 'bad' as const }),
    ...(interval && { note: doubt ? `${interval}, ${doubt}` : interval }),
  }
}
