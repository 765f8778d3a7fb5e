// Sensitivity: what it costs, without any training, when one layer alone loses a share of what it has. Every
// measurement is kept by the content that it depends on, so that none is ever made twice.
import { UserError } from '../../base/errors.ts'
import { sha256 } from '../../base/hash.ts'
import { evenlySpread } from '../../benchmarks/sampling.ts'
import type { Dataset } from '../../data/dataset.ts'
import { subset } from '../../data/subset.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { answersOf } from '../answers.ts'
import { openMeasurements } from '../measurements.ts'
import { type MeasuredCost, risingCost } from '../rising.ts'
import type { StageContext } from '../stage.ts'
import { requiredData } from '../training.ts'

/** What a cut did to the model. */
export interface Measured {
  /** The task's main figure. */
  readonly score: number
  /** Mean KL(unpruned ‖ pruned) in nats; null where the task has no distributions. */
  readonly divergence: number | null
}

/** The measurements of one layer, or of the channels that several layers share. */
export interface SensitivityRow {
  readonly name: string
  /** Channels, or weights. */
  readonly size: number
  /** By share of what is gone, growing. */
  readonly points: readonly (Measured & { readonly share: number; readonly gone: number })[]
}

/** What a model loses where. */
export interface Sensitivity {
  /** The name of the main figure. */
  readonly metric: string
  /** The unpruned model's. */
  readonly score: number
  /** Samples that it was measured on. */
  readonly samples: number
  /** Which samples: `validation`, or `calibration` where there are none for validation. */
  readonly split: 'validation' | 'calibration'
  readonly rows: readonly SensitivityRow[]
}

/** A layer, and how it is cut. */
export interface SensitivitySubject {
  readonly name: string
  readonly size: number
  /** How many go for a share; 0 where none can. */
  countOf(share: number): number
  /** What the cut depends on besides the model: which channels, which criterion. */
  contentOf(count: number): unknown
  /** A copy of the model with so many gone. */
  cut(count: number): Model | Promise<Model>
}

/** Shares that are measured unless told. */
export const defaultShares = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]

/** Samples that each cut is measured on at most. */
const mostSamples = 512

/**
 * Measures each layer at each share on at most 512 samples.
 *
 * Measurements are kept one by one in the folder that stages share; those of before are not made again.
 */
export async function measureSensitivity(
  model: Model,
  subjects: readonly SensitivitySubject[],
  shares: readonly number[],
  context: StageContext,
): Promise<Sensitivity> {
  const { task, log, progress, provider, shared } = context
  const { outputs } = task
  const { samples, split } = samplesFor(context)
  const about = {
    model: sha256(serializeModel(model)),
    samples: samples.fingerprint,
    size: samples.size,
    task: task.summary,
    provider,
  }
  const remember = openMeasurements<Measured>('sensitivity', about, shared)
  const own = await answersOf(model, samples, context, { outputs })
  const { accuracy } = task.evaluate(own, samples, own)
  const rows: SensitivityRow[] = []
  const wanted = [...shares].sort((a, b) => a - b)
  let [done, measured] = [0, 0]
  for (const subject of subjects) {
    const points: SensitivityRow['points'][number][] = []
    for (const share of wanted) {
      progress({ done: done++ / (subjects.length * wanted.length) })
      const gone = subject.countOf(share)
      if (gone === 0 || points.some((point) => point.gone === gone)) continue
      const content = [subject.name, gone, subject.contentOf(gone)]
      const found = await remember(content, async () => {
        measured++
        const answers = await answersOf(await subject.cut(gone), samples, context, { outputs })
        const { value: score } = task.evaluate(answers, samples, own).accuracy
        return { score, divergence: task.retain(own, answers, samples).klDivergence }
      })
      points.push({ share: gone / subject.size, gone, ...found })
    }
    rows.push({ name: subject.name, size: subject.size, points })
  }
  log(
    `sensitivity: ${measured} cuts measured on ${samples.size} ${split} samples, ${done - measured} known or the same`,
  )
  const { metric, value } = accuracy
  return { metric, score: value, samples: samples.size, split, rows }
}

/**
 * The samples on which what a stage does to a model is measured before it is done: at most 512 for validation, or for
 * calibration where there are none. That there are none at all is a {@link UserError}.
 */
export function samplesFor(context: StageContext): {
  samples: Dataset
  split: Sensitivity['split']
} {
  const { validation, calibration } = requiredData(context)
  const split = validation.size > 0 ? 'validation' : 'calibration'
  const all = validation.size > 0 ? validation : calibration
  if (all.size === 0)
    throw new UserError('sensitivity: the data has no samples to measure on — use other data')
  const samples = all.size <= mostSamples ? all : subset(all, evenlySpread(all, mostSamples))
  return { samples, split }
}

/**
 * What it costs that so much of a layer goes, read off its measurements: the divergence from the unpruned model, or
 * what the main figure lost where there is none; between shares a straight line, and never less than for smaller ones.
 */
export function costOf({ score, rows }: Sensitivity): (name: string, share: number) => number {
  const costs = new Map(
    rows.map(({ name, points }) => {
      const measured = points.map(
        (point): MeasuredCost => [
          point.share,
          point.divergence ?? Math.max(0, score - point.score),
        ],
      )
      return [name, measured.length > 0 ? risingCost(measured) : undefined] as const
    }),
  )
  return (name, share) => costs.get(name)?.(share) ?? share
}
