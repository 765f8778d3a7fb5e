// Which of the teacher's right answers are kept, class by class.
import type { Block, Cell } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import type { Report, Variant } from '../report.ts'
import { missing } from './cells.ts'
import { classPlot } from './class-plot.ts'

/** A plot and a table of the degree of knowledge transfer by class; nothing where there are no classes. */
export function transferByClass(report: Report, measured: readonly Variant[]): Block[] {
  const variants = measured.filter(
    ({ knowledge, from }) => from !== null && degrees(knowledge).length > 0,
  )
  if (variants.length === 0) return []
  const { plot, shown } = classPlot(report, {
    variants,
    sharesOf: ({ knowledge }) => degrees(knowledge),
    caption: (which) => `The teacher's right answers that are kept, ${which}`,
    label: "Share of the teacher's right answers",
  })
  return [
    plot,
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
