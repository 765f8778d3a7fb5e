// The ends of a model's stages: where it has found what the next stage builds on.

import type { Node, Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { attentionBlocks } from './blocks.ts'
import { cutsFrom, longestWay, type Route, routeOf, undropped } from './routes.ts'
import { isWhole, type Tappable, type TapValue } from './values.ts'

/** The end of a stage. */
export interface StageEnd extends TapValue {
  /** Of images and signals: positions over those of the input. */
  readonly resolution?: number
}

/** The ends of the stages of a model, in their order. */
export interface StageEnds {
  /** Stages of equal resolution, blocks of a transformer, or layers. */
  readonly kind: 'resolutions' | 'blocks' | 'layers'
  readonly ends: readonly StageEnd[]
}

/** Finds the ends of a model's stages; none where it has no stages that are known. */
export function endsOf(model: Tappable): StageEnds {
  const route = routeOf(model)
  const tapped = (values: readonly Value[]) => {
    const unique = [...new Set(values)].filter((value) => value !== route.target && value.producer)
    return unique.flatMap((value) => model.byValue.get(value) ?? [])
  }
  const blocks = tapped(attentionBlocks(model, route))
  if (blocks.length > 0) return { kind: 'blocks', ends: blocks }
  const stages = resolutionStages(model, route)
  if (stages.length > 0) return { kind: 'resolutions', ends: stages }
  const layers = tapped(recurrentLayers(model, route))
  return { kind: 'layers', ends: layers.length > 0 ? layers : tapped(denseLayers(route)) }
}

/** Operators that learn something on images and signals. */
const learned: ReadonlySet<string> = new Set([
  'Conv',
  'ConvInteger',
  'ConvTranspose',
  'DeformConv',
  'FusedConv',
  'QLinearConv',
])

/** Operators whose output is an image or a signal, channels first. */
const windows: ReadonlySet<string> = new Set([
  ...learned,
  'AveragePool',
  'DepthToSpace',
  'LpPool',
  'MaxPool',
  'SpaceToDepth',
])

/** The last value of each resolution on the way to the output, of resolutions at which something is learned. */
function resolutionStages(model: Tappable, route: Route): StageEnd[] {
  const { byValue, graph } = model
  const images = imagesOf(model, route)
  const answers = new Set(graph.outputs.flatMap((output) => [output, undropped(output)]))
  const isStage = (value: Value) => {
    const shape = images.get(value)
    return shape !== undefined && sizeOf(shape) > 1 && byValue.has(value)
  }
  const source = graph.feeds.find((feed) => route.values.has(feed))
  if (!source) return []
  const way = longestWay(route).filter(isStage)
  const sizes = (values: readonly Value[]) =>
    new Set(values.map((value) => String(images.get(value))))
  const cuts = cutsFrom(source, route).filter(isStage)
  // Where values skip whole resolutions, as in a U-net, few are on all ways.
  const along = sizes(cuts).size < sizes(way).size ? way : cuts
  // What the last convolution makes is the answer, where that has positions itself.
  const positions = byValue.get(route.target)?.shape.slice(1) ?? []
  const last = sizeOf(positions) > 1 ? along.findLastIndex(({ producer }) => learns(producer)) : -1
  const inside = (last < 0 ? along : along.slice(0, last)).filter((value) => !answers.has(value))
  const stages = runsOf(inside, (value) => String(images.get(value)))
  const learnedOn = learnedSizes(route, images)
  const given = byValue.get(source)?.shape.slice(1) ?? []
  const largest = Math.max(...[...images.values()].map(sizeOf))
  return stages
    .filter((stage) => learnedOn.has(String(images.get(stage[0]!))))
    .map((stage) => {
      const value = undropped(stage.at(-1)!)
      const end = byValue.get(value)!
      const positions = end.shape.slice(1)
      const whole = given.length === positions.length ? sizeOf(given) : largest
      return { ...end, resolution: sizeOf(positions) / whole }
    })
}

const learns = (node: Node | undefined): boolean => node !== undefined && learned.has(node.opType)

/** The positions of every value that is an image or a signal, channels first, of floats or of their levels. */
function imagesOf(
  { types, batch }: Tappable,
  { nodes, values }: Route,
): ReadonlyMap<Value, readonly number[]> {
  const images = new Map<Value, readonly number[]>()
  for (const { opType, inputs, outputs } of nodes)
    for (const output of outputs) {
      const shape = output && values.has(output) ? types.get(output)?.shape : undefined
      if (!isWhole(shape) || shape.length < 3 || shape[0] !== batch) continue
      const positions = shape.slice(2)
      // What keeps the positions keeps what they are.
      const keeps = inputs.some((input) => input && String(images.get(input)) === String(positions))
      if (windows.has(opType) || (keeps && opType !== 'Transpose')) images.set(output!, positions)
    }
  return images
}

/** The resolutions that a convolution gives out. */
function learnedSizes(
  { nodes }: Route,
  images: ReadonlyMap<Value, readonly number[]>,
): Set<string> {
  return new Set(
    nodes.filter(learns).flatMap(({ outputs: [output] }) => {
      const positions = output && images.get(output)
      return positions ? [String(positions)] : []
    }),
  )
}

/** Lists of consecutive items with the same key. */
function runsOf<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  const runs: Item[][] = []
  for (const item of items) {
    const run = runs.at(-1)
    if (run && keyOf(run[0]!) === keyOf(item)) run.push(item)
    else runs.push([item])
  }
  return runs
}

const recurrent: ReadonlySet<string> = new Set(['GRU', 'LSTM', 'RNN'])

/** What recurrent layers give out, as soon as the samples come first. */
function recurrentLayers({ byValue }: Tappable, route: Route): Value[] {
  return route.nodes
    .filter(({ opType }) => recurrent.has(opType))
    .flatMap(({ outputs }) => {
      const made = outputs.find((output) => output && route.values.has(output))
      const after = made ? [made, ...cutsFrom(made, route)] : []
      // With one direction the sequence has an axis of length 1, which is dropped in the next step.
      return after.find((value) => (byValue.get(value)?.shape.length ?? 3) <= 2) ?? []
    })
}

const products: ReadonlySet<string> = new Set(['Gemm', 'MatMul'])

/** What enters the fully connected layers behind the first: the outputs of activations. */
function denseLayers(route: Route): Value[] {
  return route.nodes
    .filter(({ opType }) => products.has(opType))
    .flatMap((node) => {
      const entered = [...node.inputs].filter((input) => input && route.values.has(input))
      if (entered.length !== 1) return []
      const value = undropped(entered[0]!)
      return isActivated(value, route) ? [value] : []
    })
}

/** Operators that only scale, shift, gather or rearrange. */
const linear: ReadonlySet<string> = new Set([
  'Add',
  'BatchNormalization',
  'Cast',
  'Concat',
  'DequantizeLinear',
  'Div',
  'Dropout',
  'Expand',
  'Flatten',
  'Gather',
  'Identity',
  'LayerNormalization',
  'Mul',
  'Pad',
  'QuantizeLinear',
  'ReduceMean',
  'ReduceSum',
  'Reshape',
  'Slice',
  'Split',
  'Squeeze',
  'Sub',
  'Sum',
  'Transpose',
  'Unsqueeze',
  'Where',
])

/** True where a value was made by an activation, not by a product, or by what is fed alone. */
function isActivated(value: Value, { values }: Route): boolean {
  // What is gated, x · sigmoid(x), is activated by its gate. The set grows while it is walked.
  const behind = new Set([value])
  for (const { producer } of behind) {
    if (!producer || products.has(producer.opType)) continue
    const carried = producer.inputs.filter((input) => input !== undefined && values.has(input))
    if (!linear.has(producer.opType) && carried.length > 0) return true
    for (const input of carried) behind.add(input!)
  }
  return false
}
