// Advice on a distillation: one row a kind, a line made of measured facts, or nothing where they give no cause.
import {
  formatCount,
  formatNumber,
  formatPercent,
  formatProbability,
} from '../../benchmarks/report/format.ts'
import { formatMetric, metricTitle } from '../../benchmarks/report/metrics.ts'
import { comparesWith, type LossOptions } from '../../train/losses.ts'
import { largestOf } from '../../train/scheduled.ts'
import type { EpochRecord } from '../../train/settings.ts'

/** One training of a student, or one phase of it. */
export interface Taught {
  readonly losses: readonly LossOptions[]
  readonly epochs: readonly EpochRecord[]
}

/** A model on the validation samples. */
export interface Judged {
  readonly name: string
  /** Numbers in its weights. */
  readonly parameters: number
  /** The main figure of the task; larger is better. */
  readonly score: number
}

/** How sure a classifier is of what it says. */
export interface Sureness {
  /** Mean probability of the decision, 0..1. */
  readonly confidence: number
  /** Share of right decisions, and the upper end of its 95 % interval. */
  readonly right: number
  readonly rightAtMost: number
  /** Expected calibration error, 0..1. */
  readonly error: number
}

/** A classifier's answers at a temperature. */
export interface Softened {
  readonly temperature: number
  /** Mean of the largest probability, 0..1. */
  readonly largest: number
  /** Mean KL from uniform answers over its largest possible value, 0..1: how much is said at all. */
  readonly said: number
}

/** The teacher on training samples, as they are and augmented. */
export interface Augmented {
  readonly samples: number
  readonly plain: number
  readonly changed: number
  /** p of a paired test of the difference. */
  readonly p: number | null
}

/** What was measured of a distillation; what is absent does not apply to the task or could not be told. */
export interface DistillFacts {
  /** The phases of the training that gave the student, in order. */
  readonly phases: readonly Taught[]
  readonly hasAssistants: boolean
  /** What makes the student a low-bit one, in words. */
  readonly lowBits?: string | undefined
  /** The name of the main figure. */
  readonly metric: string
  /** Validation samples that were asked about. */
  readonly samples: number
  readonly student?: Judged | undefined
  /** The best of the teachers for all classes. */
  readonly teacher?: Judged | undefined
  /** p of a paired test of the difference between the two. */
  readonly p?: number | null | undefined
  readonly sureness?: Sureness | undefined
  readonly softened?: Softened | undefined
  readonly augmented?: Augmented | undefined
}

/** From this share of the loss on, a loss on tapped values leaves nothing to the others. */
const dominant = 0.9
/** Above this, soft answers harm a low-bit student: DoReFa w3a8 with KD 91.6 % at T = 1, 90.9 % at 2, 80.0 % at 5. */
const hot = 2
/** A teacher so many times as large, of whose score so little is left, is too far away (Mirzadeh et al. 2020). */
const [wideGap, littleLeft] = [10, 0.97]
/** What is not calibrated, and what is sure of everything. */
const [uncalibrated, certain] = [0.05, 0.99]
/** Answers with so large a probability for one class say little of the others. */
const stillSure = 0.9
/** A loss of so much of the main figure on augmented samples is no small change of them. */
const farBelow = 0.05
const significance = 0.05
/** Answers that are so near to uniform ones say nothing; 0.009 taught a student well (MNIST at T = 20). */
const saysNothing = 0.003

/** The kinds of advice, in the order in which they are given. */
export const kinds: Readonly<Record<string, (facts: DistillFacts) => string | undefined>> = {
  dominance({ phases }) {
    // In a phase before the last one, features may well be what is to be learned.
    const last = phases.at(-1)
    const found = last && dominating(last)
    if (!found) return undefined
    const { options, share, epochs } = found
    const when = epochs === 1 ? 'the last epoch' : `the last ${epochs} epochs`
    const { weight } = options
    const even =
      typeof weight === 'number'
        ? `: ${short((weight * (1 - share)) / share)} in place of ${short(weight)} would make it half`
        : ''
    return `feature loss dominates: '${options.loss}' is ${percent(share)} of the loss in ${when} — lower its weight${even}; or learn features first, in a phase of their own`
  },

  lowBits({ phases, lowBits }) {
    const T = hottest(phases)
    if (lowBits === undefined || T === undefined || T.temperature <= hot) return undefined
    return `temperature too high for a low-bit student: ${lowBits}, and '${T.loss}' has T = ${short(T.temperature)} — use a temperature of 1, at most ${hot}`
  },

  capacity({ teacher, student, hasAssistants, metric }) {
    if (!teacher || !student || hasAssistants || teacher.score <= 0) return undefined
    const [ratio, left] = [teacher.parameters / student.parameters, student.score / teacher.score]
    if (!(ratio > wideGap && left < littleLeft)) return undefined
    return `capacity gap: ${teacher.name} has ${formatNumber(ratio)} times the parameters (${formatCount(teacher.parameters)} to ${formatCount(student.parameters)}), and the student keeps ${percent(Math.max(0, left))} of its ${titleOf(metric)} on the validation samples — put a model between them: 'assistants: auto'`
  },

  overConfidence({ teacher, sureness, softened, samples }) {
    if (!teacher || !sureness || !softened) return undefined
    const { confidence, right, rightAtMost, error } = sureness
    const { temperature: T, largest } = softened
    const remedy = `raise the temperature (it is ${short(T)}), or calibrate the teacher, as by label smoothing in its training`
    // Of few samples the error is never near 0; that the mean is too high is what matters.
    if (error > uncalibrated && confidence > rightAtMost)
      return `teacher over-confident: ${teacher.name} is sure to ${percent(confidence)} and right in ${percent(right)} (calibration error ${formatNumber(error)} on ${samples} validation samples) — ${remedy}`
    if (confidence > certain && largest > stillSure)
      return `teacher over-confident: ${teacher.name} gives its decision ${percent(confidence, 1)} on average, and ${percent(largest)} at T = ${short(T)}, so that little is said of the other classes — ${remedy}`
    return undefined
  },

  augmentation({ teacher, augmented, metric }) {
    if (!teacher || !augmented || augmented.p === null) return undefined
    const { samples, plain, changed, p } = augmented
    if (!(plain - changed > farBelow && p < significance)) return undefined
    return `augmentation mismatch: on ${samples} training samples ${teacher.name} has ${titleOf(metric)} ${formatMetric(metric, plain)}, on the same ones augmented ${formatMetric(metric, changed)} (${probability(p)}): it was not trained with such samples — augment less, or train the teacher with the same augmentation`
  },

  better({ teacher, student, p, metric, samples }) {
    if (!teacher || !student || p === null || p === undefined) return undefined
    if (!(student.score > teacher.score && p < significance)) return undefined
    return `student better than its teacher: ${titleOf(metric)} ${formatMetric(metric, student.score)} against ${formatMetric(metric, teacher.score)} on ${samples} validation samples (${probability(p)}) — give labels more weight, or look for a better teacher, as an ensemble`
  },

  silence({ teacher, softened }) {
    if (!teacher || !softened || softened.said >= saysNothing) return undefined
    return `teacher says nothing: at T = ${short(softened.temperature)} the answers of ${teacher.name} are uniform but for ${percent(softened.said, 2)} — lower the temperature`
  },
}

/** All advice that the facts give cause for, a line each. */
export const advise = (facts: DistillFacts): string[] =>
  Object.values(kinds).flatMap((kind) => kind(facts) ?? [])

/** The loss on the teacher's outputs with the highest temperature that it ever has. */
export function hottest(
  phases: readonly Taught[],
): { readonly loss: string; readonly temperature: number } | undefined {
  const found = phases
    .flatMap(({ losses }) => losses)
    .flatMap((options) =>
      'temperature' in options && comparesWith([options], 'teacher')
        ? [{ loss: options.loss, temperature: largestOf(options.temperature) }]
        : [],
    )
  return found.reduce<(typeof found)[number] | undefined>(
    (most, one) => (most && most.temperature >= one.temperature ? most : one),
    undefined,
  )
}

/** The share of each weighted term of the loss over the last third of a training; empty where it is not known. */
export function lastShares({ losses, epochs }: Taught): { shares: number[]; epochs: number } {
  const last = epochs
    .slice(Math.min(epochs.length - 1, Math.floor((epochs.length * 2) / 3)))
    // Penalties come after the losses.
    .flatMap(({ terms = [] }) =>
      terms.length >= losses.length ? [terms.slice(0, losses.length)] : [],
    )
  // Some losses are below 0; what matters is how much they pull.
  const sums = losses.map((_, place) =>
    last.reduce((sum, terms) => sum + Math.abs(terms[place]!), 0),
  )
  const total = sums.reduce((sum, term) => sum + term, 0)
  const isKnown = total > 0 && Number.isFinite(total)
  return { shares: isKnown ? sums.map((term) => term / total) : [], epochs: last.length }
}

/** A loss on values of both models that is nearly all of the loss. */
function dominating(taught: Taught) {
  const { shares, epochs } = lastShares(taught)
  const others = taught.losses.filter(({ weight }) => largestOf(weight) > 0)
  const place = shares.findIndex(
    (share, index) => share > dominant && 'connector' in taught.losses[index]!,
  )
  if (place < 0 || others.length < 2) return undefined
  return { options: taught.losses[place]!, share: shares[place]!, epochs }
}

/** A number of the recipe, or one like it, without more digits than it needs. */
const short = (value: number): string => String(Number(value.toPrecision(3)))

const percent = (share: number, digits = 0): string => formatPercent(share, digits)

const probability = (p: number): string => {
  const text = formatProbability(p)
  return text.startsWith('<') ? `p ${text}` : `p = ${text}`
}

// In the middle of a sentence; abbreviations stay as they are.
const titleOf = (metric: string): string => {
  const title = metricTitle(metric)
  return title === 'Accuracy' ? 'accuracy' : title
}
