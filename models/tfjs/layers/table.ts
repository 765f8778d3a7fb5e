// The layers that are converted, by class.
import { activationLayers } from './activation.ts'
import { basicLayers } from './basic.ts'
import { convolutionLayers } from './convolution.ts'
import type { LayerRule } from './layer.ts'
import { mergeLayers } from './merge.ts'
import { poolingLayers } from './pooling.ts'
import { recurrentLayers } from './recurrent.ts'

/** Rules by `class_name`. InputLayer and the models inside models are the walk's own business. */
export const layerRules: ReadonlyMap<string, LayerRule> = new Map(
  Object.entries({
    ...activationLayers,
    ...basicLayers,
    ...convolutionLayers,
    ...mergeLayers,
    ...poolingLayers,
    ...recurrentLayers,
  }),
)
