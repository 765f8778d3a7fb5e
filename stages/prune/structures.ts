// The structures: what is taken away together. A new one is a row of this table and a word in `structure.ts`.
import type { Model } from '../../onnx/graph.ts'
import type { StageContext } from '../stage.ts'
import { pruneChannels } from './channels.ts'
import { pruneLayers } from './layers.ts'
import type { PruneOptions } from './options.ts'
import type { Before, Pruned } from './pruned.ts'
import type { StructureKind } from './structure.ts'
import { pruneWeights } from './weights.ts'

/** Prunes a copy of a model; `before` is there where that is one of several steps. */
export type Prune = (
  model: Model,
  options: PruneOptions,
  context: StageContext,
  before?: Before,
) => Promise<Pruned>

/** How a structure is pruned, by its kind. */
export const structures: Readonly<Record<StructureKind, Prune>> = {
  channels: pruneChannels,
  filters: pruneChannels,
  heads: pruneChannels,
  layers: pruneLayers,
  weights: pruneWeights,
  'n:m': pruneWeights,
  block: pruneWeights,
  banded: pruneWeights,
  'block-diagonal': pruneWeights,
}
