// A model that is measured, and what has been found out of it so far.

import type { Predictions } from '../tasks/task.ts'
import type { Rounds } from './latency.ts'
import type {
  Knowledge,
  LayerTable,
  Measurement,
  ProviderResult,
  Variant,
} from './report/report.ts'
import type { Size } from './size.ts'

/** Names of values that are compared. */
export interface ValuePair {
  readonly teacher: string
  readonly variant: string
}

/** A model that is measured; what is not a path goes into the report as it is. */
export interface Subject extends Pick<Variant, 'label' | 'stageOptions' | 'training' | 'advice'> {
  /** Unique among the models of a benchmark. */
  readonly id: string
  /** The stage that made it. */
  readonly stage: string
  /** The id of the model that it was made from; null for the teacher. */
  readonly from: string | null
  /** Where the file is. */
  readonly path: string
  /** What the report calls the file: its path relative to the report. */
  readonly file: string
  /** Values inside the teacher and this model whose likeness is of interest. */
  readonly taps?: readonly ValuePair[]
}

/** One batch size and number of threads: the times, and their summary. */
export interface TimedSetting {
  readonly rounds: Rounds
  readonly summary: Measurement
}

/** What has been found out of a model. */
export interface Findings {
  readonly subject: Subject
  readonly size: Size
  /** Puts the model's outputs on the scale of its task. */
  readonly normalise: (predictions: Predictions) => Predictions
  macs: number | null
  bytesMoved: number | null
  /** The outputs on the CPU for every test sample, normalised; undefined where there are none. */
  predictions: Predictions | undefined
  /** Why the model is no result. */
  failed: string | undefined
  /** What is left of the teacher's knowledge; undefined where it was not asked for. */
  knowledge: Knowledge | null | undefined
  /** What its nodes cost on the CPU; undefined where that was not measured. */
  layers: LayerTable | undefined
  readonly providers: Map<string, ProviderResult>
  /** What was timed by provider, one batch size and number of threads after the other. */
  readonly timed: Map<string, readonly TimedSetting[]>
  /** Session creation and first run together, ms, start by start, by provider. */
  readonly starts: Map<string, Rounds>
}

/** Adds to what is known of a model on a provider that runs it. */
export function amend(
  { providers }: Findings,
  provider: string,
  known: Omit<ProviderResult, 'available' | 'reason'>,
): void {
  providers.set(provider, { ...providers.get(provider), ...known, available: true })
}

/** Notes why a provider has no numbers for a model. */
export function markUnavailable(
  { providers, timed, starts }: Findings,
  provider: string,
  reason: string,
): void {
  timed.delete(provider)
  starts.delete(provider)
  providers.set(provider, { available: false, reason })
}

/** True where nothing is known that keeps a model from being measured on a provider. */
export const runsOn = ({ providers }: Findings, provider: string): boolean =>
  providers.get(provider)?.available === true
