// Calibration without data: random noise goes through the model, and wherever a BatchNormalization was, the channels are
// brought to the mean and deviation that it says they had in training. (Nagel et al., "Data-free quantization through
// weight equalization and bias correction", 2019, section 4.2.1, takes shift and scale of BatchNormalization for mean and
// deviation of its output.)
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { type ColumnMemory, lengthOf, type SampleColumn, type Samples } from '../../base/samples.ts'
import { build } from '../../onnx/build.ts'
import { constantOf, type Graph, type Model, type Node, opsetOf, Value } from '../../onnx/graph.ts'
import { type DataType, elements, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { inferTypes } from '../../runtime/shapes.ts'

/** What the channels of a value are known to be like, one number a channel. */
export interface ChannelStatistics {
  readonly means: Float32Array
  readonly deviations: Float32Array
}

/** What BatchNormalizations say of their outputs, by the name of the value. */
export function normalizedValues(graph: Graph): Map<string, ChannelStatistics> {
  const found = new Map<string, ChannelStatistics>()
  for (const node of graph.nodes) {
    if (node.opType !== 'BatchNormalization' || node.domain !== '') continue
    const [scale, shift] = [constantOf(node.inputs[1]), constantOf(node.inputs[2])]
    if (scale?.dtype !== 'float32' || shift?.dtype !== 'float32') continue
    found.set(node.output().name, {
      means: elements(shift, 'float32'),
      deviations: elements(scale, 'float32').map(Math.abs),
    })
  }
  return found
}

/** Statistics that hold as long as the layer that makes the value keeps its weights. */
export interface LayerStatistics extends ChannelStatistics {
  readonly weights: Tensor | undefined
}

/** Statistics with the weights that the layers have now: what changes those makes them void. */
export function statisticsOfLayers(
  graph: Graph,
  known: ReadonlyMap<string, ChannelStatistics>,
): Map<string, LayerStatistics> {
  const found = new Map<string, LayerStatistics>()
  for (const node of graph.nodes) {
    const name = node.outputs[0]?.name ?? ''
    const statistics = known.get(name)
    if (statistics) found.set(name, { ...statistics, weights: constantOf(node.inputs[1]) })
  }
  return found
}

/**
 * Brings the channels of values to their statistics over each batch, in place, and says of how many values.
 *
 * Left out are those whose layer has other weights by now, and those of which a batch has a single number a channel.
 */
export async function matchStatistics(
  model: Model,
  known: ReadonlyMap<string, LayerStatistics>,
): Promise<number> {
  const { graph } = model
  const types = await inferTypes(model)
  const nodes = [...graph.nodes]
  let count = 0
  for (const [index, node] of nodes.entries()) {
    const value = node.outputs[0]
    const statistics = value && known.get(value.name)
    const shape = value && types.get(value)?.shape
    if (!statistics || !shape || constantOf(node.inputs[1]) !== statistics.weights) continue
    const channels = shape[1]
    const alone = shape.every((dim, axis) => axis === 1 || dim === 1)
    if (channels !== statistics.means.length || alone) continue
    match(model, node, nodes[index + 1], shape.length, statistics)
    count++
  }
  return count
}

/** Keeps a variance of zero from being divided by. */
const leastVariance = 1e-12

/** Writes (x - mean of the batch) / deviation of the batch * deviation + mean behind a node. */
function match(
  model: Model,
  node: Node,
  next: Node | undefined,
  rank: number,
  { means, deviations }: ChannelStatistics,
): void {
  const { graph } = model
  const output = node.output()
  const x = new Value(graph.uniqueName(output.name))
  node.setOutput(0, x)
  const g = build(graph, next)
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1)
  const perChannel = (values: Float32Array) =>
    tensorOf('float32', [values.length, ...axes.slice(1).map(() => 1)], values)
  const mean = (of: Value) =>
    opsetOf(model) < 18 ? g.ReduceMean(of, { axes }) : g.ReduceMean(of, axes)
  const centred = g.Sub(x, mean(x))
  const deviation = g.Sqrt(g.Add(mean(g.Mul(centred, centred)), leastVariance))
  const matched = g.Add(g.Mul(g.Div(centred, deviation), perChannel(deviations)), perChannel(means))
  // The name stays with what the users read.
  matched.producer!.setOutput(0, output)
}

/** What a column of noise is made of, by the type of the input. */
const noises: Partial<Record<DataType, SampleColumn['dtype']>> = {
  float32: 'float32',
  float64: 'float32',
  float16: 'float32',
  uint8: 'uint8',
  int32: 'int32',
  int64: 'int32',
  bool: 'int32',
}

/**
 * Samples of noise for the inputs of a model: standard normal numbers, bytes around 128, whole numbers that are 0 or 1.
 *
 * An input of another type, or with free dimensions besides the first, is a {@link UserError}.
 */
export function noiseFor({ graph }: Model, size: number, seed: number, where: string): Samples {
  const columns = graph.feeds.map(({ name, type }): SampleColumn => {
    const [, ...shape] = type?.shape ?? []
    const dtype = type && noises[type.dtype]
    if (!dtype || !type.shape?.length || shape.some((dim) => typeof dim !== 'number'))
      throw new UserError(
        `${where}: noise cannot be made for its input '${name}': ${type?.dtype ?? '?'} [${type?.shape?.map((dim) => dim ?? '?').join(',') ?? '?'}] — calibrate on data`,
      )
    return { name, dtype, shape: shape as number[] }
  })
  return {
    size,
    columns,
    read(index: number, column: number, into: ColumnMemory, offset: number) {
      const { name, shape, dtype } = columns[column]!
      const { normal, integer } = random(seed, 'calibration', name, index)
      const next = draws[dtype]({ normal, integer })
      const end = offset + lengthOf(shape)
      for (let place = offset; place < end; place++) into[place] = next()
    },
  }
}

type Source = Pick<ReturnType<typeof random>, 'normal' | 'integer'>

/** The next number of a column. */
const draws: Readonly<Record<SampleColumn['dtype'], (source: Source) => () => number>> = {
  float32: ({ normal }) => normal,
  uint8:
    ({ normal }) =>
    () =>
      Math.min(255, Math.max(0, Math.round(128 + 64 * normal()))),
  int32:
    ({ integer }) =>
    () =>
      integer(2),
}
