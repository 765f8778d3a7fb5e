// Telling groups of attention heads, and of the width of heads, from other groups of channels.

import type { Node, Value } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import { attentionOperands, type Heads } from './attention.ts'
import { einsumLetters } from './einsum.ts'
import type { Group, Part } from './groups.ts'

/** What the channels of a group are to an attention. */
type Kind = 'heads' | 'width'

/** True where a group's channels are whole attention heads, in an operator or written out as products. */
export const isHeads = (group: Group): boolean => isKind(group, 'heads')

/** True where a group's channels are the width of attention heads: one place in every head. */
export const isHeadWidth = (group: Group): boolean => isKind(group, 'width')

const isKind = (group: Group, kind: Kind): boolean =>
  group.parts.some((part) => nodesAt(part.place.value).some((node) => kindAt(part, node) === kind))

const nodesAt = ({ producer, users }: Value): Node[] => [...(producer ? [producer] : []), ...users]

/** What a part is to a node, if that attends. */
function kindAt(part: Part, node: Node): Kind | undefined {
  const operands = attentionOperands(node)
  if (operands === undefined || typeof operands === 'string') return kindInProduct(part, node)
  const { value, axis } = part.place
  for (const heads of [...operands.products, ...operands.sums])
    for (const [slot, kind] of [[heads.heads, 'heads'] as const, [heads.width, 'width'] as const])
      if (slot.value === value && slot.axis === axis)
        return heads.heads.axis === heads.width.axis ? kindSideBySide(part, heads) : kind
  return undefined
}

/** A channel that is a head has as many consecutive indices as the head is wide; else it has some in every head. */
function kindSideBySide({ indices }: Part, { size, offset }: Heads): Kind | undefined {
  const own = indices[0]!
  const heads = new Set([...own].map((index) => Math.floor((index - offset) / size)))
  return own.length === heads.size * size ? 'heads' : 'width'
}

/**
 * In a product of two computed values, of which one was or becomes shares of 1: an axis along which products stand side
 * by side holds heads, and one that only the values, or queries and keys, have holds their width.
 */
function kindInProduct({ place: { value, axis } }: Part, node: Node): Kind | undefined {
  const axes = productAxes(node)
  if (!axes || node.inputs.some((input) => !input || input.tensor)) return undefined
  const before = node.inputs.some((input) => input && fromSoftmax(input, 0))
  if (!before && !toSoftmax(node.output(), 0)) return undefined
  const found = axes.find((one) => one.value === value && one.axis === axis)
  if (!found) return undefined
  if (found.kind === 'side') return 'heads'
  // Scores are sums over the width; what they weigh keeps it.
  return found.kind === (before ? 'kept' : 'summed') ? 'width' : undefined
}

/** An axis of a product: side by side in both factors and the result, summed over, or of one factor and the result. */
interface ProductAxis {
  readonly value: Value
  readonly axis: number
  readonly kind: 'side' | 'summed' | 'kept'
}

function productAxes(node: Node): ProductAxis[] | undefined {
  if (node.opType === 'Einsum') {
    return einsumLetters(node)?.map(({ value, axis, uses, made }) => ({
      ...{ value, axis },
      kind: uses > 1 ? (made ? 'side' : 'summed') : 'kept',
    }))
  }
  if (node.opType !== 'MatMul' && node.opType !== 'FusedMatMul') return undefined
  const [a, b, y] = [node.input(0), node.input(1), node.output()]
  const taken = node.number('transA', 0) ? -2 : -1
  const inner = node.number('transB', 0) ? -1 : -2
  return [a, b, y].flatMap((value, index) => {
    const rank = statedShape(value)?.length ?? 0
    return Array.from({ length: rank }, (_, axis): ProductAxis => {
      const fromEnd = axis - rank
      const summed = index < 2 && fromEnd === (index === 0 ? taken : inner)
      return { value, axis, kind: fromEnd < -2 ? 'side' : summed ? 'summed' : 'kept' }
    })
  })
}

/** How many nodes may lie between a product and the Softmax: scale, mask, cast, dropout, reshape. */
const furthest = 8

const between: ReadonlySet<string> = new Set(
  'Add Sub Mul Div Where Cast Dropout Identity Reshape Transpose Squeeze Unsqueeze Clip Max Min'.split(
    ' ',
  ),
)

const fromSoftmax = ({ producer }: Value, steps: number): boolean => {
  if (!producer) return false
  if (producer.opType === 'Softmax') return true
  return (
    steps < furthest &&
    between.has(producer.opType) &&
    producer.inputs.some((input) => input && fromSoftmax(input, steps + 1))
  )
}

const toSoftmax = ({ users }: Value, steps: number): boolean =>
  [...users].some(
    (user) =>
      user.opType === 'Softmax' ||
      (steps < furthest && between.has(user.opType) && toSoftmax(user.output(), steps + 1)),
  )
