// What advice on a distillation is made of: teacher and student on validation samples, the teacher on augmented ones.
import { calibration, logSoftmax, wilsonInterval } from '../../base/statistics.ts'
import { evenlySpread } from '../../benchmarks/sampling.ts'
import { type AugmentOptions, changesSamples } from '../../data/augment.ts'
import { batches } from '../../data/batches.ts'
import type { Dataset } from '../../data/dataset.ts'
import { subset } from '../../data/subset.ts'
import type { Model } from '../../onnx/graph.ts'
import { elements, sizeOf } from '../../onnx/tensor.ts'
import { predictionsIn, predictWith } from '../../runtime/predict.ts'
import { withSession } from '../../runtime/session.ts'
import { allFinite, largest } from '../../tasks/predictions.ts'
import type { Predictions, Truth } from '../../tasks/task.ts'
import { needsTeacher } from '../../train/losses.ts'
import type { StageContext } from '../stage.ts'
import { samplesIn } from '../teaching/online.ts'
import type { Member } from '../teaching/teaching.ts'
import { requiredData } from '../training.ts'
import {
  type Augmented,
  advise,
  type DistillFacts,
  hottest,
  type Judged,
  type Softened,
  type Sureness,
  type Taught,
} from './advice.ts'
import { parametersOf } from './assistants.ts'
import { answersInOrder, settlerOf } from './class-order.ts'

/** Samples that a model is asked about, at most. */
const mostSamples = 1000
/** Numbers of them that lie in memory, at most. */
const mostNumbers = 2 ** 24

/** A distillation that is over. */
export interface Distilled {
  readonly student: Model
  /** Those that taught, or those that the first of a chain was taught by. */
  readonly teachers: readonly Member[]
  /** The phases of the training that gave the student. */
  readonly phases: readonly Taught[]
  readonly hasAssistants: boolean
  readonly augment: AugmentOptions | undefined
}

/**
 * Measures teacher and student on at most 1,000 validation samples, the teacher on as many augmented training samples, and
 * gives advice, a line each; none where no loss asks for a teacher.
 */
export async function adviseOn(
  { student, teachers, phases, hasAssistants, augment }: Distilled,
  context: StageContext,
): Promise<string[]> {
  const losses = phases.flatMap(({ losses }) => losses)
  if (!needsTeacher(losses)) return []
  const { validation, train } = requiredData(context)
  const { task } = context
  const facts = { phases, hasAssistants, lowBits: lowBitsOf(student), metric: '', samples: 0 }
  // Where the teacher is the truth, it is not to be judged; specialists know some classes alone.
  const generalists = teachers.filter(({ classes }) => !classes)
  if (task.target === 'none' || validation.size === 0 || generalists.length === 0)
    return advise(facts)
  const samples = someOf(validation)
  const own = await answersInOrder(student, samples, context, 'student')
  const { accuracy } = task.evaluate(own, samples, own)
  let teacher: (Judged & { answers: Predictions; model: Model }) | undefined
  for (const { name, model } of generalists) {
    const answers = await answersInOrder(model, samples, context, name)
    // A teacher whose inside alone is learned from may answer something else.
    if (answers.width !== own.width) continue
    const { value: score } = task.evaluate(answers, samples, answers).accuracy
    if (!teacher || score > teacher.score)
      teacher = { name: inWords(name), score, parameters: parametersOf(model), answers, model }
  }
  if (!teacher) return advise(facts)
  const { answers, model, name } = teacher
  const T = hottest(phases)?.temperature
  const isClassifier = task.target === 'class' && T !== undefined
  return advise({
    ...facts,
    metric: accuracy.metric,
    samples: samples.size,
    student: { name: 'student', parameters: parametersOf(student), score: accuracy.value },
    teacher,
    p: task.retain(answers, own, samples).p,
    sureness: isClassifier ? surenessOf(answers, samples) : undefined,
    softened: isClassifier ? softenedAt(T, answers) : undefined,
    augmented: await augmentedOf(model, train, augment, context, name),
  } satisfies DistillFacts)
}

/** The name of a teacher in the middle of a sentence. */
const inWords = (name: string): string => (/^teacher\b/.test(name) ? `the ${name}` : name)

/** Some samples, evenly spread: not more than are quick to ask about, nor than fit into memory. */
function someOf(data: Dataset): Dataset {
  const numbers = data.columns.reduce((sum, { shape }) => sum + sizeOf(shape), data.targetWidth)
  const most = Math.min(mostSamples, Math.floor(mostNumbers / Math.max(1, numbers)))
  return data.size <= most ? data : subset(data, evenlySpread(data, most))
}

/** How sure a classifier is, and how right; undefined where an output is not finite. */
export function surenessOf(answers: Predictions, { labels, size }: Truth): Sureness | undefined {
  const confidences = calibration()
  let [confidence, right] = [0, 0]
  for (let index = 0; index < size; index++) {
    const row = answers.row(index)
    const decision = largest(row)
    if (decision < 0) return undefined
    const probability = Math.exp(logSoftmax(row)[decision]!)
    const hit = decision === labels[index]
    confidences.add(probability, hit)
    confidence += probability / size
    right += Number(hit)
  }
  const rightAtMost = wilsonInterval(right, size)[1]
  return { confidence, right: right / size, rightAtMost, error: confidences.error() }
}

/** What a classifier says at a temperature; undefined where an output is not finite, or there is one class alone. */
export function softenedAt(temperature: number, answers: Predictions): Softened | undefined {
  const { size, width } = answers
  let [most, said] = [0, 0]
  for (let index = 0; index < size; index++) {
    const row = answers.row(index)
    if (width < 2 || !allFinite(row)) return undefined
    const logs = logSoftmax(row.map((logit) => logit / temperature))
    most += Math.exp(logs.reduce((a, b) => Math.max(a, b))) / size
    const divergence = logs.reduce((sum, log) => sum + Math.exp(log) * log, Math.log(width))
    said += Math.max(0, divergence) / Math.log(width) / size
  }
  return { temperature, largest: most, said }
}

/** A teacher on training samples, as they are and augmented; mixing is left out, for it changes the truth. */
async function augmentedOf(
  teacher: Model,
  train: Dataset,
  augment: AugmentOptions | undefined,
  context: StageContext,
  where: string,
): Promise<Augmented | undefined> {
  const { task, seed, threads, provider, signal } = context
  const { mixup: _, cutmix: __, ...single } = augment ?? {}
  if (!changesSamples(single)) return undefined
  const samples = someOf(train)
  const { outputs } = task
  const settle = settlerOf(teacher, train, context, where)
  return await withSession(teacher, { threads, provider, where }, async (session) => {
    const plain = settle(await predictWith(session, samples, { signal, where, outputs }))
    const parts: Float32Array[] = []
    let widths: readonly number[] = []
    // The batch is the one that training uses where memory allows; the changes do not depend on it.
    for (const batch of batches(samples, {
      size: 64 * samples.group,
      seed,
      augment: single,
      epoch: 1,
    })) {
      const answers = await predictWith(session, samplesIn(batch, samples), {
        ...{ signal, where, outputs },
      })
      parts.push(answers.outputs)
      widths = answers.widths
    }
    const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
    let offset = 0
    for (const part of parts) {
      all.set(part, offset)
      offset += part.length
    }
    const changed = settle(predictionsIn(all, widths))
    const scoreOf = (answers: Predictions) =>
      task.evaluate(answers, samples, answers).accuracy.value
    return {
      samples: samples.size,
      plain: scoreOf(plain),
      changed: scoreOf(changed),
      p: task.retain(plain, changed, samples).p,
    }
  })
}

/** Operators that round values to few levels. */
const quantizing: ReadonlySet<string> = new Set([
  'QuantizeLinear',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
])
/** Different numbers that weights of 4 bits have. */
const fewLevels = 16
/** Smaller weights say nothing of how many levels there are. */
const leastWeights = 256

/** What makes a model a low-bit one: it quantizes values, or most of its weights have a few levels; undefined for others. */
export function lowBitsOf({ graph }: Model): string | undefined {
  const quantizers = graph.nodes.filter(({ opType }) => quantizing.has(opType))
  if (quantizers.length > 0) return `its graph quantizes values in ${quantizers.length} places`
  let [few, all] = [0, 0]
  for (const { tensor } of graph.initializers) {
    if (!tensor || tensor.dims.length < 2 || tensor.size < leastWeights) continue
    all += tensor.size
    if (/int4$|int2$/.test(tensor.dtype)) few += tensor.size
    else if (tensor.dtype === 'float32') {
      const values = elements(tensor, 'float32')
      const rows = tensor.dims[0]!
      const width = values.length / rows
      // Weights that are quantized by channel have other levels in each.
      const isCoarse =
        hasFew(values) ||
        (width > 4 * fewLevels &&
          Array.from({ length: rows }, (_, row) => row).every((row) =>
            hasFew(values.subarray(row * width, (row + 1) * width)),
          ))
      if (isCoarse) few += tensor.size
    }
  }
  return few > all / 2 ? `most of its weights have at most ${fewLevels} levels` : undefined
}

/** True where there are not more levels than 4 bits have. */
function hasFew(values: Float32Array): boolean {
  const levels = new Set<number>()
  for (const value of values) {
    levels.add(value)
    if (levels.size > fewLevels) return false
  }
  return true
}
