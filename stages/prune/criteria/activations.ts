// Criteria that look at the activations of a channel as the layers behind take them.
import { UserError } from '../../../base/errors.ts'
import type { Group, Part } from '../../../channels/groups.ts'
import type { Builder } from '../../../onnx/build.ts'
import type { Value } from '../../../onnx/graph.ts'
import { statedShape } from '../../../onnx/multiplications.ts'
import { sumsOver } from '../../sums.ts'
import { aggregated, unitsOf } from '../aggregate.ts'
import type { ChannelSubject, ScoreChannels } from './criterion.ts'

/** Mean |a| over samples and positions. */
export const activationMean: ScoreChannels = (subject) =>
  meansOver(subject, (g, activation) => g.Abs(activation))

/**
 * 1 - APoZ: the share of the activations that are not zero (Hu et al. 2016, equation 1).
 *
 * A model whose activations are never zero is a {@link UserError}.
 */
export const apoz: ScoreChannels = async (subject) => {
  const scores = await meansOver(subject, (g, activation) =>
    // 1 where a number is not zero: signs, without those of GPUs for -0.
    g.Cast(g.Greater(g.Abs(activation), 0), { to: 1 }),
  )
  if ([...scores.values()].every((own) => own.every((share) => share === 1)))
    throw new UserError(
      "criterion: 'apoz' counts zeros, and no activation of these layers is ever zero — use another criterion, as activation-mean",
    )
  return scores
}

/** The mean of a function of the activations over samples and positions, a channel of each group. */
async function meansOver(
  subject: ChannelSubject,
  write: (g: Builder, activation: Value) => Value,
): Promise<Map<Group, Float64Array>> {
  const { groups, model, aggregate } = subject
  const taken = new Map(groups.map((group) => [group, takenBy(group)]))
  // Groups of one Concat share values.
  const parts = [
    ...new Map([...taken.values()].flat().map((part) => [keyOf(part), part])).entries(),
  ]
  const found = await sumsOver(
    model,
    (g, named) =>
      parts.flatMap(([, { place }]) => {
        const activation = named(place.value.name)
        const axes = [...statedShape(place.value)!.keys()].filter((axis) => axis !== place.axis)
        const sums = g.ReduceSum(write(g, activation), axes, { keepdims: 0 })
        const size = g.Cast(g.node('Size', [activation])[0]!, { to: 1 })
        return [sums, g.Div(size, place.size)]
      }),
    subject,
  )
  const sums = new Map(
    parts.map(([key], index) => [
      key,
      { sums: found[2 * index]!, size: found[2 * index + 1]![0]! },
    ]),
  )
  return new Map(
    groups.map((group) => {
      const units = unitsOf(taken.get(group)!, aggregate).map((unit) =>
        Float64Array.from({ length: group.channels }, (_, channel) => {
          let [sum, size] = [0, 0]
          for (const part of unit) {
            const own = sums.get(keyOf(part))!
            for (const index of part.indices[channel]!) sum += own.sums[index]!
            size += own.size * part.indices[channel]!.length
          }
          return sum / size
        }),
      )
      return [group, aggregated(units, group.channels, aggregate)]
    }),
  )
}

const keyOf = ({ place: { value, axis } }: Part): string => `${axis} ${value.name}`

/** The activations of a group that layers take; the last of all where none does. */
function takenBy({ name, parts }: Group): Part[] {
  const takers = new Set(
    parts.flatMap(({ place: { role, node } }) => (role === 'in' && node ? [node] : [])),
  )
  const flowing = parts.filter(({ place: { value, role } }) => !role && !value.tensor)
  const taken = flowing.filter(({ place: { value } }) =>
    [...value.users].some((user) => takers.has(user)),
  )
  if (flowing.length === 0)
    throw new UserError(
      `criterion: no activation of '${name}' is known — leave the layer out with exclude`,
    )
  return taken.length > 0 ? taken : flowing.slice(-1)
}
