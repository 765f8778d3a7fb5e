// What a task is: what its models are trained with, and how their outputs are judged.
import type { Interval } from '../base/statistics.ts'
import type { Dataset } from '../data/dataset.ts'
import type { Graph } from '../onnx/graph.ts'
import type { LossOptions } from '../train/options.ts'

/** What a model said of every sample of a data set. */
export interface Predictions {
  /** `[size, width]`, row-major. */
  readonly outputs: Float32Array
  /** Numbers a sample. */
  readonly width: number
}

/** The truth that predictions are compared with; every {@link Dataset} fits. */
export type Truth = Pick<Dataset, 'classes' | 'labels' | 'source'>

/** How good predictions are. */
export interface Accuracy {
  /** Share of the samples classified correctly, 0..1. */
  readonly top1: number
  /** Its 95 % Wilson interval. */
  readonly top1Interval: Interval
  /** `top1` by class; null where no sample has the class. */
  readonly perClass: Readonly<Record<string, number | null>>
}

/** What a model's predictions say of it alone. */
export interface Evaluation {
  readonly accuracy: Accuracy
  /** Expected calibration error over 15 bins, 0..1; null where a sample is undecided. */
  readonly calibrationError: number | null
  /** Samples whose outputs choose no class, for some are not finite numbers; they count as wrong. */
  readonly undecided: number
}

/** How much of the teacher's behaviour is left. */
export interface Retention {
  /** `top1` over the teacher's; above 1 is better, and 0 where the teacher is never right. */
  readonly accuracy: number
  /** Share of the samples with the teacher's prediction, 0..1. */
  readonly agreement: number
  /** Mean KL(teacher ‖ model) in nats; null where an output is not finite. */
  readonly klDivergence: number | null
  /** Accuracy by class over the teacher's; null where the teacher has none. */
  readonly perClass: Readonly<Record<string, number | null>>
  /** p of McNemar's exact two-sided test: how likely so unequal an error is if both were equally good. */
  readonly mcnemarP: number
}

/** A task. */
export interface Task {
  /** What a model is trained with from labels alone, where a recipe says nothing. */
  readonly losses: readonly LossOptions[]
  /** What a student is trained with, where a recipe says nothing. */
  readonly distillation: readonly LossOptions[]
  /** What puts a graph's outputs on the one scale that the functions below want, whatever the graph ends with. */
  normaliser(graph: Graph): (predictions: Predictions) => Predictions
  /** Throws a `UserError` where outputs of this width do not fit the data; `where` names the model. */
  check(width: number, truth: Truth, where: string): void
  /** Judges normalised predictions by the labels. */
  evaluate(predictions: Predictions, truth: Truth): Evaluation
  /** Compares normalised predictions with the teacher's for the same samples. */
  retain(teacher: Predictions, model: Predictions, truth: Truth): Retention
  /** What is chosen for each sample: a class, or -1 where it is undecided. */
  decide(predictions: Predictions): Int32Array
  /** The share of right answers that guessing gives. */
  chance(truth: Truth): number
}
