// What the outputs of layers are like on samples: their means, and how they go together.
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import { type Model, Node, Value } from '../../onnx/graph.ts'
import { statedShape } from '../../onnx/multiplications.ts'
import type { StageContext } from '../stage.ts'
import { type Named, sumsOver } from '../sums.ts'
import type { Moments } from './method.ts'
import { takesShift } from './replace.ts'
import type { Unit } from './units.ts'

/**
 * Measures the outputs of units, without their bias, on the calibration samples: one {@link Moments} for each group of
 * channels. A unit whose channels cannot be told apart (an operator from the left whose rank is not known) has none.
 *
 * `model` has a free batch, and what the units are of under the same names. Outputs that are not finite are a
 * {@link UserError}.
 */
export async function measureMoments(
  model: Model,
  units: readonly Unit[],
  samples: number,
  context: StageContext,
): Promise<ReadonlyMap<Unit, readonly Moments[]>> {
  const known = units.filter((unit) =>
    unit.nodes.every((node) => channelAxis(unit, node) !== undefined),
  )
  const written = (g: Builder, named: Named) =>
    known.flatMap((unit) => unit.nodes.flatMap((node) => statistics(g, named, unit, node)))
  const sums = await sumsOver(model, written, { samples, context })
  let at = 0
  const next = (): Float64Array => sums[at++]!
  return new Map(
    known.map((unit) => {
      const [second, first, count] = [next(), next(), next()]
      for (let node = 1; node < unit.nodes.length; node++)
        for (const sum of [second, first, count]) addTo(sum, next())
      return [unit, momentsOf(unit, second, first, count[0]!)]
    }),
  )
}

function addTo(sum: Float64Array, more: Float64Array): void {
  for (const [index, value] of more.entries()) sum[index]! += value
}

/** The axis of a node's output that its channels are; undefined where that is not known. */
function channelAxis(unit: Unit, node: Node): number | undefined {
  if (unit.kind === 'conv') return 1
  if (unit.input === 1) return -1
  const rank = statedShape(node.outputs[0])?.length
  return rank === undefined ? undefined : rank - 2
}

/** Products of the outputs with each other, their sums, and how many there are of each. */
function statistics(g: Builder, named: Named, unit: Unit, node: Node): Value[] {
  const groups = unit.kind === 'conv' ? unit.groups : 1
  const axis = channelAxis(unit, node)!
  const plain = new Value(g.graph.uniqueName('plain'))
  const inputs = node.inputs.slice(0, 2).map((input) => named(input!.name))
  // The operator once more, without its bias.
  g.graph.add(new Node(node.opType, inputs, [plain], { attributes: node.attributes }))
  const rank =
    unit.kind === 'conv' ? unit.kernel.length + 2 : (statedShape(node.outputs[0])?.length ?? 2)
  const order = [
    axis,
    ...Array.from({ length: rank }, (_, index) => index).filter((one) => one !== axis),
  ]
  const rows =
    axis === -1
      ? g.Transpose(g.Reshape(plain, [-1, unit.outputs]), { perm: [1, 0] })
      : g.Transpose(plain, { perm: order })
  const byGroup = g.Reshape(rows, [groups, unit.outputs, -1])
  const width = g.Slice(g.node('Shape', [byGroup])[0]!, [2], [3])
  return [
    g.MatMul(byGroup, g.Transpose(byGroup, { perm: [0, 2, 1] })),
    g.ReduceSum(byGroup, [2], { keepdims: 0 }),
    g.Cast(width, { to: 1 }),
  ]
}

function momentsOf(
  unit: Unit,
  second: Float64Array,
  first: Float64Array,
  count: number,
): Moments[] {
  const { outputs } = unit
  const centred = takesShift(unit)
  const groups = first.length / outputs
  return Array.from({ length: groups }, (_, group) => {
    const mean = first.slice(group * outputs, (group + 1) * outputs).map((sum) => sum / count)
    const values = second
      .slice(group * outputs ** 2, (group + 1) * outputs ** 2)
      .map((sum) => sum / count)
    if (!values.every(Number.isFinite))
      throw new UserError(
        `fit: the outputs of '${unit.name}' are not finite on the calibration data — check the data and its preprocessing, or exclude the layer`,
      )
    if (centred)
      for (let row = 0; row < outputs; row++)
        for (let column = 0; column < outputs; column++)
          values[row * outputs + column]! -= mean[row]! * mean[column]!
    return {
      second: { rows: outputs, columns: outputs, values },
      mean: centred ? mean : undefined,
    }
  })
}
