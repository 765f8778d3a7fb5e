// What comparing variants with each other shows: whether a teacher was of any use to a student.
import { writtenP } from './format.ts'
import { formatMetric, formatMetricInterval, mainFigure, metricTitle } from './metrics.ts'
import type { Report, Variant } from './report.ts'
import { pOf, significance } from './significance.ts'

/** How two variants compare: what is better without chance explaining it, or neither. */
export type Outcome = 'better' | 'worse' | 'same'

/**
 * Compares a variant with another one by their paired test; where there is none, by whether their 95 % intervals are apart.
 * Undefined where one was not measured.
 */
export function outcomeOf(variant: Variant, other: Variant): Outcome | undefined {
  if (!variant.accuracy || !other.accuracy) return undefined
  const [own, theirs] = [mainFigure(variant.accuracy), mainFigure(other.accuracy)]
  const p = pOf(variant, other)
  if (p !== undefined)
    return p >= significance || own.value === theirs.value
      ? 'same'
      : own.value > theirs.value
        ? 'better'
        : 'worse'
  if (own.interval[0] > theirs.interval[1]) return 'better'
  return own.interval[1] < theirs.interval[0] ? 'worse' : 'same'
}

/** A variant that was taught, and one of the same start that was not. */
export interface TaughtPair {
  readonly taught: string
  readonly plain: string
}

/** Says of every pair where the teacher was of no use, with both figures. */
export function uselessTeachers(
  variants: readonly Variant[],
  pairs: readonly TaughtPair[],
): string[] {
  return pairs.flatMap(({ taught, plain }) => {
    const [own, other] = [taught, plain].map((id) => variants.find((variant) => variant.id === id))
    const outcome = own && other && outcomeOf(own, other)
    if (!own || !other || !outcome || outcome === 'better') return []
    const p = pOf(own, other)
    const relation = outcome === 'worse' ? 'is worse than' : 'is not better than'
    return [
      `'${taught}' ${relation} '${plain}', the same student without a teacher: ${figureOf(own)} against ${withInterval(other)}${p === undefined ? '' : `, ${writtenP(p)}`} — 'condense explain' with --ablate shows which of its losses helps`,
    ]
  })
}

/** All advice of a report, a line each, with the variant that it is about. */
export const adviceLines = ({
  variants,
  advice = [],
}: Pick<Report, 'variants' | 'advice'>): string[] => [
  ...variants.flatMap(({ id, advice: own = [] }) => own.map((line) => `${id}: ${line}`)),
  ...advice,
]

/** The main figure with its name and interval. */
function figureOf(variant: Variant): string {
  if (!variant.accuracy) return 'not measured'
  const title = metricTitle(mainFigure(variant.accuracy).metric)
  return `${title === 'Accuracy' ? 'accuracy' : title} ${withInterval(variant)}`
}

function withInterval({ accuracy }: Variant): string {
  if (!accuracy) return 'not measured'
  const { metric, value, interval } = mainFigure(accuracy)
  return `${formatMetric(metric, value)} (${formatMetricInterval(metric, interval)})`
}
