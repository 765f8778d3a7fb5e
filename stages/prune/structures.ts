// The structures: what is taken away together. A new one is a row of this table and a word in `structure.ts`.
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import { pruneChannels } from './channels.ts'
import { pruneLayers } from './layers.ts'
import type { PruneOptions } from './options.ts'
import type { Before, Pruned } from './pruned.ts'
import type { StructureKind } from './structure.ts'
import { pruneWeights } from './weights.ts'

/** A structure. */
export interface StructureRow {
  /** One line on what goes. */
  readonly summary: string
  /** Prunes a copy of a model; `before` is there where that is one of several steps. */
  prune(
    model: Model,
    options: PruneOptions,
    context: StageContext,
    before?: Before,
  ): Promise<Pruned>
}

/** The structures by kind. */
export const structures = {
  channels: { summary: 'cuts channels out: the model gets smaller', prune: pruneChannels },
  filters: { summary: 'channels that one layer makes alone', prune: pruneChannels },
  layers: { summary: 'whole residual branches or blocks', prune: pruneLayers },
  heads: { summary: 'whole attention heads', prune: pruneChannels },
  weights: { summary: 'zeroes single weights', prune: pruneWeights },
  'n:m': { summary: "'2:4': two of every four weights stay", prune: pruneWeights },
  block: { summary: "'block-4x1': zeroes blocks of weights", prune: pruneWeights },
  banded: { summary: 'keeps the diagonals around the main one', prune: pruneWeights },
  'block-diagonal': { summary: 'keeps the diagonal blocks', prune: pruneWeights },
} as const satisfies Partial<Record<StructureKind, StructureRow>>
