// Gates: limits, most of them relative to the teacher, that fail a run.
import { z } from 'zod'
import { mainFigure } from '../benchmarks/report/metrics.ts'
import type { Gate, Report, Variant } from '../benchmarks/report/report.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { providerNames } from '../runtime/providers.ts'

const limitPattern = /^(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)$/i

const limit = (what: string) =>
  z
    .string()
    .regex(limitPattern, "expected a comparison with a number, such as '>= 0.99'")
    .optional()
    .describe(`${what}, as '>= 0.99' or '<= 0.2'.`)

/** Schema of `benchmark.gates`. */
export const gatesOptions = z
  .strictObject({
    variant: z
      .string()
      .optional()
      .describe('Id of the variant that is judged; every last variant of a branch unless given.'),
    retention: limit("Accuracy (the task's main figure) over the teacher's"),
    agreement: limit("How alike the decisions are to the teacher's, of classifiers the share"),
    accuracy: limit("The task's main figure itself"),
    metrics: z
      .record(z.string(), limit('Figure').unwrap())
      .optional()
      .describe("Limits of the task's figures by name, as { mae: '<= 0.1' }."),
    size: limit("Bytes of the file over the teacher's"),
    gzip: limit("Bytes of the file after gzip over those of the teacher's file before"),
    parameters: limit("Parameters over the teacher's"),
    macs: limit("Multiply-accumulates over the teacher's"),
    latency: z
      .partialRecord(
        z.enum(providerNames as [ProviderName, ...ProviderName[]]),
        limit('Ratio').unwrap(),
      )
      .optional()
      .describe("Median latency (batch 1, one thread) over the teacher's, by provider."),
  })
  .describe('Limits, relative to the teacher but for accuracy and metrics; a miss exits with 3.')

/** The gates of a recipe, resolved. */
export type Gates = z.output<typeof gatesOptions>

/** Which number each gate looks at; undefined where it was not measured. */
const measures = {
  retention: (variant) => variant.retention?.accuracy,
  agreement: (variant) => variant.retention?.agreement,
  accuracy: ({ accuracy }) => (accuracy ? mainFigure(accuracy).value : undefined),
  size: (variant, teacher) => variant.sizeBytes / teacher.sizeBytes,
  gzip: (variant, teacher) => variant.gzipBytes / teacher.sizeBytes,
  parameters: (variant, teacher) => variant.parameters / teacher.parameters,
  macs: (variant, teacher) => ratio(variant.macs, teacher.macs),
} as const satisfies Record<string, (variant: Variant, teacher: Variant) => number | undefined>

/** Judges the variants of a report; what was not measured, or failed, does not pass. */
export function judgeGates(
  gates: Gates | undefined,
  report: Pick<Report, 'teacher' | 'variants'>,
): Gate[] {
  if (!gates) return []
  const { variant: id, latency, metrics, ...limits } = gates
  const judged = id
    ? [report.teacher, ...report.variants].filter((variant) => variant.id === id)
    : leaves(report.variants)
  return judged.flatMap((variant) => [
    ...Object.entries(measures).flatMap(([name, measure]) => {
      const limit = limits[name as keyof typeof measures]
      return limit === undefined
        ? []
        : [gate(name, variant, limit, measure(variant, report.teacher))]
    }),
    ...Object.entries(metrics ?? {}).map(([name, limit]) =>
      gate(`metrics.${name}`, variant, limit, figureOf(variant, name)),
    ),
    ...Object.entries(latency ?? {}).map(([provider, limit]) =>
      gate(`latency.${provider}`, variant, limit, latencyRatio(variant, report.teacher, provider)),
    ),
  ])
}

/** Whether every gate was kept and every variant is a result. */
export const hasPassed = ({ gates, variants }: Pick<Report, 'gates' | 'variants'>): boolean =>
  gates.every(({ passed }) => passed) && variants.every(({ failed }) => failed === undefined)

/** The variants that no other was made from: the ends of the branches. */
const leaves = (variants: readonly Variant[]): Variant[] =>
  variants.filter(({ id }) => !variants.some(({ from }) => from === id))

function gate(name: string, variant: Variant, limit: string, measured: number | undefined): Gate {
  const value = variant.failed === undefined ? (measured ?? null) : null
  return { name, variant: variant.id, limit, value, passed: value !== null && holds(limit, value) }
}

function holds(limit: string, value: number): boolean {
  const [, comparison, number] = limitPattern.exec(limit) ?? []
  const bound = Number(number)
  switch (comparison) {
    case '>=':
      return value >= bound
    case '<=':
      return value <= bound
    case '>':
      return value > bound
    case '<':
      return value < bound
    default:
      throw new Error(`internal: gate limit '${limit}'`)
  }
}

function latencyRatio(variant: Variant, teacher: Variant, provider: string): number | undefined {
  const own = variant.providers[provider]
  return own?.latencyRatio?.value ?? ratio(own?.p50Ms, teacher.providers[provider]?.p50Ms)
}

function figureOf({ accuracy }: Variant, name: string): number | undefined {
  const figures = accuracy?.metrics
  // A name from a recipe must not find what every object inherits.
  return figures && Object.hasOwn(figures, name) ? (figures[name] ?? undefined) : undefined
}

const ratio = (
  value: number | null | undefined,
  teacher: number | null | undefined,
): number | undefined =>
  typeof value === 'number' && typeof teacher === 'number' ? value / teacher : undefined
