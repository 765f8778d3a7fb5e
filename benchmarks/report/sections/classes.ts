// Retention class by class: an average can hide a class that a variant no longer knows.
import type { Block, Cell } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import { headline, mainName } from '../judge.ts'
import { formatMetric, metricTitle } from '../metrics.ts'
import type { Report, Variant } from '../report.ts'
import { missing, variantCell } from './cells.ts'
import { classPlot } from './class-plot.ts'

/** Plots the retention of every class and names the worst of each variant. */
export function classes(report: Report): Block[] {
  const measured = report.variants.filter(
    (variant) => variant.failed === undefined && retentions(variant).length > 0,
  )
  if (measured.length === 0) return []
  const { plot, shown } = classPlot(report, {
    variants: measured,
    sharesOf: retentions,
    caption: (which) => `Retention of ${which}; the line is the teacher`,
    label: `Share of the teacher's ${mainName(report)}`,
  })
  return [plot, table(report, measured), ...figuresByClass(report, shown)]
}

/** Further figures of the variant that the verdict speaks of, with the teacher's below, for the classes that are shown. */
function figuresByClass(report: Report, shown: readonly string[]): Block[] {
  const variant = headline(report)
  const own = Object.entries(variant?.accuracy?.classMetrics ?? {})
  if (!variant || own.length === 0) return []
  const theirs = new Map(Object.entries(report.teacher.accuracy?.classMetrics ?? {}))
  const cell = (metric: string, name: string, figures: Figures): Cell => {
    const value = at(figures, name)
    const teacher = at(theirs.get(metric), name)
    if (value === undefined) return missing
    return {
      text: formatMetric(metric, value),
      ...(teacher !== undefined && { note: formatMetric(metric, teacher) }),
    }
  }
  return [
    {
      kind: 'table',
      caption: `${variant.id} by class, the quieter line is the teacher`,
      columns: [
        { title: 'Class', align: 'left' },
        ...own.map(([metric]) => ({ title: metricTitle(metric), align: 'right' }) as const),
      ],
      rows: shown.map((name) => [
        { text: name },
        ...own.map(([metric, figures]) => cell(metric, name, figures)),
      ]),
    },
  ]
}

type Figures = Readonly<Record<string, number | null>>

// A name from outside must not find what every object inherits.
const at = (figures: Figures | undefined, name: string): number | undefined =>
  figures && Object.hasOwn(figures, name) ? (figures[name] ?? undefined) : undefined

function table(report: Report, measured: readonly Variant[]): Block {
  return {
    kind: 'table',
    caption: 'The class that lost most',
    columns: [
      { title: 'Variant', align: 'left' },
      { title: 'Worst class', align: 'left' },
      { title: 'Its retention', align: 'right' },
      { title: 'Classes below the teacher', align: 'right' },
    ],
    rows: measured.map((variant) => {
      const all = retentions(variant)
      const [name, value] = all.reduce((a, b) => (b[1] < a[1] ? b : a))
      const below = all.filter(([, retention]) => retention < 1).length
      return [
        variantCell(report, variant),
        { text: name },
        { text: formatPercent(value) },
        { text: `${below} of ${all.length}` },
      ]
    }),
  }
}

const retentions = ({ retention }: Variant): [name: string, value: number][] =>
  Object.entries(retention?.perClass ?? {}).flatMap(([name, value]) =>
    value === null ? [] : [[name, value]],
  )
