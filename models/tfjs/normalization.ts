// Normalisations with constant or computed parameters.
import { transpose } from './arrange.ts'
import { range, type Term } from './term.ts'
import type { Writer } from './writer.ts'

/** The parameters of a batch normalisation, each `[C]`. */
export interface BatchParameters {
  readonly scale: Term
  readonly bias: Term
  readonly mean: Term
  readonly variance: Term
  readonly epsilon: number
}

/** Batch normalisation at inference, with the channels on any axis but the first. */
export function batchNormalization(
  w: Writer,
  x: Term,
  axis: number,
  { scale, bias, mean, variance, epsilon }: BatchParameters,
  name?: string,
): Term {
  const others = range(x.shape.length).filter((each) => each !== 0 && each !== axis)
  const there = [0, axis, ...others]
  const back = there.map((_, index) => there.indexOf(index))
  const first = transpose(w, x, there)
  const normal = w.emit(
    'BatchNormalization',
    [first, scale, bias, mean, variance],
    { dtype: x.dtype, shape: first.shape },
    { name, attributes: { epsilon } },
  )
  return transpose(w, normal, back)
}

/** Layer normalisation over the last axes, or over others by moving them there. */
export function layerNormalization(
  w: Writer,
  x: Term,
  axes: readonly number[],
  options: { readonly scale: Term; readonly bias?: Term | undefined; readonly epsilon: number },
  name?: string,
): Term {
  const rank = x.shape.length
  const there = [...range(rank).filter((axis) => !axes.includes(axis)), ...axes]
  const back = there.map((_, index) => there.indexOf(index))
  const first = transpose(w, x, there)
  const normal = w.emit(
    'LayerNormalization',
    [first, options.scale, options.bias],
    { dtype: x.dtype, shape: first.shape },
    { name, attributes: { axis: rank - axes.length, epsilon: options.epsilon } },
  )
  return transpose(w, normal, back)
}
