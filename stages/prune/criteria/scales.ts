// The scale of the normalization behind a layer: a channel that it shrinks to nothing says nothing.
import { UserError } from '../../../base/errors.ts'
import { foldChannels } from '../../../channels/fold.ts'
import { aggregated, unitsOf } from '../aggregate.ts'
import type { ScoreChannels } from './criterion.ts'

/** Normalizations with a scale for each channel. */
const normalizations: ReadonlySet<string> = new Set([
  'BatchNormalization',
  'GroupNormalization',
  'InstanceNormalization',
])

/** |γ|, summed over the normalizations that a channel passes. A group that passes none is a {@link UserError}. */
export const normScale: ScoreChannels = ({ groups, aggregate }) =>
  new Map(
    groups.map((group) => {
      const scales = group.parts.filter(
        ({ place: { role, node, value } }) =>
          role === 'scale' &&
          value.tensor?.dtype === 'float32' &&
          normalizations.has(node?.opType ?? ''),
      )
      if (scales.length === 0)
        throw new UserError(
          `criterion: 'bn-scale' looks at BatchNormalization, and there is none behind '${group.name}' — leave the layer out with exclude, or use another criterion, as l1`,
        )
      const units = unitsOf(scales, aggregate).map((parts) =>
        foldChannels({ ...group, parts }, ['scale'], (sum, scale) => sum + Math.abs(scale)),
      )
      return [group, aggregated(units, group.channels, aggregate)]
    }),
  )
