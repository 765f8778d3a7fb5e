// What transformers compute inside their attention: scores, the shares that come of them, and the values shared out.
import type { Node, Value } from '../../onnx/graph.ts'
import { type Route, undropped } from './routes.ts'
import type { Tappable, TapValue } from './values.ts'

/** What is inside an attention of heads, where a graph writes it out. */
export interface AttentionParts {
  /** Before the softmax, and behind it: `[N, H, L, L]`. */
  readonly scores: TapValue
  readonly shares: TapValue
  /** What is shared out, `[N, H, L, D/H]`; undefined where it is laid out in another way. */
  readonly values: TapValue | undefined
}

/** Finds the attentions on the way to the output, in their order. */
export function attentionsOf({ byValue }: Tappable, { nodes }: Route): AttentionParts[] {
  return nodes.flatMap((node): AttentionParts[] => {
    if (node.opType !== 'Softmax') return []
    const [scores, shares] = [byValue.get(node.input(0)), byValue.get(node.output())]
    if (!scores || !shares || !isMap(shares)) return []
    const shared = sharedOut(node.output())
    const values = shared && byValue.get(shared)
    const fits = values?.shape.length === 3 && values.shape[1] === shares.shape[2]
    return [{ scores, shares, values: fits ? values : undefined }]
  })
}

const isMap = ({ shape }: TapValue): boolean => shape.length === 3 && shape[1] === shape[2]

/** What shares are multiplied with, behind their Dropout. */
function sharedOut(shares: Value): Value | undefined {
  const readers = [...shares.users].flatMap((user): Node[] =>
    undropped(user.output()) === shares ? [...user.output().users] : [user],
  )
  const product = readers.find(({ opType }) => opType === 'MatMul')
  return product?.inputs[1]
}
