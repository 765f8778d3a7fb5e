// Masks that change while a training goes on: who decides them, and what is known then.
import type { Model } from '../onnx/graph.ts'

/** Numbers by the name of the initializer, one for each of its elements. */
export type ByWeight = ReadonlyMap<string, Float32Array>

/** What is accumulated or kept from step to step for those who decide. */
export type Tracked = 'gradient' | 'movement'

/** What a decision is made by; the arrays are copies. */
export interface MaskState {
  /** Updates that were made so far. */
  readonly update: number
  /** Updates of the whole training. */
  readonly updates: number
  /** The masks so far; all ones where there were none. */
  readonly masks: ByWeight
  /** The weights as they are now, of every weight that learns. */
  readonly weights: ByWeight
  /** The model with these weights and the running statistics. */
  readonly model: () => Model
  /** The gradient of the last update by every weight, also by those that are zero; where `gradient` is tracked. */
  readonly gradients: ByWeight | undefined
  /** -Σ g·w over all updates so far, of dead weights with w as it was when they died; where `movement` is tracked. */
  readonly movement: ByWeight | undefined
}

/** Decides masks during a training. */
export interface Masking {
  readonly tracks: readonly Tracked[]
  /** The weights that are masked, by initializer; each must learn. */
  readonly names: readonly string[]
  /** True where masks are decided anew after so many updates, of so many; a pure function. */
  due(update: number, updates: number): boolean
  /** Updates after which the masks are what was asked for: only then is a model good enough to be kept. */
  settled(updates: number): number
  /**
   * The next masks: 1 where a weight learns, 0 where it becomes and stays zero. The same state gives the same masks.
   *
   * What comes back to life starts at zero; where `movement` is tracked, at what it was when it died.
   */
  decide(state: MaskState): Promise<ByWeight> | ByWeight
}
