// What a run tells while it goes on. The same events feed progress bars, `--json` and events.ndjson.
import type { Progress } from '../stages/stage.ts'

/** Something that happened in a run. */
export type RunEvent =
  | {
      readonly event: 'run-start'
      readonly name: string
      readonly folder: string
      readonly steps: number
      /** All steps in their order, the training of the teacher first where there is one. */
      readonly stages?: readonly StepPlace[]
    }
  | ({ readonly event: 'stage-start' } & StepPlace)
  | ({ readonly event: 'progress'; readonly id: string } & Progress)
  | ({ readonly event: 'stage-done' } & StepPlace & StepResult)
  | { readonly event: 'log'; readonly message: string; readonly id?: string }
  | { readonly event: 'benchmark-start'; readonly variants: number }
  | { readonly event: 'benchmark-progress'; readonly done: number; readonly what: string }
  | { readonly event: 'run-done'; readonly folder: string; readonly passed: boolean }
  | { readonly event: 'run-failed'; readonly message: string }

/** Which step of the run an event is about; the teacher is step 0. */
export interface StepPlace {
  readonly id: string
  readonly stage: string
  readonly step: number
  readonly steps: number
}

/** What came out of a step. */
interface StepResult {
  /** True when an earlier run had done it. */
  readonly cached: boolean
  readonly seconds: number
  readonly sizeBytes: number
  readonly summary?: string | undefined
}

/** Takes the events of a run. */
export type Listener = (event: RunEvent) => void

const quietMs = 100

/**
 * Lets progress through at most ten times a second, adding up what falls between; begin and end of an epoch and
 * the end of the stage always pass.
 */
export function throttled(
  forward: (progress: Progress) => void,
  now: () => number = () => performance.now(),
): (progress: Progress) => void {
  let last = Number.NEGATIVE_INFINITY
  let samples = 0
  let epoch: number | undefined
  return (progress) => {
    samples += progress.samples ?? 0
    const time = now()
    const matters = progress.done === 1 || progress.epochDone || progress.epoch !== epoch
    if (time - last < quietMs && !matters) return
    forward(samples > 0 ? { ...progress, samples } : progress)
    last = time
    samples = 0
    epoch = progress.epoch
  }
}
