// Criteria: what makes a channel or a weight unimportant. A new one is a row of this table.
import { z } from 'zod'
import { aggregateNames } from './aggregate.ts'
import { activationMean, apoz } from './criteria/activations.ts'
import type { Criterion } from './criteria/criterion.ts'
import { elementwise } from './criteria/elementwise.ts'
import { fpgm } from './criteria/fpgm.ts'
import { randomly } from './criteria/random.ts'
import { normScale } from './criteria/scales.ts'
import { thinet } from './criteria/thinet.ts'
import { angular, change, meanWeight, randomUnits } from './criteria/units.ts'
import { type NormaliseName, normaliseNames } from './normalise.ts'
import { type ScopeName, scopeNames } from './rank.ts'

const both = ['out', 'in'] as const
const absolute = (sum: number, weight: number) => sum + Math.abs(weight)
const squared = (sum: number, weight: number) => sum + weight ** 2
const product = (sum: number, weight: number, companion: number) => sum + weight * companion
const same = (sum: number) => sum

/** The criteria by name. */
export const criteria = {
  /** Over all weights that make or take the channel (Fang et al. 2023). */
  l1: {
    summary: 'Σ |w| (Li et al. 2017)',
    needs: 'nothing',
    comparable: false,
    ...elementwise({ roles: both, add: absolute, finish: same }),
    units: meanWeight(absolute, same),
  },
  /** Over the same weights. Single weights are squared, so that blocks, the sums of theirs, are in the order of it. */
  l2: {
    summary: '√ Σ w²',
    needs: 'nothing',
    comparable: false,
    channels: elementwise({ roles: both, add: squared, finish: Math.sqrt }).channels,
    weights: elementwise({ roles: both, add: squared, finish: same }).weights,
    units: meanWeight(squared, Math.sqrt),
  },
  /** The same as l1. */
  magnitude: {
    summary: '|w| (Han et al. 2015)',
    needs: 'nothing',
    comparable: true,
    weights: elementwise({ roles: both, add: absolute, finish: same }).weights,
  },
  /** What every other criterion has to beat. */
  random: {
    summary: 'random numbers, by the seed (Mittal et al. 2018)',
    needs: 'nothing',
    comparable: true,
    ...randomly,
    units: randomUnits,
  },
  fpgm: {
    summary: 'distance to all other filters of the layer, Σ ‖F - F′‖ (He et al. 2019, equation 4)',
    needs: 'nothing',
    comparable: false,
    channels: fpgm,
  },
  'bn-scale': {
    summary: '|γ| of the normalization behind the layer (Liu et al. 2017)',
    needs: 'nothing',
    comparable: true,
    channels: normScale,
  },
  lamp: {
    summary:
      'w² over the sum of all w² of the layer that are not smaller (Lee et al. 2021, equation 3)',
    needs: 'nothing',
    comparable: true,
    normalise: 'lamp',
    ...elementwise({ roles: both, add: squared, finish: same }),
  },
  /**
   * How much the loss changes, to first order, when the channel becomes zero. The absolute value is taken batch by
   * batch: at the end of training the mean gradient is nearly zero, whatever matters.
   */
  taylor: {
    summary: '|Σ g·w|, batch by batch (Molchanov et al. 2017, equation 8)',
    needs: 'gradients',
    comparable: true,
    ...elementwise({ roles: ['in'], companion: 'batch gradients', add: product, finish: Math.abs }),
  },
  /** Gradients of single samples: what is squared does not cancel out within a batch. */
  fisher: {
    summary:
      'mean of (Σ g·w)² over samples (Theis et al. 2018, equation 5; Molchanov et al. 2019, equation 8)',
    needs: 'gradients',
    comparable: true,
    ...elementwise({
      roles: ['in'],
      companion: 'sample gradients',
      add: product,
      finish: (sum) => sum ** 2,
    }),
  },
  /** The diagonal h of the Hessian by Hutchinson's estimate (1989): the mean of v ⊙ Hv over random signs v. */
  hessian: {
    summary: '½ Σ h w², h the diagonal of the Hessian (LeCun et al. 1990, equation 5)',
    needs: 'gradients',
    comparable: true,
    ...elementwise({
      roles: ['in'],
      companion: 'curvature',
      add: (sum, weight, h) => sum + (h * weight ** 2) / 2,
      finish: same,
    }),
  },
  movement: {
    summary:
      '-Σ g·w over the steps of a training: what moves away from zero stays (Sanh et al. 2020, equation 3)',
    needs: 'training',
    comparable: true,
    ...elementwise({
      roles: both,
      companion: 'movement',
      add: (sum, _, moved) => sum + moved,
      finish: same,
    }),
  },
  snip: {
    summary: '|g·w| of one batch (Lee et al. 2019, equation 5)',
    needs: 'gradients',
    comparable: true,
    samples: 128,
    ...elementwise({
      roles: both,
      companion: 'mean gradient',
      add: (sum, weight, gradient) => sum + Math.abs(weight * gradient),
      finish: same,
    }),
  },
  'activation-mean': {
    summary: 'mean size of the activations (Molchanov et al. 2017, section 2.2)',
    needs: 'activations',
    comparable: false,
    channels: activationMean,
  },
  apoz: {
    summary: 'share of the activations that are not zero (Hu et al. 2016, equation 1)',
    needs: 'activations',
    comparable: true,
    channels: apoz,
  },
  wanda: {
    summary: '|w|·‖x‖, x the input of the weight (Sun et al. 2023, equation 1)',
    needs: 'activations',
    comparable: false,
    scope: 'row',
    samples: 128,
    ...elementwise({
      roles: ['in'],
      companion: 'input norms',
      add: (sum, weight, norm) => sum + Math.abs(weight) * norm,
      finish: same,
    }),
  },
  sparsegpt: {
    summary:
      'w² over the diagonal of the inverse input Hessian: what the others cannot make up for (Frantar and Alistarh 2023, equation 3)',
    needs: 'activations',
    comparable: false,
    scope: 'local',
    samples: 128,
    weights: elementwise({
      roles: both,
      companion: 'input curvature',
      add: (sum, weight, curvature) => sum + weight ** 2 * curvature,
      finish: same,
    }).weights,
  },
  thinet: {
    summary: 'what the outputs of the layers behind lose, greedily (Luo et al. 2017, equation 6)',
    needs: 'activations',
    comparable: true,
    samples: 128,
    channels: thinet,
  },
  change: {
    summary: 'how far the outputs move without the layer',
    needs: 'activations',
    comparable: true,
    samples: 256,
    units: change,
  },
  angular: {
    summary: 'angle between what goes into the layer and what comes out (Gromov et al. 2024)',
    needs: 'activations',
    comparable: true,
    samples: 256,
    units: angular,
  },
} as const satisfies Record<string, Criterion>

/** The name of a criterion. */
export type CriterionName = keyof typeof criteria

/** All names, in the order of the table. */
export const criterionNames = Object.keys(criteria) as [CriterionName, ...CriterionName[]]

/** What is scored: channels and units of whole layers, which are cut out, or weights, which are zeroed. */
export type Family = 'channels' | 'weights' | 'units'

/** The criterion of each where none is named. */
const usual: Readonly<Record<Family, CriterionName>> = {
  channels: 'l1',
  weights: 'magnitude',
  units: 'change',
}

/** The row of a criterion. */
const criterionNamed = (name: CriterionName): Criterion => criteria[name]

/** The criteria that score channels, or weights. */
export const criteriaFor = (family: Family): CriterionName[] =>
  criterionNames.filter((name) => criterionNamed(name)[family])

/** The criteria of a family for people, the usual one first. */
const listed = (family: Family): string =>
  [
    `${usual[family]} (unless given)`,
    ...criteriaFor(family).filter((name) => name !== usual[family]),
  ].join(', ')

/** Options that say what is unimportant, a part of those of the stage. */
export const criterionShape = {
  criterion: z
    .enum(criterionNames)
    .optional()
    .describe(
      `What is unimportant. channels: ${listed('channels')}; weights: ${listed('weights')}; layers: ${listed('units')}.`,
    ),
  samples: z
    .int()
    .min(1)
    .optional()
    .describe(
      'Training samples, of those for calibration, that gradients or activations are taken over; 512 unless given, 128 for snip, wanda, sparsegpt and thinet.',
    ),
  aggregate: z
    .enum(aggregateNames)
    .optional()
    .describe(
      'channels: how the weights of a channel in several layers count. whole: as if they were of one layer (unless given); else each layer by itself, and the sum, mean, max, l2, product, or first of their scores.',
    ),
  normalise: z
    .enum(normaliseNames)
    .optional()
    .describe(
      'How the scores of a layer are made comparable with those of others: divided by their mean, max or sum, moved to 0..1 (standard) or to mean 0 and deviation 1 (gaussian), or each divided by those that are not smaller (lamp). Unless given, what suits the criterion.',
    ),
  scope: z
    .enum(scopeNames)
    .optional()
    .describe(
      'global: ranked over the whole model (unless given); local: every layer loses the same share; isomorphic (channels): every kind of layer does; row (weights; wanda unless given): every output of a layer does.',
    ),
  reconstruct: z
    .boolean()
    .optional()
    .describe(
      'Fits what remains to the outputs of the unpruned layers over the samples, by least squares; true for sparsegpt unless given.',
    ),
} as const

/** Resolved options of what is unimportant. */
export type CriterionOptions = z.output<z.ZodObject<typeof criterionShape>>

/** The criterion of a family: the given one, or its own. */
export const criterionFor = (
  { criterion }: Pick<CriterionOptions, 'criterion'>,
  family: Family,
): CriterionName => criterion ?? usual[family]

/** All that is left open, as it suits the criterion. */
export interface SettledCriterion {
  readonly name: CriterionName
  readonly row: Criterion
  readonly samples: number
  readonly aggregate: (typeof aggregateNames)[number]
  readonly normalise: NormaliseName
  readonly scope: ScopeName
  readonly reconstruct: boolean
}

/** Settles what the options leave open. */
export function settleCriterion(options: CriterionOptions, family: Family): SettledCriterion {
  const name = criterionFor(options, family)
  const row = criterionNamed(name)
  const suits = family !== 'channels' || row.comparable ? 'none' : 'mean'
  return {
    name,
    row,
    samples: options.samples ?? row.samples ?? 512,
    aggregate: options.aggregate ?? 'whole',
    normalise: options.normalise ?? row.normalise ?? suits,
    scope: options.scope ?? (family === 'weights' ? row.scope : undefined) ?? 'global',
    reconstruct: options.reconstruct ?? name === 'sparsegpt',
  }
}

/** True where the options ask for data. */
export const criterionNeedsData = (options: CriterionOptions, family: Family): boolean => {
  const { row, reconstruct } = settleCriterion(options, family)
  return reconstruct || (row.needs !== 'nothing' && row.needs !== 'training')
}

/** Says what of these options does not go together. */
export function criterionProblems(
  options: CriterionOptions,
  family: Family,
): { readonly path: string; readonly message: string }[] {
  const { name, row } = settleCriterion(options, family)
  const problems: { path: string; message: string }[] = []
  if (!row[family])
    problems.push({
      path: 'criterion',
      message: `'${name}' scores no ${family === 'units' ? 'layers' : family}; these do: ${criteriaFor(family).join(', ')}`,
    })
  if (options.samples !== undefined && !criterionNeedsData(options, family))
    problems.push({ path: 'samples', message: `criterion '${name}' looks at no samples` })
  if (options.aggregate !== undefined && (family === 'weights' || name === 'random'))
    problems.push({
      path: 'aggregate',
      message:
        family === 'weights'
          ? 'goes with structures that cut channels out'
          : `does not go with criterion '${name}'`,
    })
  const other = family === 'weights' ? 'isomorphic' : 'row'
  if (options.scope === other)
    problems.push({
      path: 'scope',
      message: `'${other}' goes with structures that ${family === 'weights' ? 'cut channels out' : 'zero weights'}`,
    })
  return problems
}
