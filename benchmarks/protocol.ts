// What the benchmark asks of a measuring process, and what that answers.

import type { DatasetRecipe } from '../data/dataset.ts'
import type { ProviderName } from '../runtime/providers.ts'
import type { Task } from '../tasks/task.ts'
import type { AttackPlan } from './knowledge/attack.ts'
import type { Change } from './knowledge/changes.ts'
import type { GradientOf } from './knowledge/gradients.ts'
import type { LayersRequest } from './layers/table.ts'
import type { Placement } from './placement.ts'
import type { PredictionsFile } from './predictions-file.ts'
import type { LayerTable } from './report/report.ts'
import type { Timed, TimingPlan } from './timing.ts'

/** Commands with what they ask for and what is answered; `open` comes first. */
export interface Commands {
  /** Opens a model and runs it once; a model that does not fit the samples is a `UserError`. */
  open: {
    request: {
      readonly path: string
      /** What messages call the model. */
      readonly where: string
      readonly provider: ProviderName
      readonly threads: number
      /** The test samples; their records are in a file. */
      readonly data: DatasetRecipe
    }
    reply: {
      /** The batch size that the model demands, undefined where it takes any. */
      readonly fixedBatch: number | undefined
      /**
       * Largest resident memory of the process, or of the page and the GPU process of its browser, after the first run,
       * at batch 1 where the model takes that; undefined where the system does not tell.
       */
      readonly peakMemoryBytes: number | undefined
    }
  }
  /** What one sample costs by the shapes of the model; a number is undefined where a shape is unknown. */
  cost: {
    request: Record<string, never>
    reply: {
      /** Multiply-accumulates. */
      readonly macs: number | undefined
      /** Weights and activations that are read and written in a run with the smallest batch, over its samples. */
      readonly bytesMoved: number | undefined
    }
  }
  /**
   * Profiles a model and gives the table of its layers. It needs no `open`: the request says all of it, and without
   * data the inputs are made up.
   */
  layers: {
    request: LayersRequest & { readonly data: DatasetRecipe | undefined }
    reply: LayerTable
  }
  /** Counts the nodes that the provider itself runs, and those that fell back to another. */
  placement: {
    request: Record<string, never>
    reply: Placement | undefined
  }
  /** The model's outputs for samples of these numbers, row-major. */
  predict: {
    request: { readonly indices: Uint32Array; readonly outputs: Task['outputs'] }
    reply: {
      readonly outputs: Float32Array
      readonly width: number
      readonly widths: readonly number[]
    }
  }
  /** The model's outputs for all samples, written to a file. */
  predictAll: {
    request: { readonly path: string; readonly outputs: Task['outputs'] }
    reply: PredictionsFile
  }
  /** The model's outputs for samples of these numbers after a change, written to a file. */
  predictChanged: {
    request: {
      readonly path: string
      readonly outputs: Task['outputs']
      readonly indices: Uint32Array
      readonly change: Change
    }
    reply: PredictionsFile
  }
  /** A value inside the model for samples of these numbers, the penultimate features unless named, written to a file. */
  features: {
    request: {
      readonly path: string
      readonly indices: Uint32Array
      readonly value: string | undefined
    }
    reply: PredictionsFile
  }
  /** The gradient by a column, for samples of these numbers and labels, written to a file. */
  gradients: {
    request: {
      readonly path: string
      readonly indices: Uint32Array
      readonly labels: Int32Array
      readonly of: GradientOf
      /** What logits are divided by first. */
      readonly temperature: number
      readonly column: number
      readonly classes: number
    }
    reply: PredictionsFile
  }
  /**
   * What must be added to a column to make the model err, found step by step along gradients as those, written to a file:
   * for each sample so much of `size`, -1..1.
   */
  attack: {
    request: RequestOf<'gradients'> & Pick<AttackPlan, 'size' | 'steps' | 'seed'>
    reply: PredictionsFile
  }
  /** Runs batches of these samples until the time of a run is stable, for `budgetMs` at most. */
  warm: {
    request: {
      readonly batch: number
      readonly indices: Uint32Array
      readonly budgetMs: number
    }
    reply: Timed
  }
  /** Waits until the idle process is quiet. */
  settle: { request: Record<string, never>; reply: undefined }
  /** Times runs at the batch size of the last `warm`, in ms: at most `runs`, for `budgetMs`, at least one. */
  time: {
    request: TimingPlan
    reply: Timed & {
      /** Processor time that the process took, ms. */
      readonly processorMs: number
      /** Energy that the machine's processors took, J; undefined where no counter can be read. */
      readonly joules: number | undefined
    }
  }
  /** Opens the model once more in a session of its own, and runs one sample: how long both took, ms. */
  start: {
    request: Record<string, never>
    reply: { readonly sessionMs: number; readonly firstRunMs: number }
  }
}

/** The name of a command. */
export type CommandName = keyof Commands
/** What a command asks for. */
export type RequestOf<Name extends CommandName> = Commands[Name]['request']
/** What a command answers. */
export type ReplyOf<Name extends CommandName> = Commands[Name]['reply']

/** A command on its way to the measuring process. */
export interface CommandMessage {
  readonly id: number
  readonly command: CommandName
  readonly request: unknown
}

/** An answer on its way back; `alive` alone says that a long command goes on. */
export type AnswerMessage =
  | { readonly id: number; readonly reply: unknown }
  | { readonly id: number; readonly error: { readonly message: string; readonly user: boolean } }
  | { readonly alive: true }
