// What weights of zero did for the speed of a variant, from its measured latency: providers that know nothing of zeros
// multiply with them all the same.
import { formatPercent, formatRatio } from './format.ts'
import {
  everyVariant,
  isEmulated,
  latencyRatio,
  type Measured,
  slowerFrom,
  timedProviders,
} from './judge.ts'
import type { Variant } from './report.ts'

/** From so much more of its weights at zero on, a variant is asked what that did for its speed. */
const leastShare = 0.1

/** Stages that may leave shapes and types as they are, so that times before and after can be compared. */
const keeping: readonly string[] = ['prune', 'export']

/** Says of every variant with zeros on which providers they do not make it faster, a line each. */
export function idleZeros(report: Measured): string[] {
  return report.variants.flatMap((variant) => {
    const dense = denseOf(report, variant)
    if (!dense || variant.failed !== undefined) return []
    const times = timedProviders(report).flatMap((provider) => {
      const ratio = isEmulated(report, provider)
        ? undefined
        : latencyRatio(variant, dense, provider)
      return ratio === undefined || ratio < 1 / slowerFrom ? [] : [{ provider, ratio }]
    })
    if (times.length === 0) return []
    const share = formatPercent(zeroShare(variant), 0)
    const names = times.map(({ provider }) => provider).join(' and ')
    const measured = times.map(({ provider, ratio }) => `${formatRatio(ratio)} on ${provider}`)
    return [
      `'${variant.id}': ${share} of the weights are zero${patternOf(variant)}, which does not speed up ${names}: the latency over that of '${dense.id}' is ${measured.join(', ')} — zeros make the file smaller; for speed cut channels (structure: channels)`,
    ]
  })
}

/** The share of the weights that are zero. */
const zeroShare = ({ parameters, nonzeroParameters }: Variant): number =>
  parameters === 0 ? 0 : 1 - nonzeroParameters / parameters

/** The structure of the zeros, where it has one. */
function patternOf({ stageOptions }: Variant): string {
  const structure = stageOptions?.structure
  return typeof structure === 'string' && structure !== 'weights' ? ` (structure ${structure})` : ''
}

/** The closest model before a variant that differs from it by zeros alone. */
function denseOf(report: Measured, variant: Variant): Variant | undefined {
  let at: Variant | undefined = variant
  while (at && keeping.includes(at.stage)) {
    const before: string | null = at.from
    at = everyVariant(report).find(({ id }) => id === before)
    const alike = at?.parameters === variant.parameters && at.macs === variant.macs
    if (!at || !alike) return undefined
    if (zeroShare(variant) - zeroShare(at) >= leastShare) return at
  }
  return undefined
}
