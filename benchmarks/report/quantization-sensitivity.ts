// A page on what quantization costs where: a dot for each layer quantized alone, and for all but it.
import type { Block, Dot } from './blocks.ts'
import { formatNumber } from './format.ts'
import { renderPage } from './html.ts'
import { formatMetric, metricTitle } from './metrics.ts'
import type { BuiltSection } from './sections.ts'

/** What became of a model's answers. */
interface Damage {
  /** Signal over noise, dB; 200 where there is no noise. */
  readonly sqnrDb: number
  readonly cosine: number
  readonly score: number | null
  readonly divergence: number | null
}

/** What is shown: the layers of one model, each quantized alone and left float alone. */
export interface QuantizationSensitivityReport {
  readonly name: string
  readonly scheme: string
  readonly createdAt: string
  readonly host: { readonly onnxruntime: string; readonly node: string }
  readonly source: string
  readonly provider: string
  readonly metric: string
  readonly score: number
  readonly samples: number
  readonly split: string
  readonly whole: Damage
  readonly rows: readonly {
    readonly name: string
    readonly opType: string
    readonly alone: Damage
    readonly off: Damage
  }[]
}

/** Above this nothing can be heard, and below it nothing is left: where plots end, dB. */
const shownDb = [0, 100] as const

/** Rows of one plot at most. */
const mostRows = 40

/** Signal over noise as people read it. */
export const formatSqnr = (sqnrDb: number): string =>
  sqnrDb >= 200 ? 'no noise' : sqnrDb <= -200 ? 'noise' : sqnrDb.toFixed(1)

/** The rows by the noise that they make alone, most first. */
export const rankedRows = ({ rows }: QuantizationSensitivityReport) =>
  [...rows].sort((a, b) => a.alone.sqnrDb - b.alone.sqnrDb || b.off.sqnrDb - a.off.sqnrDb)

/** Renders the measurements as one HTML page that opens from disk. */
export function renderQuantizationSensitivity(report: QuantizationSensitivityReport): string {
  const { scheme, samples, split, source, host, createdAt, provider } = report
  const sections: BuiltSection[] = [
    {
      id: 'layers',
      title: 'What quantization costs, layer by layer',
      intro:
        'Alone: this layer is quantized and all others are float; where that is low, it had better stay float. Without: all are quantized but this one; where that is far above the line, it is to blame.',
      blocks: [...plots(report), table(report)],
    },
  ]
  return renderPage({
    product: 'Condense sensitivity',
    name: report.name,
    facts: [`${scheme} on ${provider}`, `${samples} ${split} samples of ${source}`],
    sections,
    measured: { at: createdAt, ...host },
    json: 'sensitivity.json',
  })
}

function plots(report: QuantizationSensitivityReport): Block[] {
  const within = (db: number) => Math.min(shownDb[1], Math.max(shownDb[0], db))
  const rows = rankedRows(report)
  const blocks: Block[] = []
  for (let start = 0; start < rows.length; start += mostRows) {
    const some = rows.slice(start, start + mostRows)
    const dots = some.flatMap(({ name, alone, off }): Dot[] => [
      {
        row: name,
        title: `${name} alone: ${formatSqnr(alone.sqnrDb)}`,
        series: 1,
        x: within(alone.sqnrDb),
      },
      {
        row: name,
        title: `all but ${name}: ${formatSqnr(off.sqnrDb)}`,
        series: 2,
        x: within(off.sqnrDb),
      },
    ])
    const of = rows.length > mostRows ? `, layers ${start + 1} to ${start + some.length}` : ''
    blocks.push({
      kind: 'plot',
      caption: `Signal over noise of the outputs, dB${of}; the line is everything quantized`,
      spec: {
        plot: 'dots',
        x: { label: 'SQNR, dB', format: (at) => at.toFixed(0), scale: 'linear' },
        rows: some.map(({ name }) => name),
        dots,
        reference: within(report.whole.sqnrDb),
      },
      legend: [
        { label: 'alone', series: 1 },
        { label: 'all but it', series: 2 },
      ],
    })
  }
  return blocks
}

function table(report: QuantizationSensitivityReport): Block {
  const { metric, whole } = report
  const score = (value: number | null) => (value === null ? '–' : formatMetric(metric, value))
  const nats = (value: number | null) => (value === null ? '–' : formatNumber(value))
  const cells = ({ sqnrDb, divergence, score: left }: Damage) => [
    { text: formatSqnr(sqnrDb) },
    { text: nats(divergence) },
    { text: score(left) },
  ]
  const title = metricTitle(metric)
  return {
    kind: 'table',
    caption: `Measurements; everything quantized: ${formatSqnr(whole.sqnrDb)} dB, ${title} ${score(whole.score)} of ${score(report.score)}`,
    columns: [
      { title: 'Layer', align: 'left' },
      { title: 'Alone', align: 'right', unit: 'dB' },
      { title: 'Divergence', align: 'right', unit: 'nats' },
      { title, align: 'right' },
      { title: 'Without', align: 'right', unit: 'dB' },
      { title: 'Divergence', align: 'right', unit: 'nats' },
      { title, align: 'right' },
    ],
    rows: rankedRows(report).map(({ name, opType, alone, off }) => [
      { text: name, note: opType },
      ...cells(alone),
      ...cells(off),
    ]),
  }
}
