// How much the outputs of the whole model suffer when one layer alone is factorised, measured on samples.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { throwIfAborted } from '../../base/errors.ts'
import { makeFolder, writeAtomically } from '../../base/files.ts'
import { hashOf, sha256 } from '../../base/hash.ts'
import { restoreInterface } from '../../channels/prepare.ts'
import { subset } from '../../data/subset.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { predict } from '../../runtime/predict.ts'
import type { Predictions } from '../../tasks/task.ts'
import type { StageContext } from '../stage.ts'
import { requiredData } from '../training.ts'
import { type Candidate, type Choice, type Harm, type Measure, within } from './choose.ts'
import { replaceUnit } from './replace.ts'
import { type Unit, unitsOf } from './units.ts'

/** Shares of a layer's own cost at which it is tried. */
const tried = [0.75, 0.5, 0.25]

/** What is measured on. */
export interface Subject {
  /** The model as it came. */
  readonly original: Model
  /** The same, prepared: the nodes of the units are its. */
  readonly prepared: Model
  /** Calibration samples that are looked at. */
  readonly samples: number
  /** What else the choices depend on: options and seed. */
  readonly key: unknown
}

/** A measured point: the share of its energy that a layer lost, and what the outputs suffered. */
type Point = readonly [error: number, divergence: number]

/**
 * Measures for each layer what the model's outputs suffer when it alone is factorised, at three sizes, and gives the
 * harm of any choice by interpolation over the error. What has been measured for the same model, samples and options
 * before is read from the shared folder.
 */
export async function measuredHarm(
  candidates: readonly Candidate[],
  measure: Measure,
  subject: Subject,
  context: StageContext,
): Promise<Harm> {
  const curves = await kept(candidates, measure, subject, context)
  const byUnit = new Map(candidates.map(({ unit }, index) => [unit, curves[index]!]))
  return (unit, { error }) => interpolated(byUnit.get(unit) ?? [], error)
}

async function kept(
  candidates: readonly Candidate[],
  measure: Measure,
  subject: Subject,
  context: StageContext,
): Promise<readonly (readonly Point[])[]> {
  const { calibration } = requiredData(context)
  const key = hashOf([
    sha256(serializeModel(subject.original)),
    ...[calibration.fingerprint, subject.samples, measure, subject.key, context.seed],
    candidates.map(({ unit, choices }) => [unit.name, choices.length]),
  ])
  const path = join(context.shared, `factorize-${key}.json`)
  if (existsSync(path)) {
    const found = parsed(readFileSync(path, 'utf8'))
    if (found?.length === candidates.length) return found
  }
  const curves = await measureAll(candidates, measure, subject, context)
  makeFolder(context.shared)
  writeAtomically(path, JSON.stringify(curves))
  return curves
}

/** The points of a file, or undefined where it is damaged: then they are measured again. */
function parsed(text: string): readonly (readonly Point[])[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isPoint = (point: unknown) =>
      Array.isArray(point) && point.length === 2 && point.every(Number.isFinite)
    const isSound =
      Array.isArray(value) && value.every((curve) => Array.isArray(curve) && curve.every(isPoint))
    return isSound ? (value as Point[][]) : undefined
  } catch {
    return undefined
  }
}

async function measureAll(
  candidates: readonly Candidate[],
  measure: Measure,
  { original, prepared, samples }: Subject,
  context: StageContext,
): Promise<readonly (readonly Point[])[]> {
  const { calibration } = requiredData(context)
  const { task, threads, provider, signal } = context
  const count = Math.min(samples, calibration.size)
  const whole = Math.max(calibration.group, count - (count % calibration.group))
  const data = subset(
    calibration,
    Uint32Array.from({ length: whole }, (_, index) => index),
  )
  const answersOf = async (model: Model): Promise<Predictions> =>
    task.normaliser(model.graph)(
      await predict(model, data, {
        threads,
        provider,
        signal,
        outputs: task.outputs,
        where: 'model',
      }),
    )
  const before = await answersOf(original)
  const curves: Point[][] = []
  for (const [index, { unit, choices }] of candidates.entries()) {
    throwIfAborted(signal)
    const curve: Point[] = []
    const wanted = tried.map((share) => within(choices, measure, share * unit[measure]))
    for (const choice of new Set(wanted)) {
      if (!choice) continue
      const model = withOne(prepared, original, unit, choice)
      const after = await answersOf(model)
      const { klDivergence } = task.retain(before, after, data)
      const found = klDivergence ?? relativeDistance(before, after)
      curve.push([choice.error, Number.isFinite(found) ? Math.max(0, found) : Number.MAX_VALUE])
    }
    curves.push(curve)
    context.progress({ done: (0.8 * (index + 1)) / candidates.length })
  }
  return curves
}

/** The model with one layer factorised. */
function withOne(prepared: Model, original: Model, unit: Unit, { opened, ranks }: Choice): Model {
  const copy = cloneModel(prepared)
  const same = unitsOf(copy).units.find(({ name }) => name === unit.name)
  if (!same) throw new Error(`internal: no layer '${unit.name}' in a copy`)
  replaceUnit(copy.graph, same, opened, ranks)
  restoreInterface(copy, original)
  return copy
}

/** ‖after − before‖² / ‖before‖². */
function relativeDistance(before: Predictions, after: Predictions): number {
  let [distance, energy] = [0, 0]
  for (let index = 0; index < before.size; index++) {
    const found = after.row(index)
    for (const [at, expected] of before.row(index).entries()) {
      distance += (found[at]! - expected) ** 2
      energy += expected ** 2
    }
  }
  return energy === 0 ? distance : distance / energy
}

/** The harm at an error: linear between the measured points and zero, and on beyond the last of them. */
function interpolated(points: readonly Point[], error: number): number {
  let [from, low]: Point = [0, 0]
  let slope = 0
  for (const [to, measured] of points.toSorted(([one], [other]) => one - other)) {
    // A larger error does not do less harm, whatever few samples say.
    const high = Math.max(low, measured)
    if (to > from) slope = (high - low) / (to - from)
    if (error <= to) return low + slope * (error - from)
    ;[from, low] = [to, high]
  }
  return low + slope * (error - from)
}
