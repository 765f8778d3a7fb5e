// A page on what a model loses where: curves of the main figure and of the divergence by what is gone of each layer.
import type { Block, Curve } from './blocks.ts'
import { formatNumber, formatPercent } from './format.ts'
import { renderPage } from './html.ts'
import { formatMetric, formatTick, metricTitle } from './metrics.ts'
import { palette } from './plots/palette.ts'
import type { BuiltSection } from './sections.ts'

/** What is shown: the layers of one model, each with what was measured at several shares. */
export interface SensitivityReport {
  readonly name: string
  readonly structure: string
  readonly criterion: string
  readonly createdAt: string
  readonly host: { readonly onnxruntime: string; readonly node: string }
  readonly source: string
  readonly metric: string
  readonly score: number
  readonly samples: number
  readonly split: string
  readonly rows: readonly {
    readonly name: string
    readonly size: number
    readonly points: readonly {
      /** Share of the layer that is gone, 0..1. */
      readonly share: number
      readonly gone: number
      readonly score: number
      readonly divergence: number | null
    }[]
  }[]
}

/** Lines of one plot at most: as many as there are colours. */
const mostLines = palette.length

/** Renders the measurements as one HTML page that opens from disk. */
export function renderSensitivity(report: SensitivityReport): string {
  const { structure, criterion, samples, split, source, host, createdAt } = report
  const sections: BuiltSection[] = [
    {
      id: 'layers',
      title: 'What pruning costs, layer by layer',
      intro:
        'One layer alone is pruned, nothing is trained. Where a line falls early, little can go.',
      blocks: [...plots(report), table(report)],
    },
  ]
  return renderPage({
    product: 'Condense sensitivity',
    name: report.name,
    facts: [`${structure} by ${criterion}`, `${samples} ${split} samples of ${source}`],
    sections,
    measured: { at: createdAt, ...host },
    json: 'sensitivity.json',
  })
}

/** The rows that lose most first. */
const ranked = ({ rows, score }: SensitivityReport) =>
  rows
    .filter(({ points }) => points.length > 0)
    .map((row) => ({ row, worst: Math.min(score, ...row.points.map((point) => point.score)) }))
    .sort((a, b) => a.worst - b.worst)
    .map(({ row }) => row)

function plots(report: SensitivityReport): Block[] {
  const { metric, score } = report
  const rows = ranked(report)
  const x = {
    label: 'Share that is gone',
    format: (at: number) => formatPercent(at, 0),
    scale: 'linear',
  } as const
  const hasDivergence = rows.some(({ points }) =>
    points.some(({ divergence }) => divergence !== null),
  )
  const blocks: Block[] = []
  for (let start = 0; start < rows.length; start += mostLines) {
    const some = rows.slice(start, start + mostLines)
    const legend = some.map(({ name }, index) => ({ label: name, series: index + 1 }))
    const of = rows.length > mostLines ? `, layers ${start + 1} to ${start + some.length}` : ''
    const curves = (value: (point: (typeof some)[number]['points'][number]) => number | null) =>
      some.map(
        ({ name, points }, index): Curve => ({
          label: name,
          series: index + 1,
          dashed: false,
          points: points.flatMap((point) => {
            const y = value(point)
            return y === null ? [] : [{ x: point.share, y }]
          }),
        }),
      )
    blocks.push({
      kind: 'plot',
      caption: `${metricTitle(metric)} by share${of}; ${formatMetric(metric, score)} with nothing gone`,
      spec: {
        plot: 'curves',
        x,
        y: { label: metricTitle(metric), format: (at) => formatTick(metric, at), scale: 'linear' },
        curves: curves((point) => point.score),
      },
      legend,
    })
    if (hasDivergence)
      blocks.push({
        kind: 'plot',
        caption: `Divergence from the unpruned model, nats${of}`,
        spec: {
          plot: 'curves',
          x,
          y: { label: 'KL divergence', format: formatNumber, scale: 'linear' },
          curves: curves((point) => point.divergence),
        },
        legend,
      })
  }
  return blocks
}

function table(report: SensitivityReport): Block {
  const { metric } = report
  const rows = ranked(report)
  return {
    kind: 'table',
    caption: 'Measurements',
    columns: [
      { title: 'Layer', align: 'left' },
      { title: 'Gone', align: 'right' },
      { title: metricTitle(metric), align: 'right' },
      { title: 'Divergence', align: 'right', unit: 'nats' },
    ],
    rows: rows.flatMap(({ name, size, points }) =>
      points.map(({ gone, share, score, divergence }) => [
        { text: name },
        { text: `${gone} of ${size}`, note: formatPercent(share, 1) },
        { text: formatMetric(metric, score) },
        { text: divergence === null ? '–' : formatNumber(divergence) },
      ]),
    ),
  }
}
