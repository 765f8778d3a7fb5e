// Pruning weights: single ones, patterns and blocks become zero. The shapes stay, and so does the speed of providers
// that do not look for zeros.
import { UserError } from '../../base/errors.ts'
import { select } from '../../base/selectors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Graph, Model, Node } from '../../onnx/graph.ts'
import { innerLayers, type Layer, layersOf } from '../../onnx/layers.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { foldConstants } from '../../runtime/fold.ts'
import type { StageContext } from '../stage.ts'
import { settleCriterion } from './criteria.ts'
import { maskStructureOf } from './mask-structures.ts'
import type { PruneOptions } from './options.ts'
import type { Before, Masks, Pruned } from './pruned.ts'
import { reconstructWeights } from './reconstruct.ts'
import { type Accumulated, weightScores } from './scores.ts'
import { structureOf } from './structure.ts'
import type { Amount, Masked, MaskStructure } from './structures/mask.ts'
import { hasMatrices, type Matrices, matricesOf } from './structures/matrix.ts'
import { rowsOf } from './structures/rows.ts'

/** Zeroes the least important weights of a copy of the model (not biases, not norms). */
export async function pruneWeights(
  model: Model,
  options: PruneOptions,
  context: StageContext,
  before?: Before,
): Promise<Pruned> {
  const copy = await weighable(model)
  const subject = maskable(copy, options, context)
  const masks = await masksFor(copy, subject, options, context, {
    progress: before?.progress ?? 1,
    dead: before?.masks,
  })
  applyMasks(copy, masks)
  const { reconstruct, samples } = settleCriterion(options, 'weights')
  if (reconstruct) await reconstructWeights(copy, model, masks, samples, context)
  return { model: copy, masks, summary: summaryOf(masks) }
}

/** A copy of a model in which every weight is an initializer, also one that is reshaped before it is used. */
export async function weighable(model: Model): Promise<Model> {
  const copy = cloneModel(model)
  liftConstants(copy)
  // What others use as well stays shared: a copy of its own would be another weight.
  const isShared = (node: Node) =>
    node.inputs.some(
      (input) => input?.tensor && input.tensor.dims.length > 1 && input.users.size > 1,
    )
  await foldConstants(copy, 'model', (node) => !isShared(node))
  removeDeadNodes(copy.graph)
  return copy
}

/** Weights that can be masked, each once, and how. */
export interface Maskable {
  readonly structure: MaskStructure
  readonly weights: readonly { readonly layer: Layer; readonly matrices: Matrices }[]
  readonly sparsity: number
}

/** The float32 weights of the layers that the options name, as far as the structure fits them. */
export function maskable(
  { graph }: Model,
  { structure: name, layers, exclude, target }: PruneOptions,
  context: Pick<StageContext, 'log'>,
): Maskable {
  const structure = maskStructureOf(structureOf(name))
  const sparsity = structure?.sparsity ?? target.sparsity
  if (!structure || sparsity === undefined)
    throw new Error(`internal: structure '${name}' masks nothing`)
  const all = layersOf(graph).filter(
    (layer) => layer.weight.tensor?.dtype === 'float32' && hasMatrices(layer),
  )
  const wanted = layers ? select(all, layers, 'layers') : all
  // A weight that several layers share is spared where one of them is.
  const spared = new Set(select(all, exclude, 'exclude').map(({ weight }) => weight))
  const own = new Map(
    wanted
      .filter(({ weight }) => !spared.has(weight))
      .reverse()
      .map((layer) => [layer.weight, layer]),
  )
  const chosen = [...own.values()].reverse()
  if (chosen.length === 0) throw nothingToPrune(graph)
  const weights = chosen
    .map((layer) => ({ layer, matrices: matricesOf(layer) }))
    .filter(({ matrices }) => structure.fits(matrices))
  const small = chosen.filter((layer) => !weights.some((weight) => weight.layer === layer))
  if (weights.length === 0)
    throw new UserError(
      `structure: '${name}' fits no weight: all ${chosen.length} are too small for it, such as ${describe(chosen[0]!)} — choose another structure, or other layers`,
    )
  if (small.length > 0)
    context.log(
      `left alone, too small for '${name}': ${small.slice(0, 5).map(describe).join(', ')}${small.length > 5 ? ` and ${small.length - 5} more` : ''}`,
    )
  return { structure, weights, sparsity }
}

function nothingToPrune(graph: Graph): UserError {
  const [layers, inner] = [layersOf(graph).length, innerLayers(graph)]
  return new UserError(
    layers === 0 && inner[0]
      ? `no weights to prune: all ${inner.length} layers are inside branches or loops, such as '${inner[0].name}' — use structure 'channels', or a model without the condition`
      : `no float32 weights to prune: ${layers} layers with weights — prune before quantization, or choose other layers`,
  )
}

const describe = ({ name, weight }: Layer): string =>
  `'${name}' of ${weight.tensor!.dims.join(' x ')}`

/** How far pruning is. */
export interface Stand extends Accumulated {
  /** How much of what is to be zero is, 0..1. */
  readonly progress: number
  /** What is zero already and stays so. */
  readonly dead?: Masks | undefined
}

/** Decides which weights live, by the criterion of the options. */
export async function masksFor(
  model: Model,
  { structure, weights, sparsity }: Maskable,
  options: PruneOptions,
  context: StageContext,
  { progress, dead, movement }: Stand,
): Promise<Masks> {
  const values = weights.map(({ layer }) => layer.weight)
  const scores = await weightScores(model, values, options, context, { movement })
  const masked = weights.map(({ layer, matrices }): Masked => {
    const own = scores.get(layer.weight)!.slice()
    if (own.some(Number.isNaN))
      throw new UserError(
        `prune: the scores of layer '${layer.name}' are not numbers: its weights are not finite — train the model anew, or exclude the layer`,
      )
    for (const [element, living] of dead?.get(layer.weight.name)?.entries() ?? [])
      if (living === 0) own[element] = Number.NEGATIVE_INFINITY
    return { layer, matrices, scores: own }
  })
  const amount = { sparsity, progress }
  const { scope } = settleCriterion(options, 'weights')
  const masks = compare(structure, masked, amount, scope)
  return new Map(values.map((value, index) => [value.name, masks[index]!]))
}

/** The masks of weights that are compared as far as the scope goes. */
function compare(
  structure: MaskStructure,
  masked: readonly Masked[],
  amount: Amount,
  scope: ReturnType<typeof settleCriterion>['scope'],
): Float32Array[] {
  if (scope === 'global') return structure.masks(masked, amount)
  // Only single weights have rows of their own; all others are compared within their layer.
  if (scope === 'row' && structure.byRow) return masked.map((weight) => rowsOf(weight, amount))
  return masked.flatMap((weight) => structure.masks([weight], amount))
}

/** Zeroes the masked weights of a model, in place. */
export function applyMasks({ graph }: Model, masks: Masks): void {
  for (const value of graph.initializers) {
    const mask = masks.get(value.name)
    if (!mask) continue
    const kept = elements(value.tensor!, 'float32').map((weight, at) => (mask[at] ? weight : 0))
    value.tensor = tensorOf('float32', value.tensor!.dims, kept)
  }
}

/** The masks that leave the weights of a model as they are. */
export const livingMasks = ({ graph }: Model, names: readonly string[]): Masks =>
  new Map(
    [...graph.initializers].flatMap(({ name, tensor }) =>
      tensor && names.includes(name)
        ? [[name, elements(tensor, 'float32').map((weight) => Number(weight !== 0))] as const]
        : [],
    ),
  )

/** One line on what is zero. */
export function summaryOf(masks: Masks): string {
  let [zeros, total] = [0, 0]
  for (const mask of masks.values()) {
    total += mask.length
    for (const living of mask) if (living === 0) zeros++
  }
  return `zeroed ${zeros} of ${total} weights in ${masks.size} layers`
}
