// Pruning single weights: the smallest become zero, wherever they are. The shapes stay, and so does the speed of
// providers that do not look for zeros.
import { UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { layersOf } from '../../onnx/layers.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { foldConstants } from '../../runtime/fold.ts'
import { criteria } from './criteria.ts'
import { criterionOf, type PruneOptions } from './options.ts'

/** The masks of pruned weights by initializer: 1 where a weight lives, 0 where it is zero for good. */
export type Masks = Map<string, Float32Array>

/** Zeroes the least important weights of a copy of the model (not biases, not norms). */
export async function pruneWeights(
  model: Model,
  options: PruneOptions,
): Promise<{ model: Model; masks: Masks; summary: string }> {
  const copy = cloneModel(model)
  liftConstants(copy)
  // A weight that is reshaped before it is used is a weight as well.
  await foldConstants(copy)
  removeDeadNodes(copy.graph)
  const values = chosen(copy, options)
  const { add, finish } = criteria[criterionOf(options)]
  const scores = values.map(({ tensor }) =>
    elements(tensor!, 'float32').map((weight) => finish(add(0, weight, 0))),
  )
  const share = options.target.sparsity
  if (share === undefined) throw new Error('internal: pruning weights without a sparsity')
  const masks =
    options.scope === 'global'
      ? masksFor(scores, share)
      : scores.flatMap((own) => masksFor([own], share))
  let zeros = 0
  for (const [index, value] of values.entries()) {
    const mask = masks[index]!
    const kept = elements(value.tensor!, 'float32').map((weight, at) => (mask[at] ? weight : 0))
    value.tensor = tensorOf('float32', value.tensor!.dims, kept)
    for (const bit of mask) if (bit === 0) zeros++
  }
  const total = scores.reduce((sum, own) => sum + own.length, 0)
  return {
    model: copy,
    masks: new Map(values.map((value, index) => [value.name, masks[index]!])),
    summary: `zeroed ${zeros} of ${total} weights in ${values.length} layers`,
  }
}

/** The float32 weights of the layers that the options name, each once. */
function chosen({ graph }: Model, { layers, exclude }: PruneOptions): Value[] {
  const all = layersOf(graph).filter(({ weight }) => weight.tensor?.dtype === 'float32')
  const wanted = layers ? select(all, layers, 'layers') : all
  const spared = new Set(select(all, exclude, 'exclude').map(({ weight }) => weight))
  const values = new Set(wanted.map(({ weight }) => weight).filter((weight) => !spared.has(weight)))
  if (values.size === 0)
    throw new UserError(
      `no float32 weights to prune: ${layersOf(graph).length} layers with weights — prune before quantization, or choose other layers`,
    )
  return [...values]
}

/** One mask a list of scores: zero for the given share of all of them, the smallest; of equal ones, the first. */
function masksFor(scores: readonly Float32Array[], share: number): Float32Array[] {
  const total = scores.reduce((sum, own) => sum + own.length, 0)
  const count = Math.round(share * total)
  const masks = scores.map((own) => new Float32Array(own.length).fill(1))
  if (count === 0) return masks
  const sorted = new Float32Array(total)
  let offset = 0
  for (const own of scores) {
    sorted.set(own, offset)
    offset += own.length
  }
  sorted.sort()
  const threshold = sorted[count - 1]!
  let equal = count - sorted.indexOf(threshold)
  for (const [index, own] of scores.entries())
    for (let at = 0; at < own.length; at++)
      if (own[at]! < threshold || (own[at] === threshold && equal-- > 0)) masks[index]![at] = 0
  return masks
}
