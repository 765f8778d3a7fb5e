// Criteria that are a sum over weights, each with a number of its own besides (a gradient, the size of its input).
import { UserError } from '../../../base/errors.ts'
import { type Fold, foldChannels } from '../../../channels/fold.ts'
import type { Group, Part } from '../../../channels/groups.ts'
import type { Role } from '../../../channels/ties.ts'
import type { Value } from '../../../onnx/graph.ts'
import { elements } from '../../../onnx/tensor.ts'
import { aggregated, unitsOf } from '../aggregate.ts'
import { type CompanionName, companionsOf } from '../evidence.ts'
import type { ChannelSubject, Companions, Criterion, WeightSubject } from './criterion.ts'

/**
 * A score as a fold over the elements that would be cut together.
 *
 * Where companions come in several lots (gradients batch by batch), it is the mean of the scores of all lots.
 */
export interface Elementwise {
  /** Takes one more element, and its companion, into the sum. */
  readonly add: Fold
  /** Makes the score of the sum. */
  readonly finish: (sum: number) => number
  /** Which constants of a channel it looks at; those that make or take it where there are none of these. */
  readonly roles: readonly Role[]
  /** The numbers that go with the weights; none unless told. */
  readonly companion?: CompanionName
}

/** A criterion of channels and of single weights that is a sum over weights. */
export const elementwise = (rule: Elementwise) =>
  ({
    channels: (subject) => scoreChannels(rule, subject),
    weights: (subject) => scoreWeights(rule, subject),
  }) as const satisfies Pick<Criterion, 'channels' | 'weights'>

async function scoreChannels(
  { add, finish, roles, companion }: Elementwise,
  subject: ChannelSubject,
): Promise<Map<Group, Float64Array>> {
  const { groups, aggregate } = subject
  const sums = new Map<Group, { readonly parts: readonly Part[]; readonly sum: Float64Array }[]>()
  let lots = 0
  for await (const companions of lotsOf(companion, subject, constantsOf(groups))) {
    for (const group of groups) {
      const units =
        sums.get(group) ??
        unitsOf(knownParts(group, roles, companions, companion), aggregate).map((parts) => ({
          parts,
          sum: new Float64Array(group.channels),
        }))
      sums.set(group, units)
      for (const { parts, sum } of units)
        for (const [channel, own] of foldChannels(
          { ...group, parts },
          allRoles,
          add,
          companions,
        ).entries())
          sum[channel]! += finish(own)
    }
    lots++
  }
  return new Map(
    groups.map((group) => {
      const units = sums.get(group)!.map(({ sum }) => sum.map((own) => own / lots))
      return [group, aggregated(units, group.channels, aggregate)]
    }),
  )
}

async function scoreWeights(
  { add, finish, companion }: Elementwise,
  subject: WeightSubject,
): Promise<Map<Value, Float32Array>> {
  const { values } = subject
  const weightsOf = ({ tensor }: Value) => elements(tensor!, 'float32')
  if (companion === undefined)
    return new Map(
      values.map((value) => [value, weightsOf(value).map((weight) => finish(add(0, weight, 0)))]),
    )
  const sums = new Map(values.map((value) => [value, new Float64Array(value.tensor!.size)]))
  let lots = 0
  for await (const companions of lotsOf(companion, subject, values)) {
    for (const [value, sum] of sums) {
      const own = companions?.get(value.name)
      if (!own) throw blind(value.name, companion)
      for (const [at, weight] of weightsOf(value).entries())
        sum[at]! += finish(add(0, weight, own[at]!))
    }
    lots++
  }
  return new Map(
    [...sums].map(([value, sum]) => [value, Float32Array.from(sum, (own) => own / lots)]),
  )
}

/** The companions, lot by lot: at least one; a single lot without any where there are none to be asked for. */
async function* lotsOf(
  companion: CompanionName | undefined,
  subject: ChannelSubject | WeightSubject,
  values: readonly Value[],
): AsyncGenerator<Companions | undefined, void, void> {
  if (companion === undefined) yield undefined
  else yield* companionsOf(companion, subject, values)
}

/** All float32 constants that some channels make, take or scale. */
const constantsOf = (groups: readonly Group[]): Value[] => [
  ...new Set(
    groups.flatMap(({ parts }) =>
      parts.flatMap(({ place: { value } }) => (value.tensor?.dtype === 'float32' ? [value] : [])),
    ),
  ),
]

/** The parts that are looked at: those of the roles, or else whatever makes or takes the channels. */
function knownParts(
  { name, parts }: Group,
  roles: readonly Role[],
  companions: Companions | undefined,
  companion: CompanionName | undefined,
): Part[] {
  const known = parts.filter(
    ({ place: { value } }) =>
      value.tensor?.dtype === 'float32' && (!companions || companions.has(value.name)),
  )
  const of = (wanted: readonly Role[]) =>
    known.filter(({ place: { role } }) => role && wanted.includes(role))
  const found = [of(roles), of(['in', 'out'])].find((list) => list.length > 0)
  if (!found) throw blind(name, companion)
  return found
}

const allRoles: readonly Role[] = ['out', 'in', 'scale', 'bias', 'other']

const blind = (name: string, companion: CompanionName | undefined): UserError =>
  new UserError(
    companion
      ? `criterion: there are no ${companion} of '${name}' to be had — leave the layer out with exclude, or use another criterion, as l1`
      : `criterion: '${name}' has no float32 weights — leave the layer out with exclude`,
  )
