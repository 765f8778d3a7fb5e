// The trend over nights: a page, a summary for continuous integration, and the numbers of the last night.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Block, Cell, Table, TrendSpec } from '../../benchmarks/report/blocks.ts'
import { formatProbability } from '../../benchmarks/report/format.ts'
import { renderPage } from '../../benchmarks/report/html.ts'
import { counted } from '../../benchmarks/report/judge.ts'
import { renderPageMarkdown } from '../../benchmarks/report/markdown.ts'
import type { BuiltSection } from '../../benchmarks/report/sections.ts'
import type { Figure, Series } from './judge.ts'
import { measureOf } from './measures.ts'
import { isFlagged, isRegression, type KeptNight, type RecipeNight } from './night.ts'

/** Where the nights' reports are. */
export interface Places {
  /** The suite's folder. */
  readonly folder: string
  /** The same, relative to the page; empty where it is beside it. */
  readonly reports: string
}

/** The files of the trend by name. */
export interface RenderedTrend {
  readonly 'trend.html': string
  readonly 'trend.md': string
  readonly 'trend.json': string
}

/** Nights of the last table, besides those on which something was flagged. */
const recentNights = 30
const mostRows = 100

/** Renders the trend of a suite over its nights, at least one, oldest first; links to reports that are there. */
export function renderTrend(
  name: string,
  nights: readonly KeptNight[],
  places: Places,
): RenderedTrend {
  const last = nights.at(-1)
  if (!last) throw new Error('internal: a trend of no nights')
  const link = linkTo(places)
  const recipes = [...new Set(last.recipes.map(({ id }) => id))]
  const series = seriesOf(nights)
  const outcome: BuiltSection = {
    id: 'verdict',
    title: `The night of ${dateOf(last)}`,
    intro: undefined,
    blocks: outcomeBlocks(last, link),
  }
  const method: BuiltSection = {
    id: 'method',
    title: 'How a change is told from noise',
    intro: undefined,
    blocks: [{ kind: 'paragraph', text: methodText }],
  }
  const nightsSection: BuiltSection = {
    id: 'nights',
    title: 'Nights',
    intro: 'The last ones, and the last ones on which something was flagged; newest first.',
    blocks: [nightsTable(nights, link)],
  }
  const trends = recipes.map(
    (recipe, index): BuiltSection => ({
      id: `recipe-${index + 1}`,
      title: recipe,
      intro:
        'Lines are values, grey bands where noise would leave them, filled triangles regressions, hollow circles improvements, dashed lines accepted changes.',
      blocks: trendBlocks(
        series.filter((one) => one.series.recipe === recipe),
        nights,
      ),
    }),
  )
  return {
    'trend.html': renderPage({
      product: 'Condense nightly',
      name,
      facts: [counted(nights.length, 'night'), counted(recipes.length, 'recipe'), last.machine],
      sections: [outcome, ...trends, nightsSection, method],
      measured: { at: last.at, onnxruntime: last.onnxruntime, node: last.node },
      json: 'trend.json',
    }),
    'trend.md': renderPageMarkdown(
      name,
      [outcome],
      `${counted(nights.length, 'night')} so far. The trends are in trend.html, the numbers for programs in trend.json.`,
    ),
    'trend.json': `${JSON.stringify(last, undefined, 2)}\n`,
  }
}

const methodText =
  "Counts and sizes have no noise: any change beyond the threshold is flagged. Values with noise are compared with Student's prediction interval of the good nights before, its variance that between nights and that of the night's own interval; Holm's procedure over all values of a night keeps the chance of a false alarm at the share that the suite states. Latencies are ratios to the teacher, measured in the same run, and are compared with nights of the same machine and ONNX Runtime alone."

const dateOf = ({ at }: { at: string }): string => at.slice(0, 16).replace('T', ' ')

type Link = (recipe: RecipeNight | undefined) => { readonly link?: string }

/** The report of a recipe's night, where it is there: a history outlives the reports of its nights. */
const linkTo =
  ({ folder, reports }: Places): Link =>
  (recipe) => {
    const path = recipe?.report && `${recipe.report}/report.html`
    if (!path || !isPlain(path) || !existsSync(join(folder, path))) return {}
    return { link: encodeURI(reports === '' ? path : `${reports}/${path}`) }
  }

/** The history may come from anywhere: no path of it leads out of its folder. */
const isPlain = (path: string): boolean => /^nights\/[\w.-]+\/[\w.-]+\/report\.html$/.test(path)

/** What a series is called below its recipe. */
export const titleOf = ({ variant, measure, provider }: Omit<Series, 'recipe'>): string =>
  `${variant}: ${measureOf(measure).title.toLowerCase()}${provider ? `, ${provider}` : ''}`

/** What is flagged, in a sentence. */
export function outcomeOf({ recipes, accepted }: KeptNight): string {
  const all = recipes.flatMap(({ figures }) => figures)
  const count = (status: Figure['status']) =>
    all.filter((figure) => figure.status === status).length
  const sum = (of: (recipe: RecipeNight) => number) =>
    recipes.reduce((total, recipe) => total + of(recipe), 0)
  const parts = [
    { count: recipes.filter(({ failed }) => failed !== undefined).length, what: 'failed recipe' },
    { count: count('worse'), what: 'regression' },
    { count: sum(({ missing }) => missing.length), what: 'missing figure' },
    { count: sum(({ gates }) => gates.length), what: 'missed gate' },
    { count: count('better'), what: 'unexplained improvement' },
  ].flatMap(({ count: of, what }) => (of > 0 ? [counted(of, what)] : []))
  const isFirst = all.every(({ status }) => status === 'new')
  const calm = isFirst ? 'Nothing to compare with yet' : 'Nothing changed beyond noise'
  const said = parts.length > 0 ? parts.join(', ') : calm
  return `${said}; ${counted(all.length, 'figure')}${accepted === undefined ? '' : `; accepted: ${accepted}`}.`
}

function outcomeBlocks(night: KeptNight, link: Link): Block[] {
  const rows = night.recipes.flatMap((recipe) => {
    const named = (rest: Cell[]): Cell[] => [{ text: recipe.id, ...link(recipe) }, ...rest]
    const plain = (text: string, what: string): Cell[] =>
      named([{ text: what }, { text, mark: 'bad' }, { text: '' }, { text: '' }])
    return [
      ...(recipe.failed === undefined ? [] : [plain(recipe.failed, 'failed')]),
      ...recipe.gates.map((gate) => plain(gate, 'gate')),
      ...recipe.missing.map((series) => plain('missing', titleOf(series))),
      ...recipe.figures.filter(isFlagged).map((figure) => named(figureCells(figure))),
    ]
  })
  const learning = night.recipes
    .flatMap(({ figures }) => figures)
    .filter(({ status }) => status === 'learning').length
  const notes = [
    ...night.notes,
    ...(learning > 0
      ? [`${counted(learning, 'figure')} cannot be judged yet: the baseline has too few nights.`]
      : []),
  ]
  return [
    { kind: 'statement', text: outcomeOf(night) },
    ...(rows.length > 0 ? [flaggedTable(rows)] : []),
    ...(notes.length > 0 ? [{ kind: 'list', items: notes } as const] : []),
  ]
}

const flaggedTable = (rows: readonly (readonly Cell[])[]): Table => ({
  kind: 'table',
  caption: 'What is flagged',
  columns: [
    { title: 'Recipe', align: 'left' },
    { title: 'Figure', align: 'left' },
    { title: 'Tonight', align: 'left' },
    { title: 'Expected', align: 'left' },
    { title: 'p by noise', align: 'right' },
  ],
  rows,
})

function figureCells(figure: Omit<Figure, 'recipe'>): Cell[] {
  const { measure, value, status, expected, low, high, p } = figure
  const { format, noise } = measureOf(measure)
  const band =
    noise === 'none' || low === undefined || high === undefined
      ? {}
      : { note: `${format(low)} to ${format(high)}` }
  return [
    { text: titleOf(figure) },
    { text: format(value), note: status, mark: status === 'worse' ? 'bad' : 'good' },
    { text: expected === undefined ? '' : format(expected), ...band },
    { text: p === undefined ? 'exact' : formatProbability(p) },
  ]
}

interface Trend {
  readonly series: Series
  readonly figures: Dated[]
}

/** A figure with the number of its night, from 1. */
interface Dated {
  readonly night: number
  readonly figure: Omit<Figure, 'recipe'>
}

function seriesOf(nights: readonly KeptNight[]): Trend[] {
  const all = new Map<string, Trend>()
  for (const [index, night] of nights.entries())
    for (const { id: recipe, figures } of night.recipes)
      for (const figure of figures) {
        const { variant, measure, provider } = figure
        const key = `${recipe}\0${variant}\0${measure}\0${provider}`
        const known = all.get(key)
        if (known) known.figures.push({ night: index + 1, figure })
        else
          all.set(key, {
            series: { recipe, variant, measure, provider },
            figures: [{ night: index + 1, figure }],
          })
      }
  return [...all.values()]
}

/** A plot for what varied, a table for what never did. */
function trendBlocks(trends: readonly Trend[], nights: readonly KeptNight[]): Block[] {
  const varies = ({ figures }: Trend) =>
    figures.some(({ figure }) => figure.value !== figures[0]!.figure.value)
  const constant = trends.filter((trend) => !varies(trend))
  return [
    ...trends.filter(varies).map(
      (trend): Block => ({
        kind: 'plot',
        caption: titleOf(trend.series),
        spec: trendSpec(trend, nights),
      }),
    ),
    ...(constant.length > 0 ? [constantTable(constant)] : []),
  ]
}

function trendSpec({ series, figures }: Trend, nights: readonly KeptNight[]): TrendSpec {
  const { format } = measureOf(series.measure)
  const day = (night: number) => nights[Math.round(night) - 1]?.at.slice(2, 10) ?? ''
  const bands: { x: number; low: number; high: number }[][] = [[]]
  for (const { night, figure } of figures) {
    const { low, high } = figure
    if (low !== undefined && high !== undefined) bands.at(-1)!.push({ x: night, low, high })
    else if (bands.at(-1)!.length > 0) bands.push([])
  }
  const flagged = figures.filter(({ figure }) => isFlagged(figure))
  return {
    plot: 'trend',
    x: { label: 'Night', format: day, scale: 'whole' },
    y: { label: '', format, scale: 'linear' },
    points: figures.map(({ night, figure }) => ({ x: night, y: figure.value })),
    bands: bands.filter(({ length }) => length > 1),
    flagged: flagged.map(({ night, figure: { value, status, expected = value } }) => ({
      x: night,
      y: value,
      mark: status === 'worse' ? ('bad' as const) : ('good' as const),
      title: `${dateOf(nights[night - 1]!)}: ${format(value)}, expected ${format(expected)}`,
    })),
    accepted: flagged
      .map(({ night }) => night)
      .filter((night) => nights[night - 1]!.accepted !== undefined),
  }
}

const constantTable = (trends: readonly Trend[]): Table => ({
  kind: 'table',
  caption: 'The same in every night',
  columns: [
    { title: 'Figure', align: 'left' },
    { title: 'Value', align: 'right' },
    { title: 'Nights', align: 'right' },
  ],
  rows: trends.map(({ series, figures }) => [
    { text: titleOf(series) },
    { text: measureOf(series.measure).format(figures[0]!.figure.value) },
    { text: String(figures.length) },
  ]),
})

function nightsTable(nights: readonly KeptNight[], link: Link): Table {
  const shown = [...nights]
    .reverse()
    .filter(
      ({ recipes }, age) =>
        age < recentNights ||
        recipes.some((recipe) => isRegression(recipe) || recipe.figures.some(isFlagged)),
    )
    .slice(0, mostRows)
  const recipes = [...new Set(shown.flatMap((night) => night.recipes.map(({ id }) => id)))]
  return {
    kind: 'table',
    caption: `${counted(shown.length, 'night')} of ${nights.length}`,
    columns: [
      { title: 'Night', align: 'left' },
      { title: 'Outcome', align: 'left' },
      ...recipes.map((title) => ({ title, align: 'left' as const })),
    ],
    rows: shown.map((night) => [
      { text: dateOf(night) },
      {
        text: outcomeOf(night),
        ...(night.recipes.some(isRegression) && { mark: 'bad' as const }),
      },
      ...recipes.map((id): Cell => {
        const recipe = night.recipes.find((one) => one.id === id)
        if (!recipe) return { text: '–', mark: 'muted' }
        if (recipe.failed !== undefined) return { text: 'failed', mark: 'bad' }
        return { text: isRegression(recipe) ? 'regression' : 'good', ...link(recipe) }
      }),
    ]),
  }
}
