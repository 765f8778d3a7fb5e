// Re-estimation of BatchNormalization for rounded weights: before it is folded, its statistics are taken from what the
// rounded layers give, so that mean and variance of every channel are right again.
import type { Dataset } from '../../../data/dataset.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import { constantOf, type Model, type Node } from '../../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { estimateNormalizations } from '../../recalibrate/batch-normalization.ts'
import type { StageContext } from '../../stage.ts'
import { quantizeWeights } from '../arithmetic.ts'
import { quantizationRuleOf } from '../operators.ts'
import type { Prepared } from '../prepare.ts'
import { setOwnConstant } from './inputs.ts'

/** How weights are going to be rounded, and what is looked at. */
export interface ReestimationOptions {
  readonly bits: number
  readonly perChannel: boolean
  readonly calibration: Dataset
  readonly samples: number
  readonly context: StageContext
}

const operator = 'BatchNormalization'

/**
 * Sets means and variances of all BatchNormalization, in place, to those behind rounded weights (Sun et al. 2019,
 * "Hybrid 8-bit floating point training and inference for deep neural networks"); gives how many there
 * are. The float weights stay what they are.
 */
export async function reestimateNormalizations(
  { model, excluded }: Prepared,
  { bits, perChannel, calibration, samples, context }: ReestimationOptions,
): Promise<number> {
  const { graph } = model
  const normalizations = graph.nodes.filter(({ opType }) => opType === operator)
  if (normalizations.length === 0) return 0
  const rounded = cloneModel(model)
  const copies = rounded.graph.nodes
  for (const [index, node] of graph.nodes.entries()) {
    const weights = excluded.has(node) ? undefined : roundedWeights(node, bits, perChannel)
    if (weights) setOwnConstant(rounded.graph, copies[index]!, 1, weights)
  }
  const task = { model: rounded, original: rounded, kept: new Map(), calibration, samples }
  const estimated = await estimateNormalizations(task, context)
  const found = statisticsIn(estimated.model)
  for (const node of normalizations)
    for (const [index, tensor] of found.get(node.output().name)?.entries() ?? [])
      setOwnConstant(graph, node, 3 + index, tensor)
  return normalizations.length
}

/** Mean and variance of each BatchNormalization, by the name of its output. */
const statisticsIn = ({ graph }: Model): ReadonlyMap<string, readonly Tensor[]> =>
  new Map(
    graph.nodes
      .filter(({ opType }) => opType === operator)
      .map((node) => [
        node.output().name,
        [3, 4].flatMap((index) => constantOf(node.inputs[index]) ?? []),
      ]),
  )

/** The weights of a layer as they will be; undefined where it is none. */
function roundedWeights(node: Node, bits: number, perChannel: boolean): Tensor | undefined {
  const rule = quantizationRuleOf(node)
  const weights = constantOf(node.inputs[1])
  if (rule?.kind !== 'layer' || weights?.dtype !== 'float32' || !rule.supports(node, weights))
    return undefined
  const { dims } = weights
  const axis = rule.channelAxis(node, weights)
  const stride = sizeOf(dims.slice(axis + 1))
  const channelAt = (at: number) => Math.floor(at / stride) % dims[axis]!
  // What is folded into the weights before they are rounded matters where channels share a scale.
  const factors = perChannel ? undefined : foldedFactors(node, dims[axis]!)
  const factorAt = (at: number) => factors?.[channelAt(at)] ?? 1
  const folded = elements(weights, 'float32').map((value, at) => value * factorAt(at))
  const { values, scales } = quantizeWeights(folded, dims, perChannel ? axis : undefined, bits)
  const result = Float32Array.from(
    values,
    (value, at) => (value * scales[perChannel ? channelAt(at) : 0]!) / factorAt(at),
  )
  return tensorOf('float32', dims, result)
}

/** What the only BatchNormalization behind a layer multiplies each channel with; 1 where that is nothing. */
function foldedFactors(node: Node, channels: number): Float32Array | undefined {
  const [user] = node.output().users
  if (node.output().users.size !== 1 || user?.opType !== operator) return undefined
  const [scale, variance] = [1, 4].map((index) => constantOf(user.inputs[index]))
  if (scale?.dtype !== 'float32' || variance?.dtype !== 'float32') return undefined
  const [scales, variances] = [elements(scale, 'float32'), elements(variance, 'float32')]
  if (scales.length !== channels || variances.length !== channels) return undefined
  const epsilon = user.number('epsilon', 1e-5)
  return scales.map((value, at) => value / Math.sqrt(variances[at]! + epsilon) || 1)
}
