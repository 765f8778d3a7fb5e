// Reference evaluators of operators with a sliding window, of any rank, from ONNX's definitions.
import type { Attributes } from '../../../onnx/build.ts'
import { at, type Evaluator, fill, numberOf, numbersOf, positions, required, sizeOf } from './nd.ts'

/** Where the windows lie; every list has one entry per spatial axis. */
interface Window {
  readonly output: readonly number[]
  readonly begin: readonly number[]
  readonly end: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
}

function windowOf(
  attributes: Attributes,
  size: readonly number[],
  kernel: readonly number[],
): Window {
  const ones = size.map(() => 1)
  const strides = numbersOf(attributes, 'strides', ones)
  const dilations = numbersOf(attributes, 'dilations', ones)
  const reach = kernel.map((cells, axis) => (cells - 1) * dilations[axis]! + 1)
  const autoPad = attributes.auto_pad ?? 'NOTSET'
  if (autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER') {
    const output = size.map((cells, axis) => Math.ceil(cells / strides[axis]!))
    const total = size.map((cells, axis) =>
      Math.max(0, (output[axis]! - 1) * strides[axis]! + reach[axis]! - cells),
    )
    const half = autoPad === 'SAME_UPPER' ? Math.floor : Math.ceil
    const begin = total.map((pad) => half(pad / 2))
    const end = total.map((pad, axis) => pad - begin[axis]!)
    return { output, begin, end, strides, dilations }
  }
  const pads = numbersOf(attributes, 'pads', [...size, ...size].fill(0))
  const [begin, end] = [pads.slice(0, size.length), pads.slice(size.length)]
  const ceil = numberOf(attributes, 'ceil_mode', 0) === 1
  const output = size.map((cells, axis) => {
    const steps = (cells + begin[axis]! + end[axis]! - reach[axis]!) / strides[axis]!
    if (!ceil) return Math.floor(steps) + 1
    // A further window that would begin in the padding behind is left out.
    const most = Math.ceil((cells + begin[axis]!) / strides[axis]!)
    return Math.min(Math.ceil(steps) + 1, most)
  })
  return { output, begin, end, strides, dilations }
}

const cellOf = (window: Window, place: readonly number[], tap: readonly number[]): number[] =>
  tap.map(
    (step, axis) =>
      place[axis]! * window.strides[axis]! - window.begin[axis]! + step * window.dilations[axis]!,
  )

const offsetOf = (cell: readonly number[], size: readonly number[]): number =>
  cell.reduce((offset, index, axis) => offset * size[axis]! + index, 0)

const inside = (cell: readonly number[], size: readonly number[]): boolean =>
  cell.every((index, axis) => index >= 0 && index < size[axis]!)

const convolution: Evaluator = ([input, weight, bias], attributes) => {
  const [x, w] = [required(input), required(weight)]
  const [batch = 0, channels = 0, ...size] = x.dims
  const [outputs = 0, inputs = 0, ...kernel] = w.dims
  const window = windowOf(attributes, size, kernel)
  const group = numberOf(attributes, 'group', 1)
  const [area, taps, places] = [sizeOf(size), positions(kernel), positions(window.output)]
  // Where the taps of each place lie in a channel, found once for all channels: differences ask many times.
  const found = places.map((place) =>
    taps.flatMap((tap, number) => {
      const cell = cellOf(window, place, tap)
      return inside(cell, size) ? [[number, offsetOf(cell, size)] as const] : []
    }),
  )
  const data = new Float64Array(batch * outputs * places.length)
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < outputs; o++) {
      const first = n * channels + Math.floor(o / (outputs / group)) * inputs
      for (const [place, cells] of found.entries()) {
        let sum = bias?.data[o] ?? 0
        for (const [tap, offset] of cells)
          for (let c = 0; c < inputs; c++)
            sum +=
              x.data[(first + c) * area + offset]! * w.data[(o * inputs + c) * taps.length + tap]!
        data[(n * outputs + o) * places.length + place] = sum
      }
    }
  return { dims: [batch, outputs, ...window.output], data }
}

/** Pooling: what is made of the cells of a window, and of how many there are with padding and without. */
const pooling =
  (
    reduce: (cells: readonly number[], padded: number, attributes: Attributes) => number,
  ): Evaluator =>
  ([input], attributes) => {
    const x = required(input)
    const [batch = 0, channels = 0, ...size] = x.dims
    const kernel = numbersOf(attributes, 'kernel_shape', [])
    const window = windowOf(attributes, size, kernel)
    const taps = positions(kernel)
    return fill([batch, channels, ...window.output], ([n, c, ...place]) => {
      const cells = taps.map((tap) => cellOf(window, place, tap))
      const padded = cells.filter((cell) =>
        cell.every((index, axis) => index < size[axis]! + window.end[axis]!),
      )
      const values = cells
        .filter((cell) => inside(cell, size))
        .map((cell) => at(x, [n!, c!, ...cell]))
      return reduce(values, padded.length, attributes)
    })
  }

const sumOf = (values: Iterable<number>): number => {
  let sum = 0
  for (const value of values) sum += value
  return sum
}

/** Every input cell adds its multiple of the kernel to the output. */
const transposedConvolution: Evaluator = ([input, weight, bias], attributes) => {
  const [x, w] = [required(input), required(weight)]
  const [batch = 0, channels = 0, ...size] = x.dims
  const [, outputs = 0, ...kernel] = w.dims
  const group = numberOf(attributes, 'group', 1)
  const ones = size.map(() => 1)
  const strides = numbersOf(attributes, 'strides', ones)
  const dilations = numbersOf(attributes, 'dilations', ones)
  const added = numbersOf(
    attributes,
    'output_padding',
    size.map(() => 0),
  )
  const autoPad = attributes.auto_pad ?? 'NOTSET'
  const natural = size.map(
    (cells, axis) =>
      strides[axis]! * (cells - 1) + added[axis]! + (kernel[axis]! - 1) * dilations[axis]! + 1,
  )
  const isSame = autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER'
  const wanted = isSame ? size.map((cells, axis) => cells * strides[axis]!) : undefined
  const shape = numbersOf(attributes, 'output_shape', wanted ?? [])
  const pads = numbersOf(attributes, 'pads', [...size, ...size].fill(0))
  const begin = size.map((_, axis) => {
    if (shape.length === 0) return pads[axis]!
    const total = Math.max(0, natural[axis]! - shape[axis]!)
    return autoPad === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2)
  })
  const output =
    shape.length > 0
      ? shape
      : natural.map((cells, axis) => cells - begin[axis]! - pads[axis + size.length]!)
  const y = fill([batch, outputs * group, ...output], ([, o]) => bias?.data[o!] ?? 0)
  const window = { output: size, begin, end: begin, strides, dilations }
  const taps = positions(kernel)
  for (const [n, c, ...place] of positions(x.dims) as [number, number, ...number[]][])
    for (const tap of taps) {
      const cell = cellOf(window, place, tap)
      if (!inside(cell, output)) continue
      const first = Math.floor(c / (channels / group)) * outputs
      for (let o = 0; o < outputs; o++)
        y.data[offsetOf([n, first + o, ...cell], y.dims)]! +=
          at(x, [n, c, ...place]) * at(w, [c, o, ...tap])
    }
  return y
}

/** What is made of all cells of each channel. */
const globally =
  (reduce: (cells: readonly number[], attributes: Attributes) => number): Evaluator =>
  ([input], attributes) => {
    const x = required(input)
    const [batch = 0, channels = 0, ...size] = x.dims
    const cells = sizeOf(size)
    return fill([batch, channels, ...size.map(() => 1)], ([n, c]) => {
      const start = (n! * channels + c!) * cells
      return reduce(Array.from(x.data.subarray(start, start + cells)), attributes)
    })
  }

const norm = (cells: readonly number[], attributes: Attributes): number => {
  const p = numberOf(attributes, 'p', 2)
  return sumOf(cells.map((cell) => Math.abs(cell) ** p)) ** (1 / p)
}

/** Evaluators by operator. */
export const windows: Readonly<Record<string, Evaluator>> = {
  AveragePool: pooling(
    (cells, padded, attributes) =>
      sumOf(cells) / (numberOf(attributes, 'count_include_pad', 0) ? padded : cells.length),
  ),
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  GlobalAveragePool: globally((cells) => sumOf(cells) / cells.length),
  GlobalLpPool: globally(norm),
  GlobalMaxPool: globally((cells) => Math.max(...cells)),
  LpPool: pooling((cells, _padded, attributes) => norm(cells, attributes)),
  MaxPool: pooling((cells) => Math.max(...cells)),
}
