// Learned layers in float64, index by index, for the references of losses.
import { auxiliary } from '../../../train/loss-context.ts'
import type { Tensors } from '../loss-harness.ts'

/** A tensor with its shape, row-major. */
export interface Shaped {
  readonly shape: readonly number[]
  readonly content: Float64Array
}

/** The tensor of a shape. */
export const shaped = (content: Float64Array, shape: readonly number[]): Shaped => ({
  content,
  shape,
})

/** The element at a place. */
export function at({ content, shape }: Shaped, ...place: readonly number[]): number {
  let index = 0
  for (const [axis, coordinate] of place.entries()) index = index * shape[axis]! + coordinate
  return content[index]!
}

/** A tensor of elements by their places. */
export function made(shape: readonly number[], element: (...place: number[]) => number): Shaped {
  const size = shape.reduce((product, dim) => product * dim, 1)
  const content = new Float64Array(size)
  for (let index = 0; index < size; index++) {
    const place: number[] = []
    let rest = index
    for (const dim of [...shape].reverse()) {
      place.unshift(rest % dim)
      rest = Math.floor(rest / dim)
    }
    content[index] = element(...place)
  }
  return { shape, content }
}

/** Every element by itself. */
export const each = (x: Shaped, f: (value: number) => number): Shaped => ({
  shape: x.shape,
  content: x.content.map(f),
})

/** The sum of elements. */
export const sum = (values: Iterable<number>): number => {
  let total = 0
  for (const value of values) total += value
  return total
}

/** max(x, slope · x) */
export const leaky =
  (slope: number) =>
  (value: number): number =>
    value > 0 ? value : slope * value

/** log(1 + eˣ) */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** The logarithms of the softmax of a row. */
export function logSoftmax(row: readonly number[]): number[] {
  const largest = Math.max(...row)
  const log = largest + Math.log(sum(row.map((value) => Math.exp(value - largest))))
  return row.map((value) => value - log)
}

/** A row of numbers over its length. */
export function unit(row: readonly number[]): number[] {
  const length = Math.sqrt(sum(row.map((value) => value ** 2)) + 1e-8)
  return row.map((value) => value / length)
}

/** Row `index` of the last axis, all axes before as one. */
export function rowOf({ content, shape }: Shaped, index: number): number[] {
  const width = shape.at(-1)!
  return [...content.subarray(index * width, (index + 1) * width)]
}

/** The learned layer `name` of a loss: a convolution of images, with zeros around, else a matrix on the last axis. */
export function layer(x: Tensors, name: string, value: Shaped, size = 1): Shaped {
  const [weight, bias] = [x[`${name}.weight`], x[`${name}.bias`]]
  if (!weight || !bias) throw new Error(`no layer ${auxiliary}${name}`)
  const { shape } = value
  const to = bias.length
  if (shape.length < 4) {
    const from = shape.at(-1)!
    return made(shape.with(-1, to), (...place) => {
      const out = place.at(-1)!
      let y = bias[out]!
      for (let c = 0; c < from; c++) y += at(value, ...place.with(-1, c)) * weight[c * to + out]!
      return y
    })
  }
  const [batch, from, height, width] = shape as [number, number, number, number]
  const around = (size - 1) / 2
  const out = { shape: shape.with(1, to), content: new Float64Array(batch * to * height * width) }
  let index = 0
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < to; o++)
      for (let h = 0; h < height; h++)
        for (let w = 0; w < width; w++) {
          let y = bias[o]!
          for (let c = 0; c < from; c++)
            for (let i = 0; i < size; i++)
              for (let j = 0; j < size; j++) {
                const [row, column] = [h + i - around, w + j - around]
                if (row < 0 || row >= height || column < 0 || column >= width) continue
                const pixel = value.content[((n * from + c) * height + row) * width + column]!
                y += pixel * weight[((o * from + c) * size + i) * size + j]!
              }
          out.content[index++] = y
        }
  return out
}
