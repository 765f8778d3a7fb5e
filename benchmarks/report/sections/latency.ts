// Latency on each provider: one plot of the headline, one table of every batch size and thread count, and what a start takes.
import type { Block, Cell } from '../blocks.ts'
import { formatBytes, formatJoules, formatMs, formatRate, formatRatio } from '../format.ts'
import { everyVariant, isEmulated, noiseOn, timed, timedProviders } from '../judge.ts'
import type { Measurement, ProviderResult, Report, Variant } from '../report.ts'
import { differenceOf, doubtOf } from '../significance.ts'
import { seriesOf, variantCell } from './cells.ts'
import { type MeasuredColumn, measuredTable } from './measured-table.ts'

/** Shows the measured times of each provider on which anything ran. */
export function latency(report: Report): Block[] {
  return timedProviders(report).flatMap((provider) => onProvider(report, provider))
}

/** A variant with what was measured of it on a provider. */
interface Ran {
  readonly variant: Variant
  readonly result: ProviderResult & { readonly p50Ms: number }
}

function onProvider(report: Report, provider: string): Block[] {
  const ran = everyVariant(report).flatMap((variant): Ran[] => {
    const result = timed(variant, provider)
    return result ? [{ variant, result }] : []
  })
  const software = ran.some(({ result }) => result.software)
  const warning = software ? ', on an emulated GPU: no measure of a real one' : ''
  return [
    distribution(report, ran, provider, warning),
    timesTable(report, ran, provider, warning),
    ...resourcesTable(report, ran, provider, warning),
    ...howMeasured(report, provider),
  ]
}

function distribution(
  report: Report,
  ran: readonly Ran[],
  provider: string,
  warning: string,
): Block {
  const hasTimes = ran.some(({ result }) => result.times)
  return {
    kind: 'plot',
    caption: hasTimes
      ? `Latency on ${provider}: dot at the median, line to the 99th percentile, strokes are single runs, evenly chosen from the fastest to the slowest${warning}`
      : `Latency on ${provider}: dot at the median, line to the 99th percentile${warning}`,
    spec: {
      plot: 'dots',
      x: { label: 'Latency, batch 1, one thread', format: formatMs, scale: 'log' },
      rows: ran.map(({ variant }) => variant.id),
      dots: ran.map(({ variant, result: { p50Ms, p99Ms, times } }) => ({
        row: variant.id,
        title: `${variant.id}: p50 ${formatMs(p50Ms)}, p99 ${formatMs(p99Ms ?? p50Ms)}`,
        series: seriesOf(report, variant),
        x: p50Ms,
        high: p99Ms ?? p50Ms,
        ...(times && { strip: times }),
      })),
    },
  }
}

/** What a row of the table of times shows of a measurement. */
interface Timing {
  readonly variant: Variant
  readonly measurement: Measurement
}

function timesTable(report: Report, ran: readonly Ran[], provider: string, warning: string): Block {
  const inMs = (of: (measurement: Measurement) => number | undefined) => (timing: Timing) => {
    const ms = of(timing.measurement)
    return ms === undefined ? undefined : { text: formatMs(ms) }
  }
  const right = (title: string, cell: (timing: Timing) => Cell | undefined, unit?: string) => ({
    ...({ title, align: 'right' } as const),
    ...(unit !== undefined && { unit }),
    cell,
  })
  // What can be compared stands together: one batch size and number of threads after the other.
  const timings = settingsOf(ran).flatMap((setting) =>
    ran.flatMap(({ variant, result }) =>
      (result.measurements ?? [])
        .filter((measurement) => settingOf(measurement) === setting)
        .map((measurement) => ({ variant, measurement })),
    ),
  )
  return measuredTable(`Latency on ${provider}${warning}`, timings, [
    { title: 'Variant', align: 'left', cell: ({ variant }) => variantCell(report, variant) },
    right('Batch', ({ measurement }) => ({ text: String(measurement.batch) })),
    right('Threads', ({ measurement: { threads } }) => ({
      text: threads === 0 ? 'provider' : String(threads),
    })),
    right(
      'Relative',
      ({ variant, measurement }) => relativeCell(report, variant, provider, measurement),
      'to the teacher',
    ),
    right(
      'p50',
      inMs(({ p50Ms }) => p50Ms),
    ),
    right(
      'p90',
      inMs(({ p90Ms }) => p90Ms),
    ),
    right(
      'p99',
      inMs(({ p99Ms }) => p99Ms),
    ),
    right(
      'p99.9',
      inMs(({ p999Ms }) => p999Ms),
    ),
    right('Mean', ({ measurement: { meanMs, deviationMs } }) =>
      meanMs === undefined
        ? undefined
        : {
            text: formatMs(meanMs),
            ...(deviationMs !== undefined && { note: `± ${formatMs(deviationMs)}` }),
          },
    ),
    right(
      'Throughput',
      ({ measurement }) => ({ text: formatRate(measurement.throughput) }),
      'samples/s',
    ),
    right('Runs', ({ measurement }) => ({ text: String(measurement.runs) })),
  ])
}

/** What it takes to start and to run, besides time: nothing where nothing of it was measured. */
function resourcesTable(
  report: Report,
  ran: readonly Ran[],
  provider: string,
  warning: string,
): Block[] {
  const teacher = timed(report.teacher, provider)
  const columns: readonly MeasuredColumn<Ran>[] = [
    { title: 'Variant', align: 'left', cell: ({ variant }) => variantCell(report, variant) },
    {
      title: 'Creating a session',
      align: 'right',
      cell: ({ result: { coldStart } }) => coldStart && { text: formatMs(coldStart.sessionMs) },
    },
    {
      title: 'First run',
      align: 'right',
      cell: ({ result: { coldStart } }) => coldStart && { text: formatMs(coldStart.firstRunMs) },
    },
    {
      title: 'Both',
      align: 'right',
      unit: 'to the teacher',
      cell: ({ result: { coldStart, software } }) => {
        if (!coldStart?.ratio) return undefined
        const { value, interval } = coldStart.ratio
        return ratioCell(value, interval, doubtOf(coldStart.ratio), !software && interval[0] > 1)
      },
    },
    {
      title: 'Peak memory',
      align: 'right',
      unit: 'whole process',
      cell: ({ result: { peakMemoryBytes } }) =>
        typeof peakMemoryBytes === 'number' ? { text: formatBytes(peakMemoryBytes) } : undefined,
    },
    {
      title: 'Energy',
      align: 'right',
      unit: 'a run, all processors',
      cell: ({ variant, result: { energyJoules } }) => {
        if (energyJoules === undefined) return undefined
        const own = { text: formatJoules(energyJoules) }
        return teacher?.energyJoules === undefined || variant === report.teacher
          ? own
          : { ...own, note: formatRatio(energyJoules / teacher.energyJoules) }
      },
    },
  ]
  const table = measuredTable(`Start and resources on ${provider}${warning}`, ran, columns)
  return table.columns.length > 1 ? [table] : []
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

const settingsOf = (ran: readonly Ran[]): string[] => [
  ...new Set(ran.flatMap(({ result }) => (result.measurements ?? []).map(settingOf))),
]

function relativeCell(
  report: Report,
  variant: Variant,
  provider: string,
  { batch, threads, p50Ms, latencyRatio: own }: Measurement,
): Cell | undefined {
  if (variant === report.teacher) return undefined
  const reference = timed(report.teacher, provider)?.measurements?.find(
    (other) => other.batch === batch && other.threads === threads,
  )
  if (!reference) return undefined
  const { latencyRatio: ofHeadline, software } = timed(variant, provider) ?? {}
  // Older reports have an interval for the headline alone: batch 1 on one thread.
  const tested = own ?? (batch === 1 && threads <= 1 ? ofHeadline : undefined)
  const isSlower = !software && differenceOf(tested) === 'slower'
  const doubt = tested ? doubtOf(tested) : undefined
  return ratioCell(p50Ms / reference.p50Ms, tested?.interval, doubt, isSlower)
}

/** A ratio with its interval, and what speaks against it. */
function ratioCell(
  ratio: number,
  interval: readonly [number, number] | undefined,
  doubt: string | undefined,
  isWorse: boolean,
): Cell {
  const notes = [interval?.map(formatRatio).join(' … '), doubt].filter((note) => note !== undefined)
  return {
    text: isWorse ? `▲ ${formatRatio(ratio)}` : formatRatio(ratio),
    ...(isWorse && { mark: 'bad' as const }),
    ...(notes.length > 0 && { note: notes.join(', ') }),
  }
}
