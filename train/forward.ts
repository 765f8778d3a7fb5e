// The forward pass of a training: the model in training form, and the loss behind its outputs.
import { UserError } from '../base/errors.ts'
import { select } from '../base/selectors.ts'
import { type Builder, build } from '../onnx/build.ts'
import { type Graph, type Model, operatorOf, type Value } from '../onnx/graph.ts'
import type { DataType } from '../onnx/tensor.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { backward, endsOf, reachedFrom } from './backward.ts'
import type { QuantizerParameter, Quantizers } from './fake-quantize.ts'
import { passive } from './gradients.ts'
import { type Draw, type LossFacts, lossContext, type Memory } from './loss-context.ts'
import type { LossOptions } from './losses.ts'
import { comparesWith, writeLoss } from './losses.ts'
import { standard } from './lowerings/standard.ts'
import { type PenaltyOptions, writePenalties } from './penalties.ts'
import type { PenalisedGroup } from './penalty.ts'
import { type Prepared, type PrepareOptions, prepare, trainableWeights } from './prepare.ts'
import { shapeOf } from './rule.ts'
import type { Scheduled } from './scheduled.ts'
import { studentTaps } from './taps.ts'
import {
  feedDropout,
  furtherNormalizations,
  type Statistics,
  trainBatchNormalization,
} from './training-form.ts'

/** What a forward pass is made of. */
export interface ForwardOptions
  extends Omit<PrepareOptions, 'taps'>,
    Omit<LossFacts, 'batch' | 'labelled' | 'where'> {
  readonly losses: readonly LossOptions[]
  /** Terms of the loss that look at the weights alone; none unless told. */
  readonly penalties?: readonly PenaltyOptions[] | undefined
  /** The channels that penalties may be about, by the names that constants have in the model. */
  readonly groups?: readonly PenalisedGroup[] | undefined
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
  /** The position of each sample in the training data. */
  readonly indices: Feed | undefined
  /** What the teacher says, by the place in its answer: outputs, tapped values, gradient. */
  readonly teacher: ReadonlyMap<number, Feed>
  /** Random numbers: what Dropout drops, and what losses ask for. */
  readonly draws: readonly (Feed & { readonly draw: Draw })[]
  /** Numbers of losses that change in the course of the training. */
  readonly numbers: readonly (Feed & { readonly number: Scheduled })[]
}

/** A forward pass with a scalar loss; the graph has no outputs yet, and every value a settled shape. */
export interface Forward extends Prepared {
  /** Writes at the end of the graph. */
  readonly g: Builder
  readonly loss: Value
  /** The weighted terms that the loss is the sum of: losses, then penalties. */
  readonly terms: readonly Value[]
  /** The initializers that are trained: those on which the loss depends. */
  readonly weights: readonly Value[]
  readonly statistics: readonly Statistics[]
  /** The normalizations of second passes, which keep no running statistics. */
  readonly further: readonly Statistics[]
  /** What losses remember from step to step. */
  readonly memories: readonly Memory[]
  /** Values through which no gradient passes. */
  readonly detached: ReadonlySet<Value>
  /** Outputs whose gradient goes to the first input of their operator as it is. */
  readonly straight: ReadonlySet<Value>
  /** Those of the weights that belong to fake quantizations. */
  readonly parameters: ReadonlyMap<Value, QuantizerParameter>
  /** The ranges that follow the batches. */
  readonly followed: readonly Followed[]
  readonly feeds: Feeds
}

/** A range that an observer keeps, as it is before a batch and in it. */
export interface Followed {
  /** The initializer `[2]`. */
  readonly range: Value
  /** `[2]`: minimum and maximum. */
  readonly batch: Value
  /** What is kept of the range, 0..1. */
  readonly momentum: Value | number
}

/**
 * Copies a model, puts it into training form and writes the loss.
 *
 * The same model and options always give the same weights in the same order.
 */
export async function forwardPass(model: Model, options: ForwardOptions): Promise<Forward> {
  const { losses, freeze, penalties = [], groups = [], where = 'model' } = options
  const prepared = await prepare(model, { ...options, taps: studentTaps(losses) })
  const { graph, outputs, inputs, layers, taps } = prepared
  const { quantizers } = options
  const candidates = trainableWeights(prepared, freeze, quantizers)
  const frozen = new Set(select(layers, freeze, 'freeze').map(({ node }) => node))
  const statistics = options.batchStatistics ? trainBatchNormalization(graph, frozen) : []
  const g = build(graph)
  const named = valuesByName(graph, quantizers)
  const stopped = named(quantizers?.detached ?? [])
  const straight = new Set(named(quantizers?.straight ?? []))
  const labelled = comparesWith(losses, 'labels')
  const settle = async (value: Value) => {
    graph.outputs.push(value)
    await inferShapes(prepared.model, { where })
    graph.outputs.splice(0)
  }
  const gradient = async (scalar: Value, by: Value) => {
    await settle(scalar)
    const detached = new Set([...compared.parts().detached, ...stopped])
    const ways = { where, detached, straight }
    const found = backward(g, scalar, new Set([by]), standard, ways).get(by)
    if (!found)
      throw new UserError(
        `${where}: no gradient reaches '${by.name}', by which a loss takes one — leave that loss out`,
      )
    found.type = by.type
    return found
  }
  // Before losses differentiate what they have, or pass through the model again.
  const dropout = options.dropout ? feedDropout(g, graph) : []
  const subject = { inputs, outputs, taps, gradient, dropout }
  const compared = lossContext(g, subject, { ...options, labelled, where })
  const written = await writeLoss(g, compared.context, losses)
  const { number } = compared.context
  const weighed = { graph, layers, weights: candidates, groups, number, where }
  const terms = [...written.terms, ...writePenalties(g, weighed, penalties)]
  const loss = terms
    .slice(written.terms.length)
    .reduce((sum, term) => g.Add(sum, term), written.loss)
  await settle(loss)
  const followed = (quantizers?.observers ?? []).map((observer): Followed => {
    const [value, range] = named([observer.value, observer.range]) as [Value, Value]
    const ends = [g.ReduceMin(value, { keepdims: 0 }), g.ReduceMax(value, { keepdims: 0 })]
    const batch = g.Concat(...ends.map((end) => g.Reshape(end, [1])), { axis: 0 })
    return { range, batch, momentum: number(quantizers!.momentum) }
  })
  const { inputs: fed, parameters, memories, detached: own } = compared.parts()
  const detached = new Set([...own, ...stopped])
  const learning = [...candidates, ...parameters]
  const reached = reachedFrom(graph, loss, new Set(learning), { detached, straight })
  const weights = learning.filter((value) => reached.has(value))
  if (!candidates.some((value) => reached.has(value)))
    throw nothingToTrain(graph, candidates, where)
  const { targets, values, indices, teacher, numbers, draws } = fed
  return {
    ...prepared,
    ...{ g, loss, terms, weights, statistics, memories, detached, straight, followed },
    parameters: new Map(
      weights.flatMap((value) => {
        const parameter = quantizers?.parameters.get(value.name)
        return parameter ? [[value, parameter] as const] : []
      }),
    ),
    further: furtherNormalizations(graph, statistics),
    feeds: {
      inputs: inputs.map(feedOf),
      targets: targets && feedOf(targets),
      values: values && feedOf(values),
      indices: indices && feedOf(indices),
      teacher: new Map([...teacher].map(([place, value]) => [place, feedOf(value)])),
      draws: [
        ...dropout.map(({ input, ratio }) => ({
          ...feedOf(input),
          draw: { kind: 'dropout' as const, ratio },
        })),
        ...draws.map(({ input, draw }) => ({ ...feedOf(input), draw })),
      ],
      numbers: numbers.map(({ input, number }) => ({ ...feedOf(input), number })),
    },
  }
}

/** Finds values of a graph that quantizers speak of. */
function valuesByName(
  graph: Graph,
  quantizers: Quantizers | undefined,
): (names: readonly string[]) => Value[] {
  if (!quantizers) return () => []
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  const values = new Map(
    [...graph.inputs, ...graph.initializers, ...made].map((value) => [value.name, value]),
  )
  return (names) =>
    names.map((name) => {
      const value = values.get(name)
      if (!value) throw new Error(`internal: no value '${name}' to quantize`)
      return value
    })
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
