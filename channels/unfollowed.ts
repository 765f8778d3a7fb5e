// Layers whose channels are in no group at all, and why: what pruning has to say of a model where it finds nothing.

import {
  allNodes,
  constantOf,
  type Model,
  type Node,
  operatorOf,
  type Value,
} from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { multiplications, statedShape } from '../onnx/multiplications.ts'
import { numberTypes } from '../onnx/tensor.ts'
import type { Group } from './groups.ts'
import { ruleOf } from './rules.ts'
import { describeInner } from './subgraphs.ts'

/** A layer without channels that could be followed. */
export interface Unfollowed {
  readonly name: string
  /** Why, in words that can stand behind its name. */
  readonly reason: string
}

/** Lists the layers with weights of a prepared model, those of subgraphs too, that make the channels of no group. */
export function unfollowedLayers({ graph }: Model, groups: readonly Group[]): Unfollowed[] {
  const followed = new Set(groups.flatMap(({ producers }) => producers))
  const outer = new Set(graph.nodes)
  return [...allNodes(graph)].flatMap((node) => {
    const weights = weightsOf(node)
    if (weights.length === 0 || followed.has(node)) return []
    const name = layerName(node)
    const inner = outer.has(node) ? undefined : describeInner(node, graph)
    return [{ name, reason: inner ?? reasonFor(node, weights) }]
  })
}

/** The weights of a node that multiplies, stored as they are or quantized. */
function weightsOf(node: Node): Value[] {
  return (multiplications[node.opType]?.weights ?? []).flatMap((input) => {
    const value = node.inputs[input]
    const stored = value && (isQuantized(value) ? value.producer!.inputs[0] : value)
    return (constantOf(stored)?.dims.length ?? 0) > 1 ? [value!] : []
  })
}

const isQuantized = ({ producer }: Value): boolean => producer?.opType === 'DequantizeLinear'

function reasonFor(node: Node, weights: readonly Value[]): string {
  const integers = ({ tensor }: Value) =>
    tensor !== undefined && numberTypes.has(tensor.dtype) && !tensor.dtype.startsWith('float')
  if (weights.some((value) => isQuantized(value) || integers(value)))
    return 'its weights are quantized: prune before quantization'
  if (!ruleOf(node)) return `${operatorOf(node)} has no channel rule`
  const open = [...node.inputs, ...node.outputs].find((value) => value && !statedShape(value))
  if (open) return `the shape of '${open.name}' is not known`
  return `no axis of its weights makes channels of their own`
}

/** The first of them in one line; undefined where there are none. */
export function describeUnfollowed(layers: readonly Unfollowed[], most = 3): string | undefined {
  if (layers.length === 0) return undefined
  const shown = layers.slice(0, most).map(({ name, reason }) => `'${name}': ${reason}`)
  const rest = layers.length - shown.length
  return `${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`
}
