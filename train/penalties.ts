// The penalties: one row each, a term of the loss made of weights alone.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { select } from '../base/selectors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { scaled } from './losses/formulas.ts'
import { groupLasso } from './penalties/group-lasso.ts'
import { growing } from './penalties/growing.ts'
import { l1 } from './penalties/l1.ts'
import { slimming } from './penalties/slimming.ts'
import type { PenalisedGroup, Penalty } from './penalty.ts'
import type { Prepared } from './prepare.ts'
import type { Scheduled } from './scheduled.ts'

/** The penalties by name. */
export const penalties = { l1, slimming, 'group-lasso': groupLasso, growing } as const

type Schema = (typeof penalties)[keyof typeof penalties]['options']

/** Schema of one penalty. */
export const penaltyOptions = z.discriminatedUnion(
  'penalty',
  // There is at least one.
  Object.values(penalties).map(({ options }) => options) as unknown as [Schema, ...Schema[]],
)

/** A penalty, resolved. */
export type PenaltyOptions = z.output<typeof penaltyOptions>

const rowOf = ({ penalty }: PenaltyOptions) => penalties[penalty] as unknown as Penalty

/** True where any of them has to know which channels hang together. */
export const needsGroups = (asked: readonly PenaltyOptions[]): boolean =>
  asked.some((options) => rowOf(options).needsGroups)

/** What penalties are written for. */
export interface Penalised extends Pick<Prepared, 'graph' | 'layers'> {
  /** The initializers that may be trained. */
  readonly weights: readonly Value[]
  /** Channels that can be cut, by the model's own names of the constants. */
  readonly groups: readonly PenalisedGroup[]
  /** A factor that may change: itself, or a scalar that is fed. */
  readonly number: (number: Scheduled) => Value | number
  readonly where: string
}

/** Writes the penalties, each a scalar times its factor; one that the model has nothing for is a {@link UserError}. */
export function writePenalties(
  g: Builder,
  { graph, layers, weights, groups, number, where }: Penalised,
  asked: readonly PenaltyOptions[],
): Value[] {
  const learning = new Set(weights)
  const values = new Map<string, Value>()
  for (const value of [...graph.initializers, ...graph.nodes.flatMap(({ outputs }) => outputs)])
    if (value) values.set(value.name, value)
  // Nodes without a name go by what they make, as everywhere.
  const named = layers.map((layer) => ({
    ...layer,
    name: layer.name || (layer.node.outputs[0]?.name ?? ''),
  }))
  return asked.map((options) => {
    const own = options.layers
      ? select(named, options.layers, `penalties.${options.penalty}`)
      : named
    const names = new Set(own.map(({ name }) => name))
    const row = rowOf(options)
    const terms = row.write(
      g,
      {
        layers: own,
        learns: (value): value is Value => value !== undefined && learning.has(value),
        groups: groups.filter(({ producers }) => producers.some((name) => names.has(name))),
        value: (name) => values.get(name),
      },
      options,
    )
    if (terms.length === 0)
      throw new UserError(`penalties.${options.penalty}: ${where} ${row.lacking}`)
    const sum = terms.reduce((total, term) => g.Add(total, term))
    return scaled(g, sum, number(options.weight))
  })
}
