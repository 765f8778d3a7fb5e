// Criteria: what makes a channel or a weight unimportant. A new one is a row of this table.
import type { Role } from '../../channels/ties.ts'

/**
 * A score as a fold over the elements that would be cut together; the smallest scores go first.
 *
 * Where it needs gradients, the scores of several batches are added up.
 */
export interface Criterion {
  /** Takes one more element (and its gradient, where the criterion needs gradients) into the sum. */
  readonly add: (sum: number, weight: number, gradient: number) => number
  /** Makes the score of the sum. */
  readonly finish: (sum: number) => number
  /** True where the gradient of the loss is needed, and with it data. */
  readonly needsGradients: boolean
  /** True where the scores of all layers have one unit; else groups are compared after dividing by their means. */
  readonly comparable: boolean
  /** What it scores: channels with all their weights, or single weights. */
  readonly structure: 'channels' | 'weights'
  /** Which constants of a channel it looks at. */
  readonly roles: readonly Role[]
}

const absolute = (sum: number, weight: number) => sum + Math.abs(weight)
const same = (sum: number) => sum

/** The criteria by name. */
export const criteria = {
  /** Σ |w| (Li et al. 2017), over all weights that make or take the channel (Fang et al. 2023). */
  l1: {
    add: absolute,
    finish: same,
    needsGradients: false,
    comparable: false,
    structure: 'channels',
    roles: ['out', 'in'],
  },
  /** √ Σ w², over the same weights. */
  l2: {
    add: (sum, weight) => sum + weight ** 2,
    finish: Math.sqrt,
    needsGradients: false,
    comparable: false,
    structure: 'channels',
    roles: ['out', 'in'],
  },
  /**
   * |Σ g·w| over the weights that take the channel: how much the loss changes, to first order, when the channel becomes
   * zero (Molchanov et al. 2017, equation 8). The absolute value is taken batch by batch: at the end of training the
   * mean gradient is nearly zero, whatever matters.
   */
  taylor: {
    add: (sum, weight, gradient) => sum + weight * gradient,
    finish: Math.abs,
    needsGradients: true,
    comparable: true,
    structure: 'channels',
    roles: ['in'],
  },
  /** |w| (Han et al. 2015). */
  magnitude: {
    add: absolute,
    finish: same,
    needsGradients: false,
    comparable: true,
    structure: 'weights',
    roles: ['out', 'in'],
  },
} as const satisfies Record<string, Criterion>

/** The name of a criterion. */
export type CriterionName = keyof typeof criteria

/** All names, in the order of the table. */
export const criterionNames = Object.keys(criteria) as [CriterionName, ...CriterionName[]]
