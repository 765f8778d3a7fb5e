// The forward pass of a training: the model in training form, and the loss behind its outputs.
import { UserError } from '../base/errors.ts'
import { select } from '../base/selectors.ts'
import { type Builder, build } from '../onnx/build.ts'
import { type Graph, type Model, operatorOf, type Value } from '../onnx/graph.ts'
import type { DataType } from '../onnx/tensor.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { endsOf, reachedFrom } from './backward.ts'
import { passive } from './gradients.ts'
import { lossContext } from './loss-context.ts'
import { comparesWith, writeLoss } from './losses.ts'
import type { LossOptions } from './options.ts'
import { type Prepared, type PrepareOptions, prepare, trainableWeights } from './prepare.ts'
import { shapeOf } from './rule.ts'
import { feedDropout, type Statistics, trainBatchNormalization } from './training-form.ts'

/** What a forward pass is made of. */
export interface ForwardOptions extends PrepareOptions {
  readonly losses: readonly LossOptions[]
  /** How many classes the labels have; needed by losses on labels alone. */
  readonly classes?: number | undefined
  /** How many target values a sample has. */
  readonly targetWidth?: number | undefined
  /** So many consecutive samples of a batch belong together. */
  readonly group?: number | undefined
  /** How much each class counts. */
  readonly classWeights?: readonly number[] | undefined
  /** Selectors of layers whose weights stay. */
  readonly freeze: readonly string[]
  /** Uses the batch's own statistics in BatchNormalization, and keeps running ones; otherwise the stored ones. */
  readonly batchStatistics: boolean
  /** Drops what Dropout drops; otherwise it does nothing, as at inference. */
  readonly dropout: boolean
}

/** Something that is fed at every step. */
export interface Feed {
  readonly name: string
  readonly dtype: DataType
  readonly dims: readonly number[]
}

/** Everything that is fed at every step besides the training's own vectors. */
export interface Feeds {
  /** The model's inputs in order. */
  readonly inputs: readonly Feed[]
  readonly targets: Feed | undefined
  /** The target values. */
  readonly values: Feed | undefined
  /** What the teacher says, by the number of the output. */
  readonly teacher: ReadonlyMap<number, Feed>
  readonly dropout: readonly (Feed & { readonly ratio: number })[]
}

/** A forward pass with a scalar loss; the graph has no outputs yet, and every value a settled shape. */
export interface Forward extends Prepared {
  /** Writes at the end of the graph. */
  readonly g: Builder
  readonly loss: Value
  /** The initializers that are trained: those on which the loss depends. */
  readonly weights: readonly Value[]
  readonly statistics: readonly Statistics[]
  readonly feeds: Feeds
}

/**
 * Copies a model, puts it into training form and writes the loss.
 *
 * The same model and options always give the same weights in the same order.
 */
export async function forwardPass(model: Model, options: ForwardOptions): Promise<Forward> {
  const { losses, freeze, where = 'model' } = options
  const prepared = await prepare(model, options)
  const { graph, outputs, inputs, layers } = prepared
  const candidates = trainableWeights(prepared, freeze)
  const frozen = new Set(select(layers, freeze, 'freeze').map(({ node }) => node))
  const statistics = options.batchStatistics ? trainBatchNormalization(graph, frozen) : []
  const g = build(graph)
  const labelled = comparesWith(losses, 'labels')
  const compared = lossContext(g, outputs, { ...options, labelled, where }, inputs)
  const loss = writeLoss(g, compared.context, losses)
  graph.outputs.push(loss)
  await inferShapes(prepared.model, { where })
  graph.outputs.splice(0)
  const dropout = options.dropout ? feedDropout(g, graph) : []
  const reached = reachedFrom(graph, loss, new Set(candidates))
  const weights = candidates.filter((value) => reached.has(value))
  if (weights.length === 0) throw nothingToTrain(graph, candidates, where)
  const { targets, values, teacher } = compared.inputs()
  return {
    ...prepared,
    ...{ g, loss, weights, statistics },
    feeds: {
      inputs: inputs.map(feedOf),
      targets: targets && feedOf(targets),
      values: values && feedOf(values),
      teacher: new Map([...teacher].map(([output, value]) => [output, feedOf(value)])),
      dropout: dropout.map(({ input, ratio }) => ({ ...feedOf(input), ratio })),
    },
  }
}

function nothingToTrain(graph: Graph, candidates: readonly Value[], where: string): UserError {
  const [end] = endsOf(graph, new Set(candidates))
  if (candidates.length === 0 || !end)
    return new UserError(
      `${where}: has no float32 weights to train — use a float model, or freeze less`,
    )
  const name = operatorOf(end)
  return new UserError(
    `${where}: no gradient reaches the weights: op '${name}' (node '${end.name}') has none, ${passive[name]} — export the model without it`,
  )
}

const feedOf = (value: Value): Feed => ({
  name: value.name,
  dtype: value.type?.dtype ?? 'float32',
  dims: shapeOf(value),
})
