// Whether figures and latencies differ by more than chance, and whether the machine was quiet enough to tell: in words.
import { formatPercent } from './format.ts'
import type { ProviderResult, Variant } from './report.ts'

/** A ratio of times with its interval, as report.json has it. */
type Ratio = NonNullable<ProviderResult['latencyRatio']>

/** What an interval says of a ratio of times; `untold` where there is none, or where it rests on too few rounds. */
export type Difference = 'faster' | 'slower' | 'none' | 'untold'

/** The level below which a difference is called significant. */
export const significance = 0.05

/** p of the paired test that a run has made of two of its models, the teacher among them; undefined where it made none. */
export function pOf(one: Variant, other: Variant): number | undefined {
  return ownP(one, other) ?? ownP(other, one) ?? undefined
}

function ownP(variant: Variant, other: Variant): number | null | undefined {
  const { from, retention, against = {} } = variant
  if (other.from === null && from !== null) return retention?.p ?? retention?.mcnemarP
  // A name from outside must not find what every object inherits.
  return Object.hasOwn(against, other.id) ? against[other.id]?.p : undefined
}

/** What the report says where chance explains a difference. */
export const noDifference = 'no significant difference'

/** Of fewer pairs of rounds even those that all agree are not significant at 5 %: the sign test's p is 2 / 2⁵. */
const fewestPairs = 6

/** What repeated rounds say of a ratio: no difference where its 95 % interval holds 1. */
export function differenceOf(ratio: Ratio | null | undefined): Difference {
  if (!ratio || (ratio.rounds ?? fewestPairs) < fewestPairs) return 'untold'
  const [low, high] = ratio.interval
  return high < 1 ? 'faster' : low > 1 ? 'slower' : 'none'
}

/** The same in words; undefined where the difference is significant, so that its size speaks for itself. */
export function doubtOf(ratio: Ratio | null | undefined): string | undefined {
  if (!ratio) return 'not tested'
  const difference = differenceOf(ratio)
  if (difference === 'none') return noDifference
  return difference === 'untold' ? 'too few rounds to tell' : undefined
}

/** From here on quartiles of rounds differ by as much as what the report calls slower. */
const noisySpread = 0.05

/** From this share on every tenth run may have to share its core, and the 90th percentile is not the model's own. */
const noisyLoad = 0.1

/** Why the times of a model on a provider should be taken with care; undefined where nothing speaks against them. */
export function noiseIn({ noise }: ProviderResult): string | undefined {
  const { spread = 0, otherLoad = 0 } = noise ?? {}
  const reasons = [
    ...(spread > noisySpread
      ? [`the medians of rounds lie ${formatPercent(spread, 0)} apart (quartiles)`]
      : []),
    ...(otherLoad > noisyLoad
      ? [`other programs took ${formatPercent(otherLoad, 0)} of the processors`]
      : []),
  ]
  return reasons.length > 0 ? reasons.join(', ') : undefined
}
