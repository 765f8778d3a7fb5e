// Sensitivity: what it costs, without any training, when one layer alone loses a share of what it has. Every
// measurement is kept by the content that it depends on, so that none is ever made twice.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { makeFolder, writeAtomically } from '../../base/files.ts'
import { hashOf, sha256 } from '../../base/hash.ts'
import { evenlySpread } from '../../benchmarks/sampling.ts'
import type { Dataset } from '../../data/dataset.ts'
import { subset } from '../../data/subset.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { predict } from '../../runtime/predict.ts'
import type { Predictions } from '../../tasks/task.ts'
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
  const { task, log, progress, threads, provider, signal } = context
  const { samples, split } = samplesFor(context)
  const answersOf = async (one: Model): Promise<Predictions> => {
    const { outputs } = task
    const answers = await predict(one, samples, { threads, provider, signal, outputs })
    return task.normaliser(one.graph)(answers)
  }
  const store = openStore(model, samples, context)
  const own = await answersOf(model)
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
      const found = await store.remember(
        [subject.name, gone, subject.contentOf(gone)],
        async () => {
          measured++
          const answers = await answersOf(await subject.cut(gone))
          const { value: score } = task.evaluate(answers, samples, own).accuracy
          return { score, divergence: task.retain(own, answers, samples).klDivergence }
        },
      )
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

function samplesFor(context: StageContext): { samples: Dataset; split: Sensitivity['split'] } {
  const { validation, calibration } = requiredData(context)
  const split = validation.size > 0 ? 'validation' : 'calibration'
  const all = validation.size > 0 ? validation : calibration
  if (all.size === 0)
    throw new UserError('sensitivity: the data has no samples to measure on — use other data')
  const samples = all.size <= mostSamples ? all : subset(all, evenlySpread(all, mostSamples))
  return { samples, split }
}

/** Measurements of one model on some samples, in a file that is named by the hash of both. */
function openStore(model: Model, samples: Dataset, { shared, provider, task }: StageContext) {
  const key = hashOf({
    model: sha256(serializeModel(model)),
    samples: samples.fingerprint,
    size: samples.size,
    task: task.summary,
    provider,
  })
  const file = join(shared, `sensitivity-${key}.json`)
  const known = readKnown(file)
  return {
    async remember(content: unknown, measure: () => Promise<Measured>): Promise<Measured> {
      const name = hashOf(content)
      const found = known[name]
      if (found) return found
      const made = await measure()
      known[name] = made
      makeFolder(shared)
      writeAtomically(file, JSON.stringify(known))
      return made
    },
  }
}

function readKnown(file: string): Record<string, Measured> {
  if (!existsSync(file)) return {}
  try {
    // Written by this file; its name is the hash of what it is about.
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, Measured>
  } catch {
    return {} // damaged: measured again
  }
}

/**
 * What it costs that so much of a layer goes, read off its measurements: the divergence from the unpruned model, or
 * what the main figure lost where there is none; between shares a straight line, and never less than for smaller ones.
 */
export function costOf({ score, rows }: Sensitivity): (name: string, share: number) => number {
  const curves = new Map(
    rows.map(({ name, points }) => {
      let highest = 0
      const curve = points.map((point) => {
        highest = Math.max(highest, point.divergence ?? Math.max(0, score - point.score))
        return { share: point.share, cost: highest }
      })
      return [name, [{ share: 0, cost: 0 }, ...curve]] as const
    }),
  )
  return (name, share) => {
    const curve = curves.get(name)
    if (!curve || curve.length === 1) return share
    const above = curve.findIndex((point) => point.share >= share)
    // Beyond what was measured, the last slope goes on.
    const at = above < 0 ? curve.length - 1 : Math.max(1, above)
    const [from, to] = [curve[at - 1]!, curve[at]!]
    return from.cost + ((to.cost - from.cost) * (share - from.share)) / (to.share - from.share)
  }
}
