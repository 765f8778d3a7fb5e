// Every model that is compared, a row each: how good, how large, how fast over its own teacher.
import type { Cell, Table } from '../report/blocks.ts'
import { formatBytes, formatCount, formatMs, formatPercent, formatRatio } from '../report/format.ts'
import { latencyDoubt, latencyRatio, timed } from '../report/judge.ts'
import { formatMetric, formatMetricInterval, mainFigure, metricTitle } from '../report/metrics.ts'
import type { Variant } from '../report/report.ts'
import { type MeasuredColumn, measuredTable } from '../report/sections/measured-table.ts'
import type { ComparedModel, Comparison } from './comparison.ts'

type ModelColumn = MeasuredColumn<ComparedModel>

/** How good and how fast the models are, then what of them is stored and computed; sizes are also told over the first model's. */
export function modelsTables({ runs, models }: Comparison): Table[] {
  const [reference] = models
  const cost = (
    title: string,
    format: (value: number) => string,
    of: (variant: Variant) => number | null | undefined,
  ): ModelColumn => ({
    title,
    align: 'right',
    cell: ({ variant }) => {
      const [own, first] = [of(variant), of(reference!.variant)]
      if (own === null || own === undefined) return undefined
      return {
        text: format(own),
        ...(variant !== reference!.variant && first && { note: formatRatio(own / first) }),
      }
    },
  })
  const retained = (of: (kept: NonNullable<Variant['retention']>) => number) => ({
    cell: ({ variant }: ComparedModel): Cell | undefined =>
      variant.retention && variant.from !== null
        ? { text: formatPercent(of(variant.retention)) }
        : undefined,
  })
  const providers = [
    ...new Set(models.flatMap(({ variant }) => Object.keys(variant.providers))),
  ].filter((provider) => models.some(({ variant }) => timed(variant, provider)))
  const name: ModelColumn = {
    title: 'Model',
    align: 'left',
    cell: (model) => ({ text: model.id, series: models.indexOf(model), ...noteOf(model) }),
  }
  const size = cost('Size', formatBytes, ({ sizeBytes }) => sizeBytes)
  const measured = measuredTable('What was measured', models, [
    name,
    ...(new Set(models.flatMap((model) => metricOf(model) ?? [])).size > 1 ? [figureColumn] : []),
    {
      title: [...new Set(models.map(titleOf))].filter(Boolean).join(', ') || 'Figure',
      align: 'right',
      cell: ({ variant }) => {
        if (variant.failed !== undefined) return { text: 'failed', mark: 'bad' }
        const main = variant.accuracy && mainFigure(variant.accuracy)
        return main
          ? {
              text: formatMetric(main.metric, main.value),
              note: formatMetricInterval(main.metric, main.interval),
            }
          : undefined
      },
    },
    { title: 'Retention', align: 'right', ...retained(({ accuracy }) => accuracy) },
    { title: 'Agreement', align: 'right', ...retained(({ agreement }) => agreement) },
    size,
    ...providers.map((provider) => latencyColumn(provider, runs.length > 1)),
  ])
  const stored = measuredTable('What is stored and computed', models, [
    name,
    size,
    cost('Gzip', formatBytes, ({ gzipBytes }) => gzipBytes),
    cost('Brotli', formatBytes, ({ brotliBytes }) => brotliBytes),
    cost('Parameters', formatCount, ({ parameters }) => parameters),
    cost('MACs', formatCount, ({ macs }) => macs),
  ])
  return [measured, stored]
}

/** Which figure it is, where models have several. */
const figureColumn: ModelColumn = {
  title: 'Figure',
  align: 'left',
  cell: (model) => textCell(titleOf(model)),
}

const metricOf = ({ variant }: ComparedModel): string | undefined =>
  variant.accuracy ? mainFigure(variant.accuracy).metric : undefined
const titleOf = (model: ComparedModel): string | undefined => {
  const metric = metricOf(model)
  return metric === undefined ? undefined : metricTitle(metric)
}
const textCell = (text: string | undefined): Cell | undefined =>
  text === undefined ? undefined : { text }

const noteOf = ({ run, variant }: ComparedModel): Pick<Cell, 'note'> => {
  if (!run) return { note: 'the file alone' }
  return variant.from === null
    ? { note: 'teacher' }
    : { note: `${variant.stage} from ${variant.from}` }
}

/** Of one run times stand beside each other; of several only what each is over its own teacher's. */
const latencyColumn = (provider: string, several: boolean): ModelColumn => ({
  title: provider,
  align: 'right',
  unit: several ? 'over its teacher’s' : 'p50 latency',
  cell: ({ run, variant }) => {
    const own = timed(variant, provider)
    if (!own || !run || own.software) return undefined
    const isTeacher = variant === run.report.teacher
    const ratio = isTeacher ? 1 : latencyRatio(variant, run.report.teacher, provider)
    const doubt = isTeacher ? undefined : latencyDoubt(variant, provider)
    const relative = ratio === undefined ? undefined : formatRatio(ratio)
    if (several)
      return relative === undefined ? undefined : { text: relative, ...(doubt && { note: doubt }) }
    const notes = isTeacher ? [] : [relative, doubt].filter((part) => part !== undefined)
    return { text: formatMs(own.p50Ms), ...(notes.length > 0 && { note: notes.join(', ') }) }
  },
})
