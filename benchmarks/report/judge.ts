// What the numbers of a report mean: the verdict in one sentence, the best variant for each goal, what got worse.
import { formatBytes, formatMs, formatPercent, formatRatio, writtenP } from './format.ts'
import { formatDifference, formatMetric, mainFigure, mainMetric, metricTitle } from './metrics.ts'
import type { ProviderResult, Report, Retention, Variant } from './report.ts'
import { differenceOf, doubtOf, noDifference, noiseIn, pOf, significance } from './significance.ts'

/** Below this share of the teacher's accuracy no variant is recommended for its size or speed. */
export const acceptableRetention = 0.95

/** A latency counts as worse from this ratio on; less is within the noise of repeated runs. */
export const slowerFrom = 1.05

/** A size or a count of multiplications counts as worse from this ratio on; a few bytes are nobody's concern. */
export const largerFrom = 1.01

/** What was measured of a report's models. */
export type Measured = Pick<Report, 'teacher' | 'variants'>

/** The teacher and all variants, in the order of the report. */
export function everyVariant(report: Measured): readonly Variant[] {
  return [report.teacher, ...report.variants]
}

/** All providers that the report names, in the order of their first mention. */
export function providersOf(report: Measured): string[] {
  return [...new Set(everyVariant(report).flatMap(({ providers }) => Object.keys(providers)))]
}

/** A provider's result, if it has a headline latency. */
export function timed(
  variant: Variant,
  provider: string,
): (ProviderResult & { p50Ms: number }) | undefined {
  // A name from outside must not find what every object inherits.
  const result = Object.hasOwn(variant.providers, provider)
    ? variant.providers[provider]
    : undefined
  return result?.available && typeof result.p50Ms === 'number'
    ? { ...result, p50Ms: result.p50Ms }
    : undefined
}

/** The providers on which at least one variant was timed. */
export function timedProviders(report: Measured): string[] {
  return providersOf(report).filter((provider) =>
    everyVariant(report).some((variant) => timed(variant, provider)),
  )
}

/** True for a software GPU: how long it takes says nothing about a real one. */
export function isEmulated(report: Measured, provider: string): boolean {
  return everyVariant(report).some((variant) => timed(variant, provider)?.software)
}

/** Latency of a variant over that of another on one provider, if both were timed there. */
export function latencyRatio(
  variant: Variant,
  reference: Variant,
  provider: string,
): number | undefined {
  const own = timed(variant, provider)
  const other = timed(reference, provider)
  return own && other && own.p50Ms / other.p50Ms
}

/** What a variant keeps of the teacher: its `accuracy`, its `R²`, its `outputs` where they are to be matched. */
export function mainName(report: Report): string {
  const metric = mainMetric(report)
  if (metric === 'fidelity') return 'outputs'
  const title = metricTitle(metric)
  return title === 'Accuracy' ? 'accuracy' : title
}

/** The main figure of a variant, if it was measured. */
export const mainValue = ({ accuracy }: Variant): number | undefined =>
  accuracy ? mainFigure(accuracy).value : undefined

/** p of the test against the teacher; undefined where there was none. */
const probabilityOf = ({ retention }: Variant): number | undefined =>
  retention?.p ?? retention?.mcnemarP

/** p in one piece, at whose spaces no line ends. */
const unbroken = (p: number): string => writtenP(p).replaceAll(' ', '\u00a0')

/** How the main figure compares with the teacher's, with the test's p: `no significant difference (p = 0.21)`. */
export function comparison(variant: Variant): string {
  const { retention } = variant
  if (!retention) return 'not measured'
  const probability = probabilityOf(variant)
  if (probability === undefined) return 'the teacher is the target'
  const written = unbroken(probability)
  if (probability >= significance) return `${noDifference} (${written})`
  return `significantly ${retention.accuracy < 1 ? 'lower' : 'higher'} (${written})`
}

/** True where the variant is less accurate than the teacher and chance does not explain it. */
export function losesAccuracy(variant: Variant): boolean {
  const { retention } = variant
  return (
    retention !== null && retention.accuracy < 1 && (probabilityOf(variant) ?? 1) < significance
  )
}

/**
 * The variant that the verdict speaks of: the one that the gates name, if they agree on one; else the smallest
 * that keeps {@link acceptableRetention}; else the most faithful.
 */
export function headline(report: Report): Variant | undefined {
  const working = report.variants.filter(({ failed }) => failed === undefined)
  const gated = new Set(report.gates.map(({ variant }) => variant))
  const named = working.find(({ id }) => gated.has(id))
  if (gated.size === 1 && named) return named
  const candidates = isJudged(report) ? working.filter(isAcceptable) : working
  return least(candidates, ({ sizeBytes }) => sizeBytes) ?? mostFaithful(working)
}

/** Whether it was measured how good the models are; without data it was not. */
export const isJudged = ({ data }: Pick<Report, 'data'>): boolean => data.random !== true

/** The outcome in one or two sentences, for the report and the terminal. */
export function verdict(report: Report): string {
  const variant = headline(report)
  const gates = failedGates(report)
  if (!variant && report.variants.length === 0) return `${factsOf(report, report.teacher)}.${gates}`
  if (!variant) return `No variant works: the teacher stands alone.${gates}`
  const provider = ['cpu', ...timedProviders(report)].find(
    (name) =>
      !isEmulated(report, name) && latencyRatio(variant, report.teacher, name) !== undefined,
  )
  const size = share(variant.sizeBytes / report.teacher.sizeBytes)
  const speed = provider === undefined ? '' : speedOf(report, variant, provider)
  if (!variant.retention)
    return `${variant.id} takes ${size} the teacher's bytes${speed}; how good it is was not measured.${gates}`
  return `${keptBy(report, variant, variant.retention)} at ${size} its bytes${speed}.${gates}`
}

function failedGates({ gates }: Report): string {
  const failed = gates.filter(({ passed }) => !passed).length
  if (failed === 0) return ''
  if (failed < gates.length) return ` ${failed} of ${counted(gates.length, 'gate')} failed.`
  return failed === 1 ? ' The gate failed.' : ` All ${failed} gates failed.`
}

/** What a variant keeps of the teacher, in words that do not praise one that keeps too little. */
function keptBy(report: Report, variant: Variant, retention: Retention): string {
  const { id } = variant
  const kept = formatPercent(retention.accuracy, 1)
  const doubt = (probabilityOf(variant) ?? 0) < significance ? '' : ` (${noDifference})`
  const whole = `the teacher's ${mainName(report)}`
  if (isAcceptable(variant)) return `${id} keeps ${kept} of ${whole}${doubt}`
  const working = report.variants.filter(({ failed }) => failed === undefined)
  const isBestOfMany = working.length > 1 && variant === mostFaithful(working)
  if (!isBestOfMany || working.some(isAcceptable))
    return `${id} keeps only ${kept} of ${whole}${doubt}`
  const floor = formatPercent(acceptableRetention, 0)
  return `No variant keeps ${floor} of ${whole}; the most faithful, ${id}, keeps ${kept} of it${doubt}`
}

/** What becomes of the teacher's latency: ` and 1/4 of its CPU latency`; no ratio where chance explains it. */
function speedOf(report: Measured, variant: Variant, provider: string): string {
  const tested = timed(variant, provider)?.latencyRatio
  const latency = `${nameOf(provider)} latency`
  if (differenceOf(tested) === 'none') return ` with ${noDifference} in ${latency}`
  const doubt = doubtOf(tested)
  const ratio = share(latencyRatio(variant, report.teacher, provider) ?? 1)
  return ` and ${ratio} its ${latency}${doubt ? ` (${doubt})` : ''}`
}

/** What speaks against the times of a variant on a provider, as significance and the machine: none or some words. */
export function latencyDoubt(variant: Variant, provider: string): string | undefined {
  return variant.from === null ? undefined : doubtOf(timed(variant, provider)?.latencyRatio)
}

/** Why the times on a provider should be taken with care, by the teacher's own; undefined where the machine was quiet. */
export function noiseOn(report: Measured, provider: string): string | undefined {
  const result = timed(report.teacher, provider)
  const reasons = result && noiseIn(result)
  return reasons && `The machine was noisy while ${provider} was timed: ${reasons}.`
}

/** What is to be said of a model that is compared with nothing. */
function factsOf(report: Report, { id, accuracy, sizeBytes, providers }: Variant): string {
  const metric = accuracy && mainFigure(accuracy)
  // Compared with itself, a model is as it should be.
  const quality =
    metric && metric.metric !== 'fidelity'
      ? [`${metricTitle(metric.metric)} ${formatMetric(metric.metric, metric.value)}`]
      : []
  const times = Object.keys(providers)
    .filter((provider) => !isEmulated(report, provider))
    .flatMap((provider) => {
      const own = timed(report.teacher, provider)
      return own ? [`${formatMs(own.p50Ms)} a run on ${nameOf(provider)}`] : []
    })
  return `${id}: ${[formatBytes(sizeBytes), ...quality, ...times].join(', ')}`
}

/** A goal and the variant that serves it best. */
export interface Recommendation {
  readonly goal: string
  readonly variant: Variant | undefined
  /** The number that decides, with its unit. */
  readonly value: string
  /** The same relative to the teacher. */
  readonly relative: string
}

/** The best variant for each goal: smallest, fastest on each provider, most faithful. */
export function recommendations(report: Report): Recommendation[] {
  const working = report.variants.filter(
    (variant) => variant.failed === undefined && (!isJudged(report) || isAcceptable(variant)),
  )
  const candidates = [report.teacher, ...working]
  const smallest = least(candidates, ({ sizeBytes }) => sizeBytes)
  const faithful = mostFaithful(working)
  return [
    {
      goal: 'Smallest',
      variant: smallest,
      value: smallest ? formatBytes(smallest.sizeBytes) : '',
      relative: smallest ? formatRatio(smallest.sizeBytes / report.teacher.sizeBytes) : '',
    },
    ...timedProviders(report)
      .filter((provider) => !isEmulated(report, provider))
      .map((provider) => {
        const fastest = least(candidates, (one) => timed(one, provider)?.p50Ms)
        const p50Ms = fastest && timed(fastest, provider)?.p50Ms
        const ratio = fastest && latencyRatio(fastest, report.teacher, provider)
        const doubt = fastest && latencyDoubt(fastest, provider)
        return {
          goal: `Fastest on ${provider}`,
          variant: fastest,
          value: p50Ms === undefined ? '' : formatMs(p50Ms),
          relative: ratio === undefined ? '' : `${formatRatio(ratio)}${doubt ? `, ${doubt}` : ''}`,
        }
      }),
    ...(isJudged(report)
      ? [
          {
            goal: 'Most faithful',
            variant: faithful,
            value: faithful?.retention ? formatPercent(faithful.retention.agreement) : '',
            relative: faithful ? 'agreement' : '',
          },
        ]
      : []),
  ]
}

/** Measures in which a variant can be worse than the teacher or than the variant it was made from. */
export type Worsening = 'accuracy' | 'sizeBytes' | 'gzipBytes' | 'macs' | `latency ${string}`

/** What got worse in a variant, each with a sentence that says how. */
export function worsenings(report: Report, variant: Variant): Map<Worsening, string> {
  const found = new Map<Worsening, string>()
  const source = everyVariant(report).find(({ id }) => id === variant.from)
  if (!source) return found
  const { id } = variant
  const lost = accuracyLost(report, variant, source)
  if (lost !== undefined) found.set('accuracy', lost)
  const larger = (key: 'sizeBytes' | 'gzipBytes', what: string) => {
    if (variant[key] >= source[key] * largerFrom) {
      const sizes = `${formatBytes(variant[key])} against ${formatBytes(source[key])}`
      found.set(key, `${id} ${what} larger than ${source.id}: ${sizes}`)
    }
  }
  larger('sizeBytes', 'is')
  larger('gzipBytes', 'compresses to a gzip that is')
  if (variant.macs !== null && source.macs && variant.macs >= source.macs * largerFrom) {
    found.set('macs', `${id} computes more than ${source.id}`)
  }
  for (const provider of timedProviders(report)) {
    const ratio = latencyRatio(variant, source, provider)
    if (ratio === undefined || ratio < slowerFrom || isEmulated(report, provider)) continue
    const { sourceRatio, latencyRatio: teacherRatio } = timed(variant, provider) ?? {}
    const tested = sourceRatio ?? (source === report.teacher ? teacherRatio : undefined)
    if (tested && differenceOf(tested) !== 'slower') continue
    const times = [variant, source].map((one) => formatMs(timed(one, provider)?.p50Ms ?? 0))
    found.set(
      `latency ${provider}`,
      `${id} is slower than ${source.id} on ${provider}: ${times.join(' against ')}`,
    )
  }
  return found
}

/**
 * Says how much worse a variant is than the one it was made from; undefined where it is not, or chance explains it.
 *
 * Reports of earlier versions compare variants with the teacher alone, which then stands in.
 */
function accuracyLost(report: Report, variant: Variant, source: Variant): string | undefined {
  const other = pOf(variant, source) === undefined ? report.teacher : source
  const p = pOf(variant, other)
  const [own, before] = [mainValue(variant), mainValue(other)]
  if (p === undefined || own === undefined || before === undefined) return undefined
  if (p >= significance || own >= before) return undefined
  const points = formatDifference(mainMetric(report), before - own)
  const whose = other === report.teacher ? "the teacher's" : `that of ${other.id}`
  return `the ${mainName(report)} of ${variant.id} is ${points} below ${whose}, significantly lower (${unbroken(p)})`
}

/** A number of things in words: `1 gate`, `3 gates`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** What several models are called together. */
export const namedTogether = (names: readonly string[]): string =>
  names.length === 1 ? names[0]! : `${names[0]} and ${counted(names.length - 1, 'other')}`

const isAcceptable = ({ retention }: Variant): boolean =>
  retention !== null && retention.accuracy >= acceptableRetention

const nameOf = (provider: string): string => (provider === 'cpu' ? 'CPU' : provider)

// `1/36 of`, `83 % of`, but `1.3×` without.
const share = (ratio: number): string => {
  const written = formatRatio(ratio)
  return written.endsWith('×') ? written : `${written} of`
}

function mostFaithful(variants: readonly Variant[]): Variant | undefined {
  return least(variants, ({ retention }) => retention && -retention.agreement)
}

function least(
  variants: readonly Variant[],
  cost: (variant: Variant) => number | null | undefined,
): Variant | undefined {
  return variants.reduce<Variant | undefined>((best, variant) => {
    const own = cost(variant) ?? Number.POSITIVE_INFINITY
    const other = best ? (cost(best) ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
    return own < other ? variant : best
  }, undefined)
}
