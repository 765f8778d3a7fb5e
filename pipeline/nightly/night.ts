// What the history keeps of a night. It may have been written by another version, or by anybody.
import { z } from 'zod'
import type { Report } from '../../benchmarks/report/report.ts'
import type { Figure, Segments, Series } from './judge.ts'
import { seriesKey } from './judge.ts'
import { type MeasureName, measureNames, measureOf } from './measures.ts'

const number = z.number().optional()

const figureSchema = z.object({
  variant: z.string(),
  measure: z.enum(measureNames as [MeasureName, ...MeasureName[]]),
  provider: z.string().optional(),
  value: z.number(),
  deviation: z.number().min(0).optional(),
  status: z.enum(['new', 'learning', 'steady', 'worse', 'better']),
  expected: number,
  low: number,
  high: number,
  p: number,
})

const recipeSchema = z.object({
  id: z.string(),
  setting: z.string().optional().describe('Hash of the recipe and its data.'),
  report: z.string().optional().describe("The report's folder, relative to that of the history."),
  failed: z.string().optional().describe('Why there is no report.'),
  gates: z.array(z.string()).describe('Gates that were missed, as sentences.'),
  missing: z.array(figureSchema.pick({ variant: true, measure: true, provider: true })),
  figures: z.array(figureSchema),
})

/** Schema of a night's content. */
export const nightSchema = z.object({
  suite: z.string(),
  at: z.iso.datetime({ offset: true }).describe('When it began.'),
  condense: z.string().describe('Version of Condense.'),
  node: z.string(),
  onnxruntime: z.string(),
  machine: z.string().describe('What decides latencies besides the models, as one text.'),
  notes: z.array(z.string()).describe('What differs from the night before, and is no figure.'),
  recipes: z.array(recipeSchema),
})

/** A night as it is written. */
export type Night = z.infer<typeof nightSchema>
/** A recipe's part in a night. */
export type RecipeNight = Night['recipes'][number]

/** A night as the history has it. */
export interface KeptNight extends Night {
  readonly id: number
  /** Why its new levels were accepted; absent where they were not. */
  readonly accepted?: string | undefined
}

/** What decides latencies besides the models: a night of another machine says nothing about them. */
export const machineOf = ({ cpu, cores, flags, onnxruntime }: Report['host']): string =>
  `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${flags.join(' ') || 'no known flags'}, ONNX Runtime ${onnxruntime}`

/** All figures of a night with the recipe that each is of. */
export const figuresOf = (night: Night): Figure[] =>
  night.recipes.flatMap(({ id, figures }) => figures.map((figure) => ({ ...figure, recipe: id })))

/** Whether a figure, or its absence, is an alarm. */
export const isFlagged = ({ status }: Pick<Figure, 'status'>): boolean =>
  status === 'worse' || status === 'better'

/** What of a night is worse than the nights before, or failed. */
export const isRegression = ({ failed, gates, missing, figures }: RecipeNight): boolean =>
  failed !== undefined ||
  gates.length > 0 ||
  missing.length > 0 ||
  figures.some(({ status }) => status === 'worse')

/** Whether anything of it could be accepted as the baseline of the nights to come. */
export const hasNewLevel = ({ missing, figures }: RecipeNight): boolean =>
  missing.length > 0 || figures.some(isFlagged)

/** Whether a series is compared among nights of one machine alone. */
const boundTo = (series: Series, machine: string): string =>
  measureOf(series.measure).ofMachine ? `${seriesKey(series)}\0${machine}` : seriesKey(series)

/** The good values of every series, and which series ended. */
export interface Baselines {
  /** Of a series on a machine: its segments, the last one empty where the level of its absence was accepted. */
  of(series: Series, machine: string): Segments
  /** Series of a recipe that have good values on this machine. */
  known(recipe: string, machine: string): Series[]
}

/**
 * Gathers the baselines from all nights of a suite, oldest first.
 *
 * A flagged value belongs to none, unless its night was accepted: then it begins a new segment.
 */
export function baselinesOf(nights: readonly KeptNight[]): Baselines {
  const all = new Map<string, { series: Series; machine: string; segments: Figure[][] }>()
  const entry = (series: Series, machine: string) => {
    const key = boundTo(series, machine)
    const found = all.get(key) ?? { series, machine, segments: [[]] }
    all.set(key, found)
    return found
  }
  for (const night of nights) {
    const isAccepted = night.accepted !== undefined
    for (const figure of figuresOf(night)) {
      const { segments } = entry(figure, night.machine)
      if (!isFlagged(figure)) segments.at(-1)!.push(figure)
      else if (isAccepted) segments.push([figure])
    }
    if (!isAccepted) continue
    for (const { id, missing } of night.recipes)
      for (const series of missing)
        entry({ ...series, recipe: id }, night.machine).segments.push([])
  }
  return {
    of: (series, machine) => all.get(boundTo(series, machine))?.segments ?? [],
    known: (recipe, machine) =>
      [...all.values()].flatMap((found) =>
        found.series.recipe === recipe &&
        (found.machine === machine || !measureOf(found.series.measure).ofMachine) &&
        (found.segments.at(-1)?.length ?? 0) > 0
          ? [found.series]
          : [],
      ),
  }
}
