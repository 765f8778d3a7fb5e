// Schemes whose weights have few values, so that the file holds small codes and a table: clusters, ternary and binary
// weights. In the model they stay float32 weights of their layers, as zeros of a pruned model do: later stages can train
// them, and they are stored small whenever the model is saved (onnx/packed.ts).
import { z } from 'zod'
import { throwIfAborted, UserError } from '../../../base/errors.ts'
import { fromHalves, largestFloat16, toHalves } from '../../../base/float16.ts'
import { random } from '../../../base/random.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import { type Graph, type Model, type Node, opsetOf, type Value } from '../../../onnx/graph.ts'
import { packedSince, packZeros, storedBytes } from '../../../onnx/packed.ts'
import { liftConstants } from '../../../onnx/passes/constants.ts'
import { upgradeOpset } from '../../../onnx/passes/upgrade.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import type { MatrixLayer } from '../../prune/matrix-layers.ts'
import { type RecoverOptions, recoverOptions } from '../../recover.ts'
import { percent } from '../../shares.ts'
import type { Facts, StageContext } from '../../stage.ts'
import type { Prepared } from '../prepare.ts'
import { mapChannels, weightLayers } from './channels.ts'
import { centroidsOf, nearestOf, type StartName, starts } from './k-means.ts'
import { learnClusters } from './learned-clusters.ts'
import { binary, ternary } from './levels.ts'

/** What error messages call the model. */
const where = 'model'

/** Fields of the options of clusters, besides `bits`. */
export const clustersShape = {
  clusters: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe(
      'clusters: values of a table besides 0, instead of bits, which says how many there are with it.',
    ),
  shared: z
    .enum(['tensor', 'channel'])
    .optional()
    .describe('clusters: a table for each weight tensor or output channel; tensor unless given.'),
  start: z
    .enum(Object.keys(starts) as [StartName, ...StartName[]])
    .optional()
    .describe(
      `clusters: where centroids begin. ${Object.entries(starts)
        .map(([name, summary]) => `${name}: ${summary}`)
        .join('; ')}. linear unless given.`,
    ),
  biases: z
    .enum(['float32', 'float16', 'clusters'])
    .optional()
    .describe(
      'clusters: how biases and other vectors of numbers are stored; float32 unless given. Clusters of vectors have 5 bits.',
    ),
  recover: recoverOptions
    .optional()
    .describe(
      'clusters: a training afterwards, of what clusters and biases are worth, while weights stay in their clusters and zeros zero: distillation from the model as it was, unless told otherwise.',
    ),
}

/** Resolved options of clusters. */
export interface ClusterOptions {
  readonly bits?: number | undefined
  readonly clusters?: number | undefined
  readonly shared?: 'tensor' | 'channel' | undefined
  readonly start?: StartName | undefined
  readonly biases?: 'float32' | 'float16' | 'clusters' | undefined
  readonly recover?: RecoverOptions | undefined
}

/** What was done, in one line, or with what a training tells besides. */
export type SaidOfWeights = string | (Facts & { readonly summary: string })

/** Values of a table unless told: 4 bits. */
const defaultBits = 4

/** Values of the table of a vector. */
const vectorClusters = 32

/** Gives the weights of layers few values, in place; zeros stay zero. */
export function clusters(
  prepared: Prepared,
  options: ClusterOptions,
  context: StageContext,
): Promise<(model: Model) => SaidOfWeights> {
  const { bits, clusters: count, shared = 'tensor', start = 'linear', biases, recover } = options
  const unpruned = recover && cloneModel(prepared.model)
  const source = random(context.seed, 'clusters')
  const replaced = (values: Float32Array): Float32Array => {
    const alive = values.filter((value) => value !== 0)
    const hasZeros = alive.length < values.length
    const most = count ?? 2 ** (bits ?? defaultBits) - (hasZeros ? 1 : 0)
    const centroids = centroidsOf(alive, Math.max(1, most), start, source)
    return values.map((value) => (value === 0 ? 0 : nearestOf(centroids, value)))
  }
  const what = count === undefined ? `${bits ?? defaultBits} bits` : `${count} clusters`
  return codebooks(prepared, context, {
    name: `clusters, ${what} a ${shared}`,
    change(layer) {
      if (shared === 'channel') mapChannels(layer, replaced)
      else changeValue(layer.weight, replaced)
    },
    learn: async (model, layers) =>
      recover && unpruned && learnClusters(model, layers, shared, recover, context, unpruned),
    finish({ graph }) {
      if (biases === undefined || biases === 'float32') return
      for (const vector of biasesOf(graph, prepared.excluded))
        changeValue(vector, (values) => {
          if (biases === 'float16') return asHalves(values)
          const centroids = centroidsOf(values, vectorClusters, start, source)
          return values.map((value) => nearestOf(centroids, value))
        })
    },
  })
}

/** Gives the weights of layers the values -α, 0 and α, in place, α being one a channel. */
export const ternaryWeights = (
  prepared: Prepared,
  _options: object,
  context: StageContext,
): Promise<(model: Model) => SaidOfWeights> =>
  codebooks(prepared, context, {
    name: 'ternary',
    change: (layer) => mapChannels(layer, ternary),
  })

/** Gives the weights of layers the values -α and α, in place, α being one a channel. */
export const binaryWeights = (
  prepared: Prepared,
  _options: object,
  context: StageContext,
): Promise<(model: Model) => SaidOfWeights> =>
  codebooks(prepared, context, {
    name: 'binary',
    change: (layer) => mapChannels(layer, binary),
  })

/** A way to give weights few values. */
interface Codebooks {
  readonly name: string
  change(layer: MatrixLayer): void
  /** Trains what came of it. */
  learn?(model: Model, layers: readonly MatrixLayer[]): Promise<Facts | undefined>
  finish?(model: Model): void
}

async function codebooks(
  { model, excluded }: Prepared,
  context: StageContext,
  { name, change, learn, finish }: Codebooks,
): Promise<(model: Model) => SaidOfWeights> {
  if (opsetOf(model) < packedSince) upgradeOpset(model, packedSince, where)
  liftConstants(model)
  const layers = weightLayers(model.graph, excluded)
  if (layers.length === 0)
    throw new UserError(
      `${where}: there is nothing to quantize: no Conv, Gemm or MatMul with constant float32 weights is left — check the model and 'exclude'`,
    )
  for (const [index, layer] of layers.entries()) {
    throwIfAborted(context.signal)
    change(layer)
    context.progress({ done: ((learn ? 0.1 : 0.9) * (index + 1)) / layers.length })
  }
  const facts = await learn?.(model, layers)
  finish?.(model)
  packZeros(model)
  let [stored, all] = [0, 0]
  for (const { weight } of layers) {
    stored += storedBytes(weight.tensor!)
    all += weight.tensor!.byteLength
  }
  const said = `${name}: ${layers.length} weights in ${percent(stored / all)} of their bytes`
  return () => (facts ? { ...facts, summary: `${said}; ${facts.summary}` } : said)
}

/** What is added to the outputs of layers: constant vectors that nothing else reads. */
function biasesOf(graph: Graph, excluded: ReadonlySet<Node>): Value[] {
  const isAdded = (node: Node, value: Value) =>
    node.opType === 'Add' || (isLayer.has(node.opType) && node.inputs.indexOf(value) === 2)
  return [...graph.initializers].filter((value) => {
    if (value.tensor?.dtype !== 'float32' || value.tensor.dims.length !== 1) return false
    const users = [...value.users]
    return users.length > 0 && users.every((user) => !excluded.has(user) && isAdded(user, value))
  })
}

const isLayer: ReadonlySet<string> = new Set(['Conv', 'Gemm'])

/** Numbers as float16 has them, where it has none of them as infinite. */
function asHalves(values: Float32Array): Float32Array {
  if (values.some((value) => !(Math.abs(value) <= largestFloat16))) return values
  const halves = new Uint16Array(values.length)
  toHalves(values, halves)
  const rounded = new Float32Array(values.length)
  fromHalves(halves, rounded)
  return rounded
}

/** Replaces a constant of float32 by what a function makes of it. */
function changeValue(value: Value, change: (values: Float32Array) => Float32Array): void {
  const tensor = value.tensor!
  value.tensor = tensorOf('float32', tensor.dims, change(elements(tensor, 'float32')))
}
