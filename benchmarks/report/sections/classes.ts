// Retention class by class: an average can hide a class that a variant no longer knows.
import type { Block, Dot } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import type { Report, Variant } from '../report.ts'
import { legendOf, seriesOf, variantCell } from './cells.ts'

/** More rows than this do not fit on a screen; the classes that lost most are shown then. */
const shownClasses = 20

/** Plots the retention of every class and names the worst of each variant. */
export function classes(report: Report): Block[] {
  const measured = report.variants.filter(
    (variant) => variant.failed === undefined && retentions(variant).length > 0,
  )
  if (measured.length === 0) return []
  const names = [
    ...new Set(measured.flatMap((variant) => retentions(variant).map(([name]) => name))),
  ]
  const order = new Map((report.classes ?? names).map((name, index) => [name, index]))
  const placeOf = (name: string) => order.get(name) ?? order.size
  const worstOf = new Map(names.map((name) => [name, worst(measured, name)]))
  const shown = [...names]
    .sort((a, b) => (worstOf.get(a) ?? 1) - (worstOf.get(b) ?? 1))
    .slice(0, shownClasses)
    .sort((a, b) => placeOf(a) - placeOf(b))
  const kept = new Set(shown)
  const dots = measured.flatMap((variant): Dot[] =>
    retentions(variant)
      .filter(([name]) => kept.has(name))
      .map(([name, value]) => ({
        row: name,
        title: `${variant.id}, class ${name}: ${formatPercent(value)}`,
        series: seriesOf(report, variant),
        x: value,
      })),
  )
  const which =
    shown.length < names.length
      ? `the ${shown.length} of ${names.length} classes that lost most`
      : `all ${names.length} classes`
  return [
    {
      kind: 'plot',
      caption: `Retention of ${which}; the line is the teacher`,
      spec: {
        plot: 'dots',
        x: {
          label: "Share of the teacher's accuracy",
          format: (value) => formatPercent(value, 1),
          scale: 'linear',
        },
        rows: shown,
        dots,
        reference: 1,
      },
      legend: legendOf(report, measured),
    },
    table(report, measured),
  ]
}

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

function worst(variants: readonly Variant[], name: string): number {
  return Math.min(
    ...variants.flatMap((variant) =>
      retentions(variant).flatMap(([key, value]) => (key === name ? [value] : [])),
    ),
  )
}

const retentions = ({ retention }: Variant): [name: string, value: number][] =>
  Object.entries(retention?.perClass ?? {}).flatMap(([name, value]) =>
    value === null ? [] : [[name, value]],
  )
