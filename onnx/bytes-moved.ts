// How many bytes the operators of a model read and write, independent of any machine: what bounds the speed of a model that
// computes little for what it touches (Williams et al. 2009, the roofline model).

import { constantNodes } from './constant-nodes.ts'
import { allNodes, type Model, type Node, type Value } from './graph.ts'
import { type ShapeOf, statedShape } from './multiplications.ts'
import { byteLengthOf } from './tensor.ts'

/** What an operator moves, where that is not all of its inputs and outputs. */
type Traffic =
  /** Its result is another view of its input, or no more than numbers about it. */
  | 'none'
  /** Of its first input it reads as much as it writes. */
  | 'part'

/** Operators that do not read and write everything once. */
const traffic: Readonly<Record<string, Traffic>> = {
  ...{ Identity: 'none', Reshape: 'none', Flatten: 'none', Squeeze: 'none', Unsqueeze: 'none' },
  ...{ Dropout: 'none', Shape: 'none', Size: 'none', Constant: 'none' },
  // What their branches do counts by itself.
  ...{ If: 'none', Loop: 'none', Scan: 'none' },
  // ONNX Runtime computes in integers between them, or unpacks weights where it reads them.
  ...{ QuantizeLinear: 'none', DequantizeLinear: 'none' },
  ...{ Gather: 'part', GatherElements: 'part', GatherND: 'part', Slice: 'part' },
  GatherBlockQuantized: 'part',
}

/** The operators that pack numbers into integers and unpack them. */
const packs = 'QuantizeLinear'
const unpacks = 'DequantizeLinear'

/**
 * Counts the bytes of weights and activations that the operators of one run read and write, for the batch size that the
 * shapes state: every operator by itself, as if nothing stayed in a cache and nothing was fused.
 *
 * What is quantized counts as integers, on both sides of QuantizeLinear and DequantizeLinear. What depends on constants
 * alone counts where it is read, for it is computed once, when the file is opened. Undefined where the type
 * or the shape of a value is not known. Nodes of subgraphs (If, Loop) count once.
 */
export function countBytesMoved(model: Model, shapeOf: ShapeOf = statedShape): number | undefined {
  let total = 0
  const computedOnce = constantNodes(model.graph)
  for (const node of allNodes(model.graph)) {
    if (computedOnce.has(node)) continue
    const bytes = movedBy(node, shapeOf)
    if (bytes === undefined) return undefined
    total += bytes
  }
  return total
}

function movedBy(node: Node, shapeOf: ShapeOf): number | undefined {
  const kind = Object.hasOwn(traffic, node.opType) ? traffic[node.opType] : undefined
  if (kind === 'none') return 0
  const written = sum(node.outputs, shapeOf)
  const read = sum(kind === 'part' ? node.inputs.slice(1) : node.inputs, shapeOf)
  if (written === undefined || read === undefined) return undefined
  return written + read + (kind === 'part' ? written : 0)
}

function sum(values: readonly (Value | undefined)[], shapeOf: ShapeOf): number | undefined {
  let total = 0
  for (const value of values) {
    if (!value) continue
    const stored = asStored(value)
    const shape = shapeOf(stored)
    const dtype = stored.tensor?.dtype ?? stored.type?.dtype
    if (!shape || dtype === undefined) return undefined
    total += byteLengthOf(dtype, shape)
  }
  return total
}

/** The integers that a value is kept as, where it is quantized; else the value itself. */
function asStored(value: Value): Value {
  const { producer, users } = value
  if (producer?.opType === unpacks) return producer.inputs[0] ?? value
  const [user] = users
  const isPacked =
    producer && users.size === 1 && user?.opType === packs && user.inputs[0] === value
  return (isPacked && user.outputs[0]) || value
}
