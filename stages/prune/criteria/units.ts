// Criteria for whole layers: what the answers lose without one, how much it turns what goes through it, its weights.

import { sha256 } from '../../../base/hash.ts'
import { random } from '../../../base/random.ts'
import { firstSamples, type Samples } from '../../../base/samples.ts'
import type { Builder } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements } from '../../../onnx/tensor.ts'
import { type Predictions, type PredictOptions, predict } from '../../../runtime/predict.ts'
import { openMeasurements } from '../../measurements.ts'
import { sumsOver } from '../../sums.ts'
import { requiredData } from '../../training.ts'
import { type Unit, weightsOf, withoutUnits } from '../units.ts'
import type { ScoreUnits } from './criterion.ts'

/** Numbers of answers that lie in memory at most. */
const mostNumbers = 2 ** 24

/**
 * How far the outputs move without the unit: Σ ‖y - y′‖² / Σ ‖y‖² over samples, the mean over outputs.
 *
 * (Ma et al. 2023 and Kim et al. 2024 score blocks so by perplexity.)
 */
export const change: ScoreUnits = async ({ units, model, samples, context }) => {
  const { calibration } = requiredData(context)
  const { task, threads, provider, signal, shared } = context
  const options = { outputs: task.outputs, threads, provider, signal }
  const about = [
    sha256(serializeModel(model)),
    ...[calibration.fingerprint, samples, task.outputs, threads, provider],
  ]
  const remember = openMeasurements<number>('layers', about, shared)
  let asked: ReturnType<typeof answersOf> | undefined
  const scores = new Map<Unit, number>()
  for (const unit of units) {
    const score = await remember([unit.entry.name, unit.exit.name], async () => {
      asked ??= answersOf(model, calibration, samples, options)
      const { looked, answers } = await asked
      const { outputs } = await predict(withoutUnits(model, [unit]), looked, options)
      return distance(answers.outputs, outputs, answers.widths)
    })
    scores.set(unit, score)
  }
  return scores
}

/** What the whole model says of as many samples as its answers leave room for. */
async function answersOf(
  model: Model,
  calibration: Samples,
  samples: number,
  options: PredictOptions,
): Promise<{ readonly looked: Samples; readonly answers: Predictions }> {
  const { width } = await predict(model, firstSamples(calibration, 1), options)
  const fitting = Math.max(1, Math.floor(mostNumbers / width))
  const looked = firstSamples(calibration, Math.min(samples, fitting))
  return { looked, answers: await predict(model, looked, options) }
}

/** The mean over outputs of the squared distance, each relative to the square of the first. */
function distance(one: Float32Array, other: Float32Array, widths: readonly number[]): number {
  const width = widths.reduce((sum, own) => sum + own, 0)
  let [total, offset] = [0, 0]
  for (const own of widths) {
    let [moved, size] = [0, 0]
    for (let start = offset; start < one.length; start += width)
      for (let at = start; at < start + own; at++) {
        moved += (one[at]! - other[at]!) ** 2
        size += one[at]! ** 2
      }
    total += size > 0 ? moved / size : moved
    offset += own
  }
  // Answers that are no numbers any more have lost everything.
  return Number.isFinite(total) ? total / widths.length : Number.MAX_VALUE
}

/**
 * The angle between what goes into the unit and what comes out, 1/π arccos of the cosine, the mean over samples and
 * positions (Gromov et al. 2024, equation 7, which looks at the last position alone).
 */
export const angular: ScoreUnits = async (subject) => {
  const { units, model } = subject
  const sums = await sumsOver(
    model,
    (g, named) =>
      units.flatMap(({ entry, exit }) => {
        const rank = entry.type?.shape?.length ?? 2
        // Of images and signals the channels are the second axis, of sequences and vectors the last.
        const axis = rank === 2 || rank === 3 ? rank - 1 : 1
        const angles = anglesBetween(g, named(entry.name), named(exit.name), axis)
        const count = g.Cast(g.node('Size', [angles])[0]!, { to: 1 })
        return [g.ReduceSum(angles, { keepdims: 0 }), count]
      }),
    subject,
  )
  return new Map(units.map((unit, at) => [unit, sums[2 * at]![0]! / sums[2 * at + 1]![0]!]))
}

/** 1/π arccos of the cosine of vectors along an axis. */
function anglesBetween(g: Builder, one: Value, other: Value, axis: number): Value {
  const [a, b] = [g.Cast(one, { to: 1 }), g.Cast(other, { to: 1 })]
  const along = (x: Value, y: Value) => g.ReduceSum(g.Mul(x, y), [axis], { keepdims: 1 })
  const lengths = g.Sqrt(g.Mul(along(a, a), along(b, b)))
  const cosine = g.Div(along(a, b), g.Add(lengths, 1e-12))
  // Rounding must not leave the range of a cosine.
  const [angle] = g.node('Acos', [g.Clip(cosine, -1, 1)])
  return g.Mul(angle!, 1 / Math.PI)
}

/** A mean over the weights of a unit, so that large units do not count more than small ones. */
export const meanWeight =
  (add: (sum: number, weight: number) => number, finish: (mean: number) => number): ScoreUnits =>
  ({ units }) =>
    new Map(
      units.map((unit) => {
        let [sum, count] = [0, 0]
        // Scales and shifts of norms are of another size than weights.
        for (const { tensor } of weightsOf(unit))
          if (tensor!.dims.length > 1) {
            sum = elements(tensor!, 'float32').reduce(add, sum)
            count += tensor!.size
          }
        return [unit, count > 0 ? finish(sum / count) : 0]
      }),
    )

/** A random number for each unit, by seed and name. */
export const randomUnits: ScoreUnits = ({ units, context: { seed } }) =>
  new Map(units.map((unit) => [unit, random(seed, 'prune', unit.name).uniform()]))
