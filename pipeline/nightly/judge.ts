// Tonight against the nights before: what changed by more than noise, in either direction.

import { type MeasureName, measureOf, type Value } from './measures.ts'
import { studentP, studentQuantile } from './student.ts'
import type { Suite, Thresholds } from './suite.ts'

/** What a value belongs to. */
export interface Series {
  readonly recipe: string
  readonly variant: string
  readonly measure: MeasureName
  readonly provider?: string | undefined
}

/** A value of tonight. */
export interface Reading extends Series, Value {}

/** `new` has nothing to be compared with, `learning` too few nights yet. */
export type Status = 'new' | 'learning' | 'steady' | 'worse' | 'better'

/** A value with its judgement. */
export interface Figure extends Reading {
  readonly status: Status
  /** What the baseline lets expect. */
  readonly expected?: number | undefined
  /** Where noise alone would let it lie: the alarm is outside. */
  readonly low?: number | undefined
  readonly high?: number | undefined
  /** Probability of so large a difference by noise alone; exact measures have none. */
  readonly p?: number | undefined
}

/** The good values of a series, oldest first: a new segment begins where a new level was accepted. */
export type Segments = readonly (readonly Value[])[]

/** A name by which series are told apart. */
export const seriesKey = ({ recipe, variant, measure, provider = '' }: Series): string =>
  [recipe, variant, measure, provider].join('\0')

/**
 * Judges all values of a night.
 *
 * Values with noise are compared with Student's prediction interval of the last nights, and where the level is old
 * enough also with that of its first nights, which notices a slow drift; Holm's step-down procedure (Holm 1979) over all
 * of them keeps the chance of any false alarm in an unchanged night at `falseAlarms`. A difference below its threshold
 * is never one. Exact values have no noise: any difference beyond the threshold counts.
 */
export function judge(
  readings: readonly Reading[],
  segmentsOf: (reading: Reading) => Segments,
  { thresholds, baseline }: Pick<Suite, 'thresholds' | 'baseline'>,
): Figure[] {
  const noisy = readings.filter(({ measure }) => measureOf(measure).noise !== 'none').length
  const share = thresholds.falseAlarms / Math.max(1, noisy)
  const compared = readings.map((reading) =>
    measureOf(reading.measure).noise === 'none'
      ? exactly(reading, segmentsOf(reading), thresholds)
      : byNoise(reading, segmentsOf(reading), { thresholds, baseline }, share),
  )
  const alarms = holm(
    compared.map(({ status, p }) => (status === 'steady' && p !== undefined ? p : null)),
    thresholds.falseAlarms,
  )
  return compared.map((figure, index) =>
    alarms[index] ? { ...figure, status: direction(figure, figure.expected ?? 0) } : figure,
  )
}

/** Which hypotheses are rejected so that any false rejection is at most as likely as `level` (Holm 1979); null is none. */
export function holm(ps: readonly (number | null)[], level: number): boolean[] {
  const order = ps
    .flatMap((p, index) => (p === null ? [] : [{ p, index }]))
    .sort((a, b) => a.p - b.p)
  const rejected = ps.map(() => false)
  for (const [rank, { p, index }] of order.entries()) {
    if (p > level / (order.length - rank)) break
    rejected[index] = true
  }
  return rejected
}

const direction = ({ measure, value }: Reading, expected: number): Status =>
  value > expected === (measureOf(measure).better === 'more') ? 'better' : 'worse'

/** The threshold of a measure on the scale that it is compared on. */
function toleranceOf({ measure }: Reading, thresholds: Thresholds): number {
  const { tolerance, scale } = measureOf(measure)
  const least = tolerance === 'none' ? 0 : thresholds[tolerance]
  return scale === 'ratio' ? Math.log1p(least) : least
}

/** Rounding of a difference or a logarithm is no change. */
const rounding = 1e-12

function exactly(reading: Reading, segments: Segments, thresholds: Thresholds): Figure {
  const level = segments.at(-1)
  const last = level?.at(-1)
  if (!level || !last) return { ...reading, status: 'new' }
  const onScale = scaleOf(reading)
  const tolerance = toleranceOf(reading, thresholds) + rounding
  const changed = (from: number) =>
    Math.abs(onScale.to(reading.value) - onScale.to(from)) > tolerance
  // Small steps add up against the value that was accepted.
  const from = [last.value, level[0]!.value].find(changed)
  const expected = from ?? last.value
  const status = from === undefined ? 'steady' : direction(reading, from)
  return { ...reading, status, expected, low: expected, high: expected }
}

function byNoise(
  reading: Reading,
  segments: Segments,
  { thresholds, baseline }: Pick<Suite, 'thresholds' | 'baseline'>,
  share: number,
): Figure {
  const onScale = scaleOf(reading)
  const scaled = segments.map((segment) => segment.map((value) => onScale.value(value)))
  const level = scaled.at(-1) ?? []
  if (level.length === 0) return { ...reading, status: 'new' }
  const recent = prediction(lastOf(scaled, baseline.nights), onScale.value(reading))
  const expected = onScale.from(recent.centre)
  const enough = measureOf(reading.measure).known || recent.nights >= baseline.least
  if (!enough) return { ...reading, status: 'learning', expected }
  const isOld = level.length >= 2 * baseline.nights
  const predictions = isOld
    ? [recent, prediction([level.slice(0, baseline.nights)], onScale.value(reading))]
    : [recent]
  const at = onScale.to(reading.value)
  const tolerance = toleranceOf(reading, thresholds) + rounding
  const ps = predictions.map(({ centre, deviation, freedom }) => {
    const away = Math.abs(at - centre)
    if (away <= tolerance) return 1
    // Two comparisons of one value have two chances (Bonferroni).
    return Math.min(1, predictions.length * studentP(away / deviation, freedom))
  })
  const p = Math.min(...ps)
  const decisive = predictions[ps.indexOf(p)]!
  const reach = Math.max(
    tolerance,
    decisive.deviation * studentQuantile(share / predictions.length, decisive.freedom),
  )
  return {
    ...reading,
    status: 'steady',
    p,
    expected: onScale.from(decisive.centre),
    ...finite({
      low: onScale.from(decisive.centre - reach),
      high: onScale.from(decisive.centre + reach),
    }),
  }
}

/** A band that few and wild nights leave without end is none. */
const finite = (band: { low: number; high: number }) => (Number.isFinite(band.high) ? band : {})

/** The last so many values, in their segments. */
function lastOf(segments: Segments, count: number): Segments {
  const kept: (readonly Value[])[] = []
  let room = count
  for (const segment of [...segments].reverse()) {
    if (room <= 0) break
    if (segment.length > 0 || kept.length === 0) kept.unshift(segment.slice(-room))
    room -= segment.length
  }
  return kept
}

interface Prediction {
  readonly centre: number
  /** Standard deviation of a new value around the centre. */
  readonly deviation: number
  readonly freedom: number
  /** Nights that the deviation comes from. */
  readonly nights: number
}

/**
 * Where a new value of the last segment should lie.
 *
 * Its variance is that between nights, pooled over the segments around their own means, times 1 + 1/m for a mean of m
 * nights (the prediction interval of Student's distribution), plus what tonight's own interval says: a night's test
 * split or rounds decide less than all possible ones would. The sum has the degrees of freedom of Satterthwaite (1946),
 * for the second part is taken as known.
 */
function prediction(segments: Segments, tonight: Value): Prediction {
  const level = segments.at(-1)!
  const centre = meanOf(level)
  const nights = segments.reduce((sum, { length }) => sum + length, 0)
  const freedom = nights - segments.filter(({ length }) => length > 0).length
  const squares = segments.reduce((sum, segment) => {
    const mean = meanOf(segment)
    return sum + segment.reduce((inner, { value }) => inner + (value - mean) ** 2, 0)
  }, 0)
  const between = (freedom > 0 ? squares / freedom : 0) * (1 + 1 / level.length)
  const before = level.reduce((sum, { deviation = 0 }) => sum + deviation ** 2, 0) / level.length
  // Of two measurements with such an interval each may be off.
  const within = (tonight.deviation ?? 0) ** 2 + before / level.length
  const variance = between + within
  return {
    centre,
    deviation: Math.sqrt(variance),
    freedom: between > 0 ? freedom * (variance / between) ** 2 : Number.POSITIVE_INFINITY,
    nights: freedom + 1,
  }
}

const meanOf = (values: readonly Value[]): number =>
  values.reduce((sum, { value }) => sum + value / values.length, 0)

interface Scale {
  to(value: number): number
  from(value: number): number
  value(of: Value): Value
}

/** Where the noise grows with the value it is the logarithm that has one deviation. */
const logarithmic: Scale = {
  // A count may be 0: so near to nothing, one is a change of everything.
  to: (value) => Math.log(Math.max(value, 1e-9)),
  from: (value) => (value <= Math.log(1e-9) ? 0 : Math.exp(value)),
  value: ({ value, deviation }) => ({
    value: logarithmic.to(value),
    ...(deviation !== undefined && { deviation: deviation / Math.max(value, 1e-9) }),
  }),
}

const linear: Scale = { to: (value) => value, from: (value) => value, value: (of) => of }

const scaleOf = ({ measure }: Reading): Scale =>
  measureOf(measure).scale === 'ratio' ? logarithmic : linear
