// The report for spreadsheets: one row for each variant, provider, batch size and number of threads (RFC 4180).
import { printable } from './format.ts'
import { everyVariant, type Measured as MeasuredModels, providersOf } from './judge.ts'
import { mainFigure } from './metrics.ts'
import type { Measurement, ProviderResult, Report, Variant } from './report.ts'

/** A value of a cell; what is not known leaves it empty. */
type Value = string | number | boolean | null | undefined

/** What a row tells of: the headline stands for a provider without measurements. */
interface Measured {
  readonly variant: Variant
  readonly provider?: string
  readonly result?: ProviderResult
  readonly measurement?: Measurement
  /** Median over that of the teacher at the same provider, batch size and threads. */
  readonly ratio?: number | undefined
}

/** The columns by their names, in order. */
const columns: Readonly<Record<string, (measured: Measured) => Value>> = {
  variant: ({ variant }) => variant.id,
  stage: ({ variant }) => variant.stage,
  from: ({ variant }) => variant.from,
  failed: ({ variant }) => variant.failed,
  metric: ({ variant }) => variant.accuracy && mainFigure(variant.accuracy).metric,
  value: ({ variant }) => variant.accuracy && mainFigure(variant.accuracy).value,
  value_low: ({ variant }) => variant.accuracy && mainFigure(variant.accuracy).interval[0],
  value_high: ({ variant }) => variant.accuracy && mainFigure(variant.accuracy).interval[1],
  retention: ({ variant }) => variant.retention?.accuracy,
  agreement: ({ variant }) => variant.retention?.agreement,
  kl_nats: ({ variant }) => variant.retention?.klDivergence,
  p: ({ variant }) => variant.retention?.p ?? variant.retention?.mcnemarP,
  calibration_error: ({ variant }) => variant.calibrationError,
  size_bytes: ({ variant }) => variant.sizeBytes,
  gzip_bytes: ({ variant }) => variant.gzipBytes,
  brotli_bytes: ({ variant }) => variant.brotliBytes,
  parameters: ({ variant }) => variant.parameters,
  nonzero_parameters: ({ variant }) => variant.nonzeroParameters,
  macs: ({ variant }) => variant.macs,
  bytes_moved: ({ variant }) => variant.bytesMoved,
  provider: ({ provider }) => provider,
  available: ({ result }) => result?.available,
  reason: ({ result }) => result?.reason,
  software: ({ result }) => result && result.software === true,
  agreement_with_cpu: ({ result }) => result?.agreementWithCpu,
  nodes_on_provider: ({ result }) => result?.nodesOnProvider,
  nodes_elsewhere: ({ result }) => result?.nodesElsewhere,
  peak_memory_bytes: ({ result }) => result?.peakMemoryBytes,
  session_ms: ({ result }) => result?.coldStart?.sessionMs,
  first_run_ms: ({ result }) => result?.coldStart?.firstRunMs,
  cold_start_over_teacher: ({ result }) => result?.coldStart?.ratio?.value,
  energy_joules: ({ result }) => result?.energyJoules,
  batch: ({ measurement }) => measurement?.batch,
  threads: ({ measurement }) => measurement?.threads,
  runs: ({ measurement }) => measurement?.runs,
  p50_ms: ({ measurement }) => measurement?.p50Ms,
  p90_ms: ({ measurement }) => measurement?.p90Ms,
  p99_ms: ({ measurement }) => measurement?.p99Ms,
  p999_ms: ({ measurement }) => measurement?.p999Ms,
  mean_ms: ({ measurement }) => measurement?.meanMs,
  deviation_ms: ({ measurement }) => measurement?.deviationMs,
  samples_per_second: ({ measurement }) => measurement?.throughput,
  latency_over_teacher: ({ ratio }) => ratio,
  latency_over_teacher_low: ({ measurement }) => measurement?.latencyRatio?.interval[0],
  latency_over_teacher_high: ({ measurement }) => measurement?.latencyRatio?.interval[1],
}

/** Renders the report as CSV with a header; what a spreadsheet would take for a formula is text. */
export function renderCsv(report: Report): string {
  return lines([Object.keys(columns), ...rowsOf(report).map(cellsOf)])
}

/** Renders some models of several reports in one table, the run before the other columns. */
export function renderCsvOfRuns(
  runs: readonly {
    readonly name: string
    readonly report: MeasuredModels
    readonly models: readonly Variant[]
  }[],
): string {
  const rows = runs.flatMap(({ name, report, models }) =>
    rowsOf(report)
      .filter(({ variant }) => models.includes(variant))
      .map((row) => [cell(name), ...cellsOf(row)]),
  )
  return lines([['run', ...Object.keys(columns)], ...rows])
}

const cellsOf = (row: Measured): string[] =>
  Object.values(columns).map((column) => cell(column(row)))

const lines = (rows: readonly (readonly string[])[]): string =>
  rows.map((row) => `${row.join(',')}\r\n`).join('')

function rowsOf(report: MeasuredModels): Measured[] {
  const providers = providersOf(report)
  return everyVariant(report).flatMap((variant): Measured[] => {
    const found = providers.flatMap((provider) => {
      const result = resultOn(variant, provider)
      if (!result) return []
      const measured = result.measurements ?? []
      if (measured.length === 0) return [{ variant, provider, result }]
      return measured.map((measurement) => ({
        variant,
        provider,
        result,
        measurement,
        ratio: ratioOf(report, variant, provider, measurement),
      }))
    })
    return found.length > 0 ? found : [{ variant }]
  })
}

function ratioOf(
  { teacher }: MeasuredModels,
  variant: Variant,
  provider: string,
  { batch, threads, p50Ms }: Measurement,
): number | undefined {
  const reference = resultOn(teacher, provider)?.measurements?.find(
    (other) => other.batch === batch && other.threads === threads,
  )
  return variant === teacher ? undefined : reference && p50Ms / reference.p50Ms
}

// A name from outside must not find what every object inherits.
const resultOn = ({ providers }: Variant, provider: string): ProviderResult | undefined =>
  Object.hasOwn(providers, provider) ? providers[provider] : undefined

function cell(value: Value): string {
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string') return String(value)
  const text = printable(value)
  // Spreadsheets run what begins so; an apostrophe makes it text (OWASP, CSV injection).
  const safe = /^\s*[=+\-@＝＋－＠]|^[\t\n]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
