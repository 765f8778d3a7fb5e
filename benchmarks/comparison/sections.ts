// The sections of a comparison: what was compared, every model in one table, and how much two of them differ.
import type { Block } from '../report/blocks.ts'
import { formatBytes } from '../report/format.ts'
import { counted } from '../report/judge.ts'
import {
  formatMetric,
  formatMetricInterval,
  formatTick,
  mainFigure,
  metricTitle,
} from '../report/metrics.ts'
import { missing } from '../report/sections/cells.ts'
import { mostNames } from '../report/sections/tradeoffs.ts'
import type { BuiltSection } from '../report/sections.ts'
import { paretoFront } from '../statistics.ts'
import { type ComparedModel, type Comparison, isSameTest } from './comparison.ts'
import { differences } from './differences.ts'
import { caveats, comparedFacts } from './facts.ts'
import { modelsTables } from './models-table.ts'

/** The sections that have something to say, in reading order. */
export function comparisonSections(comparison: Comparison): BuiltSection[] {
  const section = (id: string, title: string, blocks: readonly Block[], intro?: string) =>
    blocks.length > 0 ? [{ id, title, intro, blocks }] : []
  return [
    ...section('verdict', 'What is compared', overview(comparison)),
    ...section(
      'models',
      'Models',
      modelsTables(comparison),
      'Retention, agreement and latency are over the teacher of the same run, in which they were measured in turn. The quieter line of a figure is its 95 % interval.',
    ),
    ...section(
      'differences',
      'Differences',
      differences(comparison),
      'How good each model is, compared with the first one. Where a run compared the answers of both, sample by sample, that is told; other shares are tested as if their samples were independent, which finds less.',
    ),
    ...section(
      'tradeoffs',
      'Quality against size',
      tradeoffs(comparison),
      'Up and to the left is better. Filled points lie on the Pareto front. Bars are 95 % intervals.',
    ),
    ...section('runs', 'Runs', runsTable(comparison), '≠ marks what differs.'),
  ]
}

function overview({ runs, models }: Comparison): Block[] {
  const unmeasured = models.filter(({ run }) => !run).length
  const judged = models.filter(({ variant }) => variant.accuracy)
  const metric = judged[0] && mainFigure(judged[0].variant.accuracy!).metric
  const alike = metric !== undefined && judged.length > 1 && comparable(judged)
  const best = alike
    ? most(judged, ({ variant }) => mainFigure(variant.accuracy!).value)
    : undefined
  const smallest = most(models, ({ variant }) => -variant.sizeBytes)!
  const of = best && mainFigure(best.variant.accuracy!)
  const sentence = [
    `${counted(models.length, 'model')} of ${counted(runs.length, 'run')}${unmeasured > 0 ? ` and ${counted(unmeasured, 'file')}` : ''}`,
    `the smallest is ${smallest.id} with ${formatBytes(smallest.variant.sizeBytes)}`,
    ...(best && of
      ? [`the best ${best.id} with ${metricTitle(of.metric)} ${formatMetric(of.metric, of.value)}`]
      : []),
  ].join('; ')
  const said = [
    ...caveats(runs),
    ...(runs.length > 1
      ? [
          'latencies of different runs are not divided by each other: measure them together with --measure',
        ]
      : []),
    ...(unmeasured > 0
      ? ['of files alone their size is known, and nothing else was measured: --measure runs them']
      : []),
  ]
  return [
    { kind: 'statement', text: `${sentence}.` },
    ...(said.length > 0
      ? [
          {
            kind: 'list',
            items: said.map((line) => `${line[0]!.toUpperCase()}${line.slice(1)}.`),
          } as const,
        ]
      : []),
  ]
}

/** Whether the figures of all of these come from the same samples. */
const comparable = (models: readonly ComparedModel[]): boolean =>
  models.every(
    ({ run, variant }) =>
      run !== undefined &&
      isSameTest(run.report, models[0]!.run!.report) &&
      mainFigure(variant.accuracy!).metric === mainFigure(models[0]!.variant.accuracy!).metric,
  )

/** The first of those of which a number is largest. */
const most = <Item>(items: readonly Item[], of: (item: Item) => number): Item | undefined =>
  items.reduce<Item | undefined>(
    (best, item) => (best === undefined || of(item) > of(best) ? item : best),
    undefined,
  )

function tradeoffs({ models }: Comparison): Block[] {
  const judged = models.filter(({ variant }) => variant.accuracy && variant.failed === undefined)
  if (judged.length < 2 || !comparable(judged)) return []
  const isCrowded = judged.length > mostNames
  const { metric } = mainFigure(judged[0]!.variant.accuracy!)
  const points = judged.map((model) => ({ model, main: mainFigure(model.variant.accuracy!) }))
  const front = new Set(
    paretoFront(
      points.map(({ model, main }) => ({
        ...{ id: model.id, value: main.value, cost: model.variant.sizeBytes },
      })),
    ),
  )
  return [
    {
      kind: 'plot',
      caption: `${metricTitle(metric)} against the size of the file`,
      spec: {
        plot: 'scatter',
        names: isCrowded ? 'with-room' : 'all',
        x: { label: 'Size', format: formatBytes, scale: 'log' },
        y: {
          label: metricTitle(metric),
          format: (value) => formatTick(metric, value),
          scale: 'linear',
        },
        points: points.map(({ model, main }) => ({
          label: model.id,
          facts: [
            { name: metricTitle(metric), value: formatMetric(metric, main.value) },
            { name: '95 % interval', value: formatMetricInterval(metric, main.interval) },
            { name: 'Size', value: formatBytes(model.variant.sizeBytes) },
          ],
          series: models.indexOf(model),
          x: model.variant.sizeBytes,
          y: main.value,
          low: main.interval[0],
          high: main.interval[1],
          onFront: front.has(model.id),
        })),
      },
      ...(isCrowded && {
        legend: judged.map((model) => ({ label: model.id, series: models.indexOf(model) })),
      }),
    },
  ]
}

function runsTable({ runs }: Comparison): Block[] {
  if (runs.length === 0) return []
  return [
    {
      kind: 'table',
      caption: 'What was measured with what',
      columns: [
        { title: '', align: 'left' },
        ...runs.map(({ name }) => ({ title: name, align: 'left' }) as const),
      ],
      rows: [
        [{ text: 'Report' }, ...runs.map(({ path }) => ({ text: path }))],
        ...comparedFacts(runs).map(({ title, values, differs }) => [
          { text: differs ? `≠ ${title}` : title },
          ...values.map((text) => (text ? { text } : missing)),
        ]),
      ],
    },
  ]
}
