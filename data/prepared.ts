// What preparation is asked for, and what it makes of a table: records, and which of them each split has.
import type { FeatureOptions } from './features/index.ts'
import type { SplitIndices } from './splits.ts'
import type { Layout, Store, StoreWriter } from './store.ts'
import type { TargetOptions } from './targets.ts'

/** What is made of a table. */
export interface PreparationOptions {
  readonly seed: number
  /** The features by name. */
  readonly features: Readonly<Record<string, FeatureOptions>>
  readonly target: TargetOptions
  /** What becomes of a row that cannot be read. */
  readonly damaged: 'refuse' | 'skip'
  /** Share of the training part held out for validation where the table has no such part. */
  readonly validation: number
  /** Share of the training part held out for tests where the table has no such part. */
  readonly testShare: number
  readonly trainLimit?: number | undefined
  readonly testLimit?: number | undefined
  readonly calibration: number
  readonly unlabelled?: UnlabelledOptions | undefined
  readonly modelFolder?: string | undefined
  /** The folder that paths in cells are relative to. */
  readonly folder?: string | undefined
}

/** How rows without labels are read. */
export interface UnlabelledOptions {
  readonly limit?: number | undefined
  readonly damaged: 'refuse' | 'skip'
  /** The folder that paths in their cells are relative to. */
  readonly folder?: string | undefined
}

/** What preparation may use of the world. */
export interface PreparationContext {
  /** Opens the records of a part. */
  readonly write: (part: PartName, layout: Layout, size?: number) => StoreWriter
  readonly log: (line: string) => void
  readonly progress?: ((what: string, rows: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** The parts of a table. */
export type PartName = 'train' | 'validation' | 'test' | 'unlabelled'

/** The records of a part. */
export interface PreparedPart {
  readonly store: Store
  /** The label of every record. */
  readonly labels: Int32Array
  readonly group: number
}

/** Which records of which part a split has. */
export interface PreparedSplit {
  readonly part: PartName
  readonly indices: Uint32Array
}

/** A table made into records. */
export interface Prepared {
  readonly parts: Readonly<Partial<Record<PartName, PreparedPart>>>
  readonly splits: Readonly<Record<keyof SplitIndices | 'test', PreparedSplit>> & {
    readonly unlabelled?: PreparedSplit
  }
  readonly classes: readonly string[]
  readonly targetNames: readonly string[]
  /** What the target numbers of a sample are where they are about classes. */
  readonly targetClasses: 'positions' | 'indicators' | null
  /** What each feature learned, by its name; what learned nothing is not here. */
  readonly learned: Readonly<Record<string, unknown>>
  /** What was logged: it is to be told again whenever the records are used. */
  readonly notes: readonly string[]
}
