// Tagging: a class for each position of a sample; positions whose target is -1 do not count.
import { bootstrapOf, type Contributions, contributions, pairedP } from '../base/bootstrap.ts'
import { calibration, klDivergence, logSoftmax } from '../base/statistics.ts'
import { byName, confusion } from './confusion.ts'
import { entitiesOf, tagsOf } from './entities.ts'
import { softmaxNormaliser } from './outputs.ts'
import { classRatios, finite, largest, ratioTo } from './predictions.ts'
import type { Predictions, Task, Truth } from './task.ts'

/** A class a position. Outputs are `[positions, classes]` a sample; targets are classes, -1 where none counts. */
export const tagging: Task = {
  summary: 'A class for each position of a sample',
  target: 'tags',
  agreementIs: "how often the tag is the teacher's, right or wrong",
  outputs: 'first',
  losses: [{ loss: 'cross-entropy', weight: 1, labelSmoothing: 0 }],
  distillation: [
    { loss: 'kl', weight: 0.9, temperature: 4, standardise: false },
    { loss: 'cross-entropy', weight: 0.1, labelSmoothing: 0 },
  ],

  normaliser: softmaxNormaliser,
  width: ({ classes, targetWidth }) => targetWidth * classes.length,

  evaluate(predictions, truth) {
    const { classes } = truth
    const { counts, sums, entities, calibrationError, undecided } = count(predictions, truth)
    const { value, interval } = bootstrapOf(sums, shareOf)
    return {
      accuracy: {
        metric: 'accuracy',
        value,
        interval,
        metrics: { accuracy: value, ...counts.macro(), ...(entities && entityFigures(entities)) },
        perClass: byName(classes, counts.recall()),
        classMetrics: {
          precision: byName(classes, counts.precision()),
          recall: byName(classes, counts.recall()),
          f1: byName(classes, counts.f1()),
        },
      },
      calibrationError,
      undecided,
    }
  },

  retain(teacher, model, truth) {
    const [own, theirs] = [count(model, truth), count(teacher, truth)]
    const { same, divergence } = compare(teacher, model, truth)
    const recall = (of: Counted) => byName(truth.classes, of.counts.recall())
    return {
      accuracy: ratioTo(shareOf(theirs.sums.total()), shareOf(own.sums.total())),
      agreement: same,
      klDivergence: finite(divergence),
      perClass: classRatios(recall(theirs), recall(own)),
      p: pairedP(own.sums, theirs.sums, shareOf),
      measures: {},
    }
  },

  agreement: (one, other, truth) => compare(other, one, truth).same,

  chance: ({ classes }) => 1 / classes.length,
}

const at = (row: Float32Array, position: number, classes: number): Float32Array =>
  row.subarray(position * classes, (position + 1) * classes)

/** The share of right positions, from the sums of right ones and of all. */
const shareOf = (sums: Float64Array): number => (sums[1]! > 0 ? sums[0]! / sums[1]! : 0)

/** Entities found rightly, found at all, and there. */
interface Entities {
  hits: number
  chosen: number
  actual: number
}

interface Counted {
  readonly counts: ReturnType<typeof confusion>
  /** Right positions and all that count; samples are what is resampled, for positions of one depend on each other. */
  readonly sums: Contributions
  /** Undefined where the classes are no tags of entities. */
  readonly entities: Entities | undefined
  readonly calibrationError: number | null
  /** Samples with a position that counts and has no answer. */
  readonly undecided: number
}

function count(predictions: Predictions, truth: Truth): Counted {
  const classes = truth.classes.length
  const counts = confusion(classes)
  const sums = contributions(truth.size, 2)
  const confidences = calibration()
  const tags = tagsOf(truth.classes)
  const entities: Entities = { hits: 0, chosen: 0, actual: 0 }
  let undecided = 0
  for (const { sample, targets } of samplesOf(truth)) {
    const row = predictions.row(sample)
    const [wanted, chosen]: [number[], number[]] = [[], []]
    let right = 0
    for (const [position, target] of targets.entries()) {
      if (target < 0) continue
      const logits = at(row, position, classes)
      const decision = largest(logits)
      counts.add(target, decision)
      wanted.push(target)
      chosen.push(decision)
      right += Number(decision === target)
      if (decision >= 0)
        confidences.add(Math.exp(logSoftmax(logits)[decision]!), decision === target)
    }
    sums.add(sample, right, wanted.length)
    undecided += Number(chosen.includes(-1))
    if (!tags) continue
    const [there, found] = [entitiesOf(wanted, tags), entitiesOf(chosen, tags)]
    entities.actual += there.size
    entities.chosen += found.size
    for (const entity of found) entities.hits += Number(there.has(entity))
  }
  return {
    counts,
    sums,
    entities: tags && entities,
    calibrationError: undecided ? null : confidences.error(),
    undecided,
  }
}

/** The share of positions that count with the same answer, and the mean divergence in nats. */
function compare(teacher: Predictions, model: Predictions, truth: Truth) {
  const classes = truth.classes.length
  let [same, positions, divergence] = [0, 0, 0]
  for (const { sample, targets } of samplesOf(truth)) {
    const [row, teacherRow] = [model.row(sample), teacher.row(sample)]
    for (const [position, target] of targets.entries()) {
      if (target < 0) continue
      const [one, other] = [at(row, position, classes), at(teacherRow, position, classes)]
      const decision = largest(one)
      same += Number(decision >= 0 && decision === largest(other))
      divergence += klDivergence(other, one)
      positions++
    }
  }
  const share = (sum: number) => sum / Math.max(1, positions)
  return { same: share(same), divergence: share(divergence) }
}

function* samplesOf(truth: Truth) {
  const targets = new Float32Array(truth.targetWidth)
  for (let sample = 0; sample < truth.size; sample++) {
    truth.target(sample, targets, 0)
    yield { sample, targets }
  }
}

function entityFigures({ hits, chosen, actual }: Entities): Record<string, number | null> {
  return {
    'entity-f1': chosen + actual > 0 ? (2 * hits) / (chosen + actual) : null,
    'entity-precision': chosen > 0 ? hits / chosen : null,
    'entity-recall': actual > 0 ? hits / actual : null,
  }
}
