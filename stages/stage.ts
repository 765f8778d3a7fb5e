// What a stage is: a pure step from one artifact to the next. It never prints, never reads the clock or
// Math.random, and never changes its input; all it needs is given to it.
import type { z } from 'zod'
import type { Splits } from '../data/dataset.ts'
import type { Model } from '../onnx/graph.ts'
import type { ProviderName } from '../runtime/providers.ts'
import type { Task } from '../tasks/task.ts'
import type { LossOptions } from '../train/losses.ts'
import type { EpochRecord } from '../train/settings.ts'
import type { TapNames } from '../train/taps.ts'

/** A model and what is known of it. */
export interface Artifact {
  readonly model: Model
  /** What the stages so far found out; later stages and the report read it. */
  readonly facts: Facts
}

/** Facts about an artifact; each is there when a stage has established it. */
export interface Facts {
  /** The losses that it was trained with last. */
  readonly losses?: readonly LossOptions[]
  /** The training curve of the stage that made it. */
  readonly epochs?: readonly EpochRecord[]
  /** One line for people: what the stage did, e.g. "cut 96 of 224 channels". */
  readonly summary?: string
  /** Values inside the recipe's teacher and this model that its losses compared, by name. */
  readonly taps?: readonly TapNames[]
  /** What was measured on the way that the user should know, a line each. */
  readonly advice?: readonly string[]
}

/** How far a stage is; `epoch` and what follows it are there during training. */
export interface Progress {
  /** Share of the work done, 0..1. */
  readonly done: number
  readonly epoch?: number
  readonly epochs?: number
  /** Mean loss of the epoch so far. */
  readonly loss?: number
  /** The task's main figure on the validation split after the last whole epoch; 1 is perfect. */
  readonly accuracy?: number
  /** The name of that figure. */
  readonly metric?: string
  /** Training samples seen since the last report; the command line turns them into a speed. */
  readonly samples?: number
  /** Set in the one report that follows an epoch's validation; loss and accuracy are those of the epoch. */
  readonly epochDone?: true
}

/** Everything a stage may use of the world. */
export interface StageContext {
  /** The teacher's model; the input of the first stage where a recipe names none. */
  readonly teacher: Model
  /** What the models are for: their losses, and how good they are. */
  readonly task: Task
  /** A variant that was made before, by its id; `teacher` is the teacher. */
  variant(id: string): Promise<Model>
  /** The data; always there for a stage that must have it, never for one that reads none. */
  readonly data: Splits | undefined
  readonly seed: number
  /** Threads of ONNX Runtime. */
  readonly threads: number
  /** Where training and teacher inference run. */
  readonly provider: ProviderName
  /** Where the result is going to run: what a recipe's benchmark measures; `provider` alone unless told. */
  readonly providers?: readonly ProviderName[]
  /** A folder of its own for checkpoints and the teacher's outputs; kept until the stage is finished. */
  readonly folder: string
  /** A folder that all stages share, for files named by the hash of what they were made from. */
  readonly shared: string
  readonly signal: AbortSignal | undefined
  /** True every few minutes: time to keep what is done, in case the machine goes down. */
  checkpointDue(): boolean
  log(message: string): void
  progress(progress: Progress): void
}

/** Whether a stage reads data: it must have it, it checks its result on it where there is some, or it reads none. */
export type DataUse = 'always' | 'where given' | 'never'

/** A stage: its options as a schema, and what it does. */
export interface Stage<Options extends z.ZodObject = z.ZodObject> {
  /** One line, imperative, shown by `condense --help`. */
  readonly summary: string
  readonly options: Options
  /** Whether the stage reads data with these options. */
  dataUse(options: z.output<Options>): DataUse
  /** Ids of the earlier variants that the stage reads besides its input and the teacher; none unless told. */
  variants?(options: z.output<Options>): readonly string[]
  /** Refuses data that the stage cannot work with, before anything runs; absent where any will do. */
  check?(options: z.output<Options>, data: Splits): void
  /** True where the stage checks its result on every provider where it is going to run. */
  readonly checksProviders?: true
  /** Relative cost for the plan: passes over the training data, forward and backward counting 3. */
  passes(options: z.output<Options>): number
  run(input: Artifact, options: z.output<Options>, context: StageContext): Promise<Artifact>
}

/** The identity; it exists so that `run` sees the type of its options. */
export function defineStage<Options extends z.ZodObject>(stage: Stage<Options>): Stage<Options> {
  return stage
}
