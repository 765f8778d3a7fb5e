// Weight-only quantization: weights in 8, 4 or 2 bits with a scale for each block; what flows stays float32.
import { z } from 'zod'
import { throwIfAborted, UserError } from '../../../base/errors.ts'
import { firstSamples, type Samples } from '../../../base/samples.ts'
import { build } from '../../../onnx/build.ts'
import { declareDomains, type Graph, type Model, opsetOf, type Value } from '../../../onnx/graph.ts'
import { newestOpset, upgradeOpset } from '../../../onnx/passes/upgrade.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { simplify } from '../../optimize.ts'
import { offsetOf } from '../../prune/matrix-layers.ts'
import type { StageContext } from '../../stage.ts'
import { sumsOver } from '../../sums.ts'
import { foldBranches, withBranches } from '../branches.ts'
import { shareConstants } from '../constants.ts'
import type { Prepared } from '../prepare.ts'
import {
  type AlgorithmName,
  algorithmNamed,
  algorithms,
  type QuantizedLayer,
} from './algorithms.ts'
import { dequantized, type WeightBits, type WeightMatrix } from './blocks.ts'
import { type FormName, formNames, formOf, opsetFor, takesBlocks, writeLayer } from './forms.ts'
import { type InputOrder, inputOrders } from './gptq.ts'
import { type StoredLayer, storedLayersOf } from './layers.ts'

/** What error messages call the model. */
const where = 'model'

/** Fields of the options of the scheme. */
export const weightOnlyShape = {
  bits: z
    .int()
    .min(1)
    .max(8)
    .optional()
    .describe(
      'weight-only: bits of a weight, 8, 4 or 2; 4 unless given. clusters: bits of a weight, 1 … 8, for 2^bits values, 0 among them where weights are zero.',
    ),
  block: z
    .union([16, 32, 64, 128, 256].map((size) => z.literal(size)))
    .optional()
    .describe(
      'weight-only: neighbouring inputs of an output that share a scale; 32 unless given. Convolutions have a scale an output.',
    ),
  form: z
    .enum(formNames)
    .optional()
    .describe(
      "weight-only: matmul-nbits writes MatMul and Gemm as ONNX Runtime's MatMulNBits, and all else (Conv, LSTM, GRU, RNN) as integers that it makes floats of once, when it opens the file; qdq writes DequantizeLinear of standard ONNX (opset 21, for 2 bits 25), which it computes at every run; matmul-nbits unless given.",
    ),
  algorithm: z
    .enum(Object.keys(algorithms) as [AlgorithmName, ...AlgorithmName[]])
    .optional()
    .describe(
      `weight-only: how weights are rounded. ${Object.entries(algorithms)
        .map(([name, { summary }]) => `${name}: ${summary}`)
        .join('; ')}. rtn unless given; gptq and awq need data.`,
    ),
  order: z
    .enum(Object.keys(inputOrders) as [InputOrder, ...InputOrder[]])
    .optional()
    .describe(
      `weight-only with gptq: the order in which the inputs of a layer are rounded. ${Object.entries(
        inputOrders,
      )
        .map(([name, summary]) => `${name}: ${summary}`)
        .join('; ')}. activation unless given.`,
    ),
  samples: z
    .int()
    .min(1)
    .optional()
    .describe(
      'weight-only with gptq and awq: calibration samples that inputs of layers are measured on; 128 unless given.',
    ),
}

/** Resolved options of the scheme. */
export interface WeightOnlyOptions {
  readonly bits?: number | undefined
  readonly block?: number | undefined
  readonly form?: FormName | undefined
  readonly algorithm?: AlgorithmName | undefined
  readonly order?: InputOrder | undefined
  readonly samples?: number | undefined
}

/** Whether the scheme has to have data. */
export const weightOnlyNeedsData = ({ algorithm = 'rtn' }: WeightOnlyOptions): boolean =>
  algorithmNamed(algorithm).needsInputs

/** Inputs of a layer up to which their second moments are measured: they are as many numbers squared. */
const mostInputs = 4096

/**
 * Stores the weights of layers in integers, in place; gives what says what was done.
 *
 * Layers are taken in order, each with the inputs that it gets now that those before are rounded.
 */
export async function weightOnly(
  { model, excluded }: Prepared,
  options: WeightOnlyOptions,
  context: StageContext,
): Promise<(model: Model) => string> {
  const { form = 'matmul-nbits', algorithm = 'rtn', block = 32 } = options
  const bits = bitsOf(options)
  const row = algorithmNamed(algorithm)
  const samples = row.needsInputs ? calibrationOf(options, algorithm, context) : undefined
  await simplify(model, where)
  await foldBranches(model, where)
  const graphs = withBranches(model.graph)
  const layers = graphs
    .flatMap((graph) => storedLayersOf(graph).map((layer) => ({ ...layer, graph })))
    .filter(({ node }) => !excluded.has(node))
  if (layers.length === 0)
    throw new UserError(
      `${where}: there is nothing to quantize: no Conv, Gemm, MatMul, LSTM, GRU or RNN with constant float32 weights is left — check the model and 'exclude'`,
    )
  const rounded = new Map<Value, QuantizedLayer>()
  const weights = [...new Set(layers.map(({ weight }) => weight))]
  const before = new Map(weights.map((weight) => [weight, weight.tensor]))
  for (const [index, weight] of weights.entries()) {
    throwIfAborted(context.signal)
    const own = layers.filter((layer) => layer.weight === weight)
    const first = own[0]!
    const matrices = matricesOf(first)
    const isOuter = own.every(({ graph }) => graph === model.graph)
    const moments = samples && isOuter ? await momentsOf(model, own, samples, context) : undefined
    const { columns } = first.form
    const quantized = row.quantize(
      { matrices, moments, ...channelsOf(first) },
      { bits, block: takesBlocks(first) && columns > block ? block : fitting(columns) },
      options.order,
    )
    rounded.set(weight, quantized)
    setWeights(first, quantized)
    context.progress({ done: (0.9 * (index + 1)) / weights.length })
  }
  // Excluded layers keep the weights that they share.
  for (const [weight, tensor] of before) weight.tensor = tensor
  write(model, layers, rounded, form)
  const elementsIn = weights.reduce((sum, { tensor }) => sum + (tensor?.size ?? 0), 0)
  const scales = [...rounded.values()]
    .flatMap((own) => own.weights)
    .reduce((sum, own) => sum + own.scales.length, 0)
  const each = bits + (scales * (32 + bits)) / elementsIn
  const nodes = new Set(layers.map(({ node }) => node))
  return () =>
    `weight-only, ${algorithm}: ${nodes.size} layers in ${bits} bits, ${each.toFixed(1)} a weight with scales`
}

/** MatMulNBits takes blocks of powers of two from 16 on; one that holds all inputs is as good as any. */
const fitting = (columns: number): number => 2 ** Math.max(4, Math.ceil(Math.log2(columns)))

function bitsOf({ bits = 4 }: WeightOnlyOptions): WeightBits {
  if (bits === 8 || bits === 4 || bits === 2) return bits
  throw new Error(`internal: weights of ${bits} bits`)
}

function calibrationOf(
  { samples = 128 }: WeightOnlyOptions,
  algorithm: AlgorithmName,
  { data }: StageContext,
): Samples {
  if (data && data.calibration.size > 0) return firstSamples(data.calibration, samples)
  throw new UserError(
    `algorithm: '${algorithm}' needs calibration data: there is none — name the data, or use algorithm 'hqq'`,
  )
}

/** The weights of a layer as matrices. */
export function matricesOf({ form, weight }: StoredLayer): WeightMatrix[] {
  const { groups, rows, columns } = form
  const values = elements(weight.tensor!, 'float32')
  return Array.from({ length: groups }, (_, group) => ({
    rows,
    columns,
    values: Float32Array.from(
      { length: rows * columns },
      (_, at) => values[offsetOf(form, group, Math.floor(at / columns), at % columns)]!,
    ),
  }))
}

/** The channels of a layer's input, and which of them a column belongs to. */
function channelsOf({ node, form, weight }: StoredLayer) {
  const { groups, columns } = form
  if (node.opType !== 'Conv') return { channels: columns, channelOf: (_: number, at: number) => at }
  const taken = weight.tensor!.dims[1]!
  const window = columns / taken
  return {
    channels: taken * groups,
    channelOf: (group: number, column: number) => group * taken + Math.floor(column / window),
  }
}

/**
 * Second moments of a layer's inputs, over all nodes that share its weights; undefined where no value holds them or there
 * are too many.
 */
async function momentsOf(
  model: Model,
  layers: readonly StoredLayer[],
  samples: Samples,
  context: StageContext,
): Promise<Float64Array[] | undefined> {
  const [{ name, form }] = layers as readonly [StoredLayer]
  const { groups, columns } = form
  if (columns > mostInputs) {
    context.log(`${name}: is rounded to nearest, because ${columns} inputs are too many to measure`)
    return undefined
  }
  const flows = layers.flatMap(({ features, node, data }) =>
    features ? { features, input: node.input(data).name } : [],
  )
  if (flows.length < layers.length) {
    context.log(
      `${name}: weights of its state are rounded to nearest, because it is inside the node`,
    )
    return undefined
  }
  const [sums] = await sumsOver(
    model,
    (g, named) => {
      const parts = flows.map(({ input, features }) => {
        const x = features(g, named(input))
        return g.MatMul(g.Transpose(x, { perm: [0, 2, 1] }), x)
      })
      return [parts.reduce((one, other) => g.Add(one, other))]
    },
    { samples, context },
  )
  const size = columns ** 2
  return Array.from({ length: groups }, (_, group) => sums!.slice(group * size, (group + 1) * size))
}

/** Gives a layer the weights that its integers stand for, in place, so that those behind see them. */
function setWeights(layer: StoredLayer, { weights, inputScales }: QuantizedLayer): void {
  const { form, weight } = layer
  const { channelOf } = channelsOf(layer)
  const values = new Float32Array(weight.tensor!.size)
  for (const [group, own] of weights.entries()) {
    const { columns } = own
    for (const [at, value] of dequantized(own).entries()) {
      const column = at % columns
      const scale = inputScales?.[channelOf(group, column)] ?? 1
      values[offsetOf(form, group, Math.floor(at / columns), column)] = value / scale
    }
  }
  weight.tensor = tensorOf('float32', weight.tensor!.dims, values)
}

function write(
  model: Model,
  layers: readonly (StoredLayer & { readonly graph: Graph })[],
  rounded: ReadonlyMap<Value, QuantizedLayer>,
  wanted: FormName,
): void {
  const graphs = withBranches(model.graph)
  const around = new Map(graphs.map((graph) => [graph, { graph, add: shareConstants(graph) }]))
  const stored = new Map<Value, Map<string, Value>>()
  let opset = opsetOf(model)
  for (const layer of layers) {
    const { weights, inputScales } = rounded.get(layer.weight)!
    const form = formOf(layer, wanted)
    const surroundings = around.get(layer.graph)!
    opset = Math.max(opset, opsetFor(layer, form, weights[0]!))
    if (inputScales) divideInput(layer, inputScales, surroundings)
    const owner = graphs.find(({ initializers }) => initializers.has(layer.weight)) ?? layer.graph
    writeLayer(layer, form, weights, { ...surroundings, owner, stored })
  }
  raise(model, opset)
  declareDomains(model)
}

/** Divides what flows into a layer, one number a channel. */
function divideInput(
  { node, data }: StoredLayer,
  scales: Float32Array,
  {
    graph,
    add,
  }: { readonly graph: Model['graph']; readonly add: ReturnType<typeof shareConstants> },
): void {
  const behind = node.opType === 'Conv' ? node.input(1).tensor!.dims.length - 2 : 0
  const isColumn = node.opType !== 'Conv' && (data === 1 || node.number('transA', 0) !== 0)
  const dims = [scales.length, ...(isColumn ? [1] : Array.from({ length: behind }, () => 1))]
  const factors = scales.map((scale) => 1 / scale)
  const g = build(graph, node)
  node.setInput(data, g.Mul(node.input(data), add('a', 'float32', dims, factors)))
}

/** Raises the opset; what is newer than {@link newestOpset} only adds types to the operators that are there. */
function raise(model: Model, opset: number): void {
  const before = opsetOf(model)
  if (opset <= before) return
  upgradeOpset(model, Math.min(opset, newestOpset), where)
  if (opset <= newestOpset) return
  model.opsets.set('', opset)
  model.irVersion = Math.max(model.irVersion, newestIrVersion)
}

/** The IR version that knows integers of two bits. */
const newestIrVersion = 13
