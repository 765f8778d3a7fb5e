// Which of the teacher's right answers are kept, class by class.
import type { Block, Cell, Dot } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import type { Report, Variant } from '../report.ts'
import { legendOf, missing, seriesOf } from './cells.ts'

/** More rows than this do not fit on a screen; the classes that lost most are shown then. */
const shownClasses = 20

/** A plot and a table of the degree of knowledge transfer by class; nothing where there are no classes. */
export function transferByClass(report: Report, measured: readonly Variant[]): Block[] {
  const variants = measured.filter(
    ({ knowledge, from }) => from !== null && degrees(knowledge).length > 0,
  )
  if (variants.length === 0) return []
  const names = [
    ...new Set(variants.flatMap(({ knowledge }) => degrees(knowledge).map(([name]) => name))),
  ]
  const order = new Map((report.classes ?? names).map((name, index) => [name, index]))
  const worst = new Map<string, number>()
  for (const { knowledge } of variants)
    for (const [name, value] of degrees(knowledge))
      worst.set(name, Math.min(worst.get(name) ?? 1, value))
  const shown = [...names]
    .sort((a, b) => (worst.get(a) ?? 1) - (worst.get(b) ?? 1))
    .slice(0, shownClasses)
    .sort((a, b) => (order.get(a) ?? order.size) - (order.get(b) ?? order.size))
  const kept = new Set(shown)
  const which =
    shown.length < names.length
      ? `the ${shown.length} of ${names.length} classes that lost most`
      : `all ${names.length} classes`
  const dots = variants.flatMap((variant): Dot[] =>
    degrees(variant.knowledge)
      .filter(([name]) => kept.has(name))
      .map(([name, value]) => ({
        row: name,
        title: `${variant.id}, class ${name}: ${formatPercent(value)}`,
        series: seriesOf(report, variant),
        x: value,
      })),
  )
  return [
    {
      kind: 'plot',
      caption: `The teacher's right answers that are kept, ${which}`,
      spec: {
        plot: 'dots',
        x: {
          label: "Share of the teacher's right answers",
          format: (value) => formatPercent(value, 1),
          scale: 'linear',
        },
        rows: shown,
        dots,
        reference: 1,
      },
      legend: legendOf(report, variants),
    },
    {
      kind: 'table',
      caption:
        "The teacher's right answers that are kept, by class; the quieter line is the retention of the class's accuracy",
      columns: [
        { title: 'Class', align: 'left' },
        ...variants.map(({ id }) => ({ title: id, align: 'right' }) as const),
      ],
      rows: shown.map((name) => [{ text: name }, ...variants.map((one) => cellOf(one, name))]),
    },
  ]
}

function cellOf({ knowledge, retention }: Variant, name: string): Cell {
  const found = degrees(knowledge).find(([key]) => key === name)
  if (!found) return missing
  const perClass = retention?.perClass ?? {}
  // A name from outside must not find what every object inherits.
  const ratio = Object.hasOwn(perClass, name) ? perClass[name] : undefined
  return {
    text: formatPercent(found[1]),
    ...(typeof ratio === 'number' && { note: formatPercent(ratio) }),
  }
}

const degrees = (knowledge: Variant['knowledge']): [name: string, value: number][] =>
  Object.entries(knowledge?.transfer?.perClass ?? {}).flatMap(([name, { right }]) =>
    right === null ? [] : [[name, right]],
  )
