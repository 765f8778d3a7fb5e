// The mean of each channel of some values of a model over samples: added up inside the graph, so that little leaves it.
import type { Builder } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { float32 } from '../../train/losses/formulas.ts'
import type { StageContext } from '../stage.ts'
import { sumsOver } from '../sums.ts'

/** A value whose channels lie along an axis. */
export interface Channelled {
  readonly name: string
  readonly axis: number
  readonly rank: number
  readonly channels: number
}

/** Means by the name of the value, a number a channel. */
export type ChannelMeans = ReadonlyMap<string, Float64Array>

/** Writes the sum of each channel of a value, and how many numbers a channel has. */
export function sumAndCount(
  g: Builder,
  value: Value,
  { axis, rank, channels }: Omit<Channelled, 'name'>,
): readonly [sums: Value, count: Value] {
  const others = Array.from({ length: rank }, (_, index) => index).filter((at) => at !== axis)
  const size = g.Cast(g.node('Size', [value])[0]!, { to: float32 })
  return [
    g.ReduceSum(g.Cast(value, { to: float32 }), others, { keepdims: 0 }),
    g.Div(size, channels),
  ]
}

/** Measures the means over the first calibration samples and all other axes. */
export async function channelMeans(
  model: Model,
  values: readonly Channelled[],
  samples: number,
  context: StageContext,
): Promise<ChannelMeans> {
  const sums = await sumsOver(
    model,
    (g, named) => values.flatMap((value) => sumAndCount(g, named(value.name), value)),
    { samples, context },
  )
  return new Map(
    values.map(({ name }, index) => {
      const count = sums[2 * index + 1]![0]!
      return [name, sums[2 * index]!.map((sum) => sum / count)]
    }),
  )
}
