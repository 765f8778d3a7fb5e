// How much the outputs of the whole model suffer when one layer alone is factorised, measured on samples.
import { throwIfAborted } from '../../base/errors.ts'
import { sha256 } from '../../base/hash.ts'
import { restoreInterface } from '../../channels/prepare.ts'
import type { Dataset } from '../../data/dataset.ts'
import { subset } from '../../data/subset.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import type { Predictions } from '../../tasks/task.ts'
import { answersOf } from '../answers.ts'
import { openMeasurements } from '../measurements.ts'
import { type MeasuredCost, risingCost } from '../rising.ts'
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

/** The share of its energy that a layer lost, and what the outputs suffered. */
type Point = MeasuredCost

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
  const { calibration } = requiredData(context)
  const { original, samples } = subject
  const remember = openMeasurements<readonly Point[]>(
    'factorize',
    [
      sha256(serializeModel(original)),
      ...[calibration.fingerprint, samples, measure, subject.key, context.seed],
    ],
    context.shared,
    (points) => Array.isArray(points) && points.every(isPoint),
  )
  const count = Math.min(samples, calibration.size)
  const whole = Math.max(calibration.group, count - (count % calibration.group))
  const looked = subset(
    calibration,
    Uint32Array.from({ length: whole }, (_, index) => index),
  )
  const answers = (model: Model) =>
    answersOf(model, looked, context, { outputs: context.task.outputs, where: 'model' })
  let before: Promise<Predictions> | undefined
  const costs = new Map<Unit, (error: number) => number>()
  for (const [index, candidate] of candidates.entries()) {
    throwIfAborted(context.signal)
    const { unit, choices } = candidate
    const points = await remember([unit.name, choices.length], async () => {
      before ??= answers(original)
      return pointsOf(candidate, measure, subject, async (model) =>
        harmBetween(await before!, await answers(model), looked, context),
      )
    })
    costs.set(unit, risingCost(points))
    context.progress({ done: (0.8 * (index + 1)) / candidates.length })
  }
  return (unit, { error }) => costs.get(unit)?.(error) ?? 0
}

const isPoint = (point: unknown): boolean =>
  Array.isArray(point) && point.length === 2 && point.every(Number.isFinite)

/** What the outputs suffer when one layer alone is factorised, at its three sizes. */
async function pointsOf(
  { unit, choices }: Candidate,
  measure: Measure,
  { original, prepared }: Subject,
  harmOf: (model: Model) => Promise<number>,
): Promise<Point[]> {
  const points: Point[] = []
  const wanted = tried.map((share) => within(choices, measure, share * unit[measure]))
  for (const choice of new Set(wanted))
    if (choice) points.push([choice.error, await harmOf(withOne(prepared, original, unit, choice))])
  return points
}

function harmBetween(
  before: Predictions,
  after: Predictions,
  data: Dataset,
  { task }: StageContext,
): number {
  const found = task.retain(before, after, data).klDivergence ?? relativeDistance(before, after)
  return Number.isFinite(found) ? Math.max(0, found) : Number.MAX_VALUE
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
