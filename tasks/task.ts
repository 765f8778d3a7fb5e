// What a task is: what its models are trained with, and how their outputs are judged.
import type { Interval } from '../base/statistics.ts'
import type { Dataset } from '../data/dataset.ts'
import type { TargetKind } from '../data/targets.ts'
import type { Graph } from '../onnx/graph.ts'
import type { LossOptions } from '../train/losses.ts'

/** What a model said of every sample of a data set; a row is valid until the next one is asked for. */
export interface Predictions {
  /** How many samples. */
  readonly size: number
  /** Numbers a sample: of the first output, or of all outputs one after the other (see `Task.outputs`). */
  readonly width: number
  /** How many of the numbers belong to each output in turn; one output unless told. */
  readonly widths?: readonly number[]
  /** The numbers of one sample. */
  row(index: number): Float32Array
}

/** The truth that predictions are compared with: what a data set says of its samples, but for their content. */
export type Truth = Pick<
  Dataset,
  'source' | 'size' | 'classes' | 'labels' | 'group' | 'targetNames' | 'targetWidth' | 'target'
>

/** How good predictions are: one main figure, and whatever else the task measures. */
export interface Accuracy {
  /** The name of the main figure, a key of `metrics`: `top1`, `r2`, `ndcg@10`, … */
  readonly metric: string
  /** The main figure; larger is better, 1 is perfect. */
  readonly value: number
  /** Its 95 % interval over the samples: Wilson for shares, otherwise bootstrap. */
  readonly interval: Interval
  /** All figures by name; null where one cannot be told (no sample of a class, no spread in the targets). */
  readonly metrics: Readonly<Record<string, number | null>>
  /** The main figure, or what stands for it, by class; only where there are classes. */
  readonly perClass?: Readonly<Record<string, number | null>>
  /** Further figures by class: `precision`, `recall`, `f1`, … */
  readonly classMetrics?: Readonly<Record<string, Readonly<Record<string, number | null>>>>
}

/** What a model's predictions say of it alone. */
export interface Evaluation {
  readonly accuracy: Accuracy
  /** Expected calibration error over 15 bins, 0..1; null where it cannot be told or the task has none. */
  readonly calibrationError: number | null
  /** Samples whose outputs say nothing, for some are not finite numbers; they count as wrong. */
  readonly undecided: number
}

/** How much of the teacher's behaviour is left. */
export interface Retention {
  /** The main figure over the teacher's; above 1 is better, and 0 where the teacher's is not above 0. */
  readonly accuracy: number
  /** How alike the decisions are, 0..1: the share of equal ones, or what the task has for it. */
  readonly agreement: number
  /** Mean KL(teacher ‖ model) in nats; null where an output is not finite or the task has no distributions. */
  readonly klDivergence: number | null
  /** Main figure by class over the teacher's; null where the teacher has none. Empty without classes. */
  readonly perClass: Readonly<Record<string, number | null>>
  /**
   * p of a two-sided test of the difference to the teacher: McNemar's exact one for right and wrong answers, a paired
   * bootstrap otherwise; null where the teacher is the truth.
   */
  readonly p: number | null
  /** Further measures of likeness by name, as `cosine`, `psnr`, `spearman`. */
  readonly measures: Readonly<Record<string, number | null>>
}

/** A task. */
export interface Task {
  /** One line for people. */
  readonly summary: string
  /** What the data must say of each sample. */
  readonly target: TargetKind
  /** What `Retention.agreement` is of this task, for people. */
  readonly agreementIs: string
  /** Which outputs of a model are judged: the first one, or all that are float, one after the other. */
  readonly outputs: 'first' | 'all'
  /** What a model is trained with from labels alone, where a recipe says nothing. */
  readonly losses: readonly LossOptions[]
  /** What a student is trained with, where a recipe says nothing. */
  readonly distillation: readonly LossOptions[]
  /** What puts a graph's outputs on the one scale that the functions below want, whatever the graph ends with. */
  normaliser(graph: Graph): (predictions: Predictions) => Predictions
  /** The numbers that a model's output must have a sample for this data; undefined where any width will do. */
  width(truth: Truth): number | undefined
  /** Refuses test data that nothing can be judged by with a `UserError`; absent where any will do. */
  check?(truth: Truth): void
  /** Judges normalised predictions by the truth; `teacher` is there for tasks whose truth is the teacher. */
  evaluate(predictions: Predictions, truth: Truth, teacher: Predictions): Evaluation
  /** Compares normalised predictions with the teacher's for the same samples. */
  retain(teacher: Predictions, model: Predictions, truth: Truth): Retention
  /**
   * How alike the decisions of two runs over the same samples are, 0..1; samples of which one is undecided differ.
   * `truth` is that of these samples, which come in whole groups.
   */
  agreement(one: Predictions, other: Predictions, truth: Truth): number
  /** The value of the main figure that guessing gives. */
  chance(truth: Truth): number
}
