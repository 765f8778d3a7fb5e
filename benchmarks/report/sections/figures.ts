// Every figure of the task, variant by variant: the main one says whether a model is good, the others how.
import type { Block, Cell } from '../blocks.ts'
import { everyVariant } from '../judge.ts'
import { formatMetric, isError, metricTitle } from '../metrics.ts'
import type { Report, Variant } from '../report.ts'
import { missing } from './cells.ts'

type Figures = Readonly<Record<string, number | null>>

/** One table of what was measured on the test split, and one of further likeness to the teacher. */
export function figuresSection(report: Report): Block[] {
  const quality = everyVariant(report).filter(({ accuracy }) => accuracy?.metrics)
  const likeness = report.variants.filter(({ retention }) => retention?.measures)
  return [
    ...table('On the test split', quality, ({ accuracy }) => accuracy?.metrics ?? {}),
    ...table('Likeness to the teacher', likeness, ({ retention }) => retention?.measures ?? {}),
  ]
}

/** A row a figure and a column a variant; none where there is no figure. */
function table(
  caption: string,
  variants: readonly Variant[],
  figuresOf: (variant: Variant) => Figures,
): Block[] {
  const names = [...new Set(variants.flatMap((variant) => Object.keys(figuresOf(variant))))]
  if (names.length === 0) return []
  const cell = (variant: Variant, name: string): Cell => {
    const figures = figuresOf(variant)
    // A name from outside must not find what every object inherits.
    const value = Object.hasOwn(figures, name) ? figures[name] : undefined
    return typeof value === 'number' ? { text: formatMetric(name, value) } : missing
  }
  return [
    {
      kind: 'table',
      caption,
      columns: [
        { title: 'Figure', align: 'left' },
        ...variants.map(({ id }) => ({ title: id, align: 'right' }) as const),
      ],
      rows: names.map((name) => [
        { text: isError(name) ? `${metricTitle(name)} ↓` : metricTitle(name) },
        ...variants.map((variant) => cell(variant, name)),
      ]),
    },
  ]
}
