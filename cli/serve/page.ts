// The page of a run that goes on: its steps, then what the report knows so far.
import type { Block, Curve } from '../../benchmarks/report/blocks.ts'
import { renderPage, reportPage } from '../../benchmarks/report/html.ts'
import { formatMetric, formatTick, metricTitle } from '../../benchmarks/report/metrics.ts'
import type { Report } from '../../benchmarks/report/report.ts'
import { type BuiltSection, buildSections } from '../../benchmarks/report/sections.ts'
import type { Row } from '../board.ts'
import { pageScript } from './script.ts'

/** How good a step was after each epoch so far. */
export interface Course {
  readonly label: string
  readonly metric: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** What is known of a run. */
export interface Known {
  readonly name: string
  readonly rows: readonly Row[]
  readonly courses: readonly Course[]
  /** Why there will be no more; undefined while it goes on. */
  readonly failed?: string | undefined
  /** What was measured so far. */
  readonly report?: Report | undefined
}

/** Conclusions wait until everything has been measured. */
const conclusions: ReadonlySet<string> = new Set(['verdict', 'gates', 'advice'])

/** Renders the page of a run. */
export function livePage(known: Known): string {
  const { name, report } = known
  const progress = progressSection(known)
  const page = report
    ? reportPage(report, [
        progress,
        ...buildSections(report).filter(({ id }) => !conclusions.has(id)),
      ])
    : { facts: [], sections: [progress, ...coursesSections(known.courses)] }
  return renderPage({ ...page, name, product: 'Condense run', script: pageScript })
}

/** The steps of a run, and how far they are. */
export function progressSection({ rows, failed, report }: Omit<Known, 'name'>): BuiltSection {
  const cells = rows.map((row) => [
    { text: row.label },
    { ...states[row.state](row) },
    { text: row.parts.map(({ long }) => long).join(' · ') },
  ])
  const statement: Block[] = failed === undefined ? [] : [{ kind: 'statement', text: failed }]
  return {
    id: 'progress',
    title: 'Progress',
    intro: report
      ? 'What follows is what has been measured so far; conclusions are drawn when all is.'
      : 'Figures of the variants come with the benchmark.',
    blocks: [
      ...statement,
      {
        kind: 'table',
        caption: 'Steps',
        columns: [
          { title: 'Step', align: 'left' },
          { title: 'State', align: 'left' },
          { title: 'What is known', align: 'left' },
        ],
        rows: cells,
      },
    ],
  }
}

const states = {
  waiting: () => ({ text: 'waits', mark: 'muted' }),
  running: ({ done }) => ({ text: `runs, ${Math.round(done * 100)} %` }),
  done: () => ({ text: '✓ done' }),
  stopped: () => ({ text: '✗ stopped', mark: 'bad' }),
} as const satisfies Record<Row['state'], (row: Row) => Omit<BuiltCell, 'series'>>

type BuiltCell = Extract<Block, { kind: 'table' }>['rows'][number][number]

/** The curves that the section of the report will have, where it stands already. */
function coursesSections(courses: readonly Course[]): BuiltSection[] {
  const [first] = courses
  if (!first) return []
  const curves = courses.map(
    ({ label, points }, series): Curve => ({ label, series, dashed: false, points }),
  )
  const last = courses.map(({ label, metric, points }) => {
    const { x, y } = points.at(-1)!
    return `${label}: ${metricTitle(metric)} ${formatMetric(metric, y)} after epoch ${x}`
  })
  return [
    {
      id: 'training',
      title: 'Training',
      intro: 'How good it was on the held-out validation split, so far.',
      blocks: [
        {
          kind: 'plot',
          caption: `${metricTitle(first.metric)} on the validation split by epoch`,
          spec: {
            plot: 'curves',
            x: { label: 'Epoch', format: String, scale: 'whole' },
            y: {
              label: metricTitle(first.metric),
              format: (value) => formatTick(first.metric, value),
              scale: 'linear',
            },
            curves,
          },
          legend: courses.map(({ label }, series) => ({ label, series })),
        },
        { kind: 'list', items: last },
      ],
    },
  ]
}
