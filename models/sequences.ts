// Layers on sequences `[length, width]`: embeddings of ids, the same layer at every place, a mask, the mean.
import type { Value } from '../onnx/graph.ts'
import { dataTypes } from '../onnx/tensor.ts'
import { companions, isCompanion } from './intake.ts'
import type { Feature, Input, Layers } from './layers.ts'

/** A row of a table for each id; each element of the table is drawn by `next`. */
export function embedding(
  { g, weight }: Layers,
  name: string,
  ids: Input,
  width: number,
  next: () => number,
): Feature {
  if (ids.ids === undefined) throw new Error('internal: it is not known how many ids there are')
  const table = weight(`${name}.weight`, [ids.ids, width], next)
  return { value: g.node('Gather', [table, ids.value], { name })[0]!, shape: [...ids.shape, width] }
}

/** Fully connected layer at every place, Glorot uniform initialisation (Glorot and Bengio 2010, equation 16). */
export function pointwise(layers: Layers, name: string, x: Feature, width: number): Feature {
  const { g, weight, random } = layers
  const inputs = x.shape.at(-1)!
  const limit = Math.sqrt(6 / (inputs + width))
  const draw = () => limit * (2 * random.uniform() - 1)
  const matrix = weight(`${name}.weight`, [inputs, width], draw)
  const [product] = g.node('MatMul', [x.value, matrix], { name })
  const value = g.Add(
    product!,
    weight(`${name}.bias`, [width], () => 0),
  )
  return { value, shape: [...x.shape.slice(0, -1), width] }
}

/** Normalisation of every place (Ba et al. 2016), starting without scale and shift. */
export function layerNormalisation(
  { g, weight }: Layers,
  name: string,
  x: Feature,
  epsilon: number,
): Feature {
  const width = x.shape.at(-1)!
  const inputs = [
    x.value,
    weight(`${name}.scale`, [width], () => 1),
    weight(`${name}.bias`, [width], () => 0),
  ]
  const attributes = { axis: -1, epsilon }
  return { ...x, value: g.node('LayerNormalization', inputs, { name, attributes })[0]! }
}

/** A mask of the places of a text. */
export interface Mask {
  /** As it is fed, `[N, length]`: not 0 where there is something. */
  readonly fed: Value
  /** The same as float32. */
  readonly floats: Value
}

/** The mask among the inputs, told by its name; undefined where all places count. */
export function maskAmong({ g }: Layers, inputs: readonly Input[]): Mask | undefined {
  const found = inputs.find(({ name }) => name.endsWith(companions.mask))
  if (!found) return undefined
  const floats =
    found.dtype === 'float32' ? found.value : g.Cast(found.value, { to: dataTypes.float32.code })
  return { fed: found.value, floats }
}

/** The main input of a text: the one that stands for nothing else by its name. */
export const idsAmong = (inputs: readonly Input[]): Input =>
  inputs.find((input) => !isCompanion(input))!

/** The mean over the places that count; zeros where none does. */
export function meanOverPlaces({ g }: Layers, x: Feature, mask: Mask | undefined): Feature {
  const shape = [x.shape[1]!]
  if (!mask) return { value: g.ReduceMean(x.value, [1], { keepdims: 0 }), shape }
  const sum = g.ReduceSum(g.Mul(x.value, g.Unsqueeze(mask.floats, [2])), [1], { keepdims: 0 })
  const count = g.Clip(g.ReduceSum(mask.floats, [1], { keepdims: 1 }), 1)
  return { value: g.Div(sum, count), shape }
}

/** What stands at the first place. */
export const firstPlace = ({ g }: Layers, x: Feature): Feature => ({
  value: g.Flatten(g.Slice(x.value, [0], [1], [1])),
  shape: [x.shape[1]!],
})
