// Layers that join several inputs.
import { binary, matMul, reduce, unary } from '../arithmetic.ts'
import { concat, squeeze, transpose, unsqueeze } from '../arrange.ts'
import { axisFromFront, range, type Term } from '../term.ts'
import type { Writer } from '../writer.ts'
import { type LayerCall, type LayerRule, refused } from './layer.ts'

/** Inputs of fewer axes get new ones after the batch. */
const aligned = ({ w, inputs }: LayerCall): Term[] => {
  const rank = Math.max(...inputs.map((input) => input.shape.length))
  return inputs.map((input) =>
    unsqueeze(
      w,
      input,
      range(rank - input.shape.length).map((axis) => axis + 1),
    ),
  )
}

const folded =
  (opType: string): LayerRule =>
  (call) =>
    aligned(call).reduce((sum, input) => binary(call.w, opType, sum, input))

const normalised = (w: Writer, x: Term, axis: number): Term => {
  const squares = reduce(w, 'ReduceSum', binary(w, 'Mul', x, x), [axis], true)
  return binary(w, 'Div', x, unary(w, 'Sqrt', binary(w, 'Max', squares, 1e-7)))
}

/** Layers that join several inputs. */
export const mergeLayers: Readonly<Record<string, LayerRule>> = {
  Add: folded('Add'),
  Multiply: folded('Mul'),
  Maximum: folded('Max'),
  Minimum: folded('Min'),
  Average(call) {
    const inputs = aligned(call)
    const sum = inputs.reduce((total, input) => binary(call.w, 'Add', total, input))
    return binary(call.w, 'Mul', sum, 1 / inputs.length)
  },
  Concatenate({ w, inputs, x, config }) {
    return concat(w, inputs, axisFromFront(config.number('axis', -1), x.shape.length))
  },
  Dot(call) {
    const { w, inputs, config } = call
    const [a, b] = inputs
    if (!a || !b || inputs.length !== 2) throw refused(call, `Dot of ${inputs.length} inputs`)
    const given = config.list('axes') ?? [-1]
    const axes = [a, b].map((input, index) =>
      axisFromFront(given[index] ?? given[0]!, input.shape.length),
    ) as [number, number]
    const ranks = [a.shape.length, b.shape.length]
    if (ranks.some((rank) => rank < 2 || rank > 3) || axes.includes(0))
      throw refused(call, `Dot of ranks ${ranks.join(' and ')} over axes ${axes.join(' and ')}`)
    const [left, right] = config.flag('normalize', false)
      ? [normalised(w, a, axes[0]), normalised(w, b, axes[1])]
      : [a, b]
    // Each is laid as matrices [N, rows, K] and [N, K, columns]; a vector is one row or column.
    const rows = left.shape.length === 2 ? unsqueeze(w, left, [1]) : kLast(w, left, axes[0])
    const columns = right.shape.length === 2 ? unsqueeze(w, right, [2]) : kFirst(w, right, axes[1])
    const product = matMul(w, rows, columns)
    const ones = [...(ranks[0] === 2 ? [1] : []), ...(ranks[1] === 2 ? [2] : [])]
    return squeeze(w, product, ones.length === 2 ? [2] : ones)
  },
}

const kLast = (w: Writer, x: Term, axis: number) => (axis === 2 ? x : transpose(w, x, [0, 2, 1]))
const kFirst = (w: Writer, x: Term, axis: number) => (axis === 1 ? x : transpose(w, x, [0, 2, 1]))
