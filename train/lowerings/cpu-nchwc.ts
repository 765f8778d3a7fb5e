// The lowering for ONNX Runtime's CPU provider: its blocked convolution kernels, which it uses by itself for constant
// weights only, on weights that are blocked in the graph. A blocked tensor [N, C, H, W] lies in memory as
// [N, C/b, H, W, b], a blocked weight as [O/b, C/b, kh, kw, b in, b out], where b is the width of a vector register.
// The operators are internal to ONNX Runtime: choose.ts probes them before they are used.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import type { Convolution, Lowering } from './lowering.ts'
import { standard } from './standard.ts'

const domain = 'com.microsoft.nchwc'

/** The lowering for a block size; what blocks do not fit goes the standard way. */
export function cpuNchwc(block: number): Lowering {
  const blocked = new Blocked(block)
  return {
    name: `cpu-nchwc${block}`,
    convolution: (g, convolution) =>
      blocked.fits(convolution) ? blocked.forward(g, convolution) : undefined,
    convolutionInput(g, convolution, dy) {
      if (!blocked.fits(convolution)) return standard.convolutionInput(g, convolution, dy)
      if (isPlain(convolution)) return blocked.turned(g, convolution, dy)
      if (isHalving(convolution)) return blocked.interleaved(g, convolution, dy)
      return standard.convolutionInput(g, convolution, dy)
    },
    convolutionWeight: (g, convolution, dy) =>
      blocked.fitsRows(convolution)
        ? blocked.rows(g, convolution, dy)
        : standard.convolutionWeight(g, convolution, dy),
  }
}

const all = (list: readonly number[], value: number) => list.every((item) => item === value)

/** Stride and dilation 1, and no more padding than the kernel reaches. */
const isPlain = ({ kernel, strides, dilations, begin, end }: Convolution) =>
  all(strides, 1) &&
  all(dilations, 1) &&
  kernel.every((size, axis) => begin[axis]! < size && end[axis]! < size)

/** 3x3, stride 2, one zero in front, even input: every output of a pixel-shuffled 2x2 convolution is one input. */
const isHalving = ({ kernel, strides, dilations, begin, input, output }: Convolution) =>
  all(kernel, 3) &&
  all(strides, 2) &&
  all(dilations, 1) &&
  all(begin, 1) &&
  input.every((size, axis) => size === 2 * output[axis]!)

class Blocked {
  readonly #block: number

  constructor(block: number) {
    this.#block = block
  }

  /** Two-dimensional, ungrouped, and channels that fill whole blocks. */
  fits({ wShape, group }: Convolution): boolean {
    return wShape.length === 4 && group === 1 && this.#whole(wShape[0]!) && this.#whole(wShape[1]!)
  }

  /** The row form needs whole blocks of samples and of output channels, and pays from 8 input channels on. */
  fitsRows({ wShape, xShape, dilations, group, kernel }: Convolution): boolean {
    return (
      wShape.length === 4 &&
      group === 1 &&
      all(dilations, 1) &&
      this.#whole(xShape[0]!) &&
      this.#whole(wShape[0]!) &&
      wShape[1]! >= 8 &&
      sizeOf(kernel) > 1
    )
  }

  forward(g: Builder, convolution: Convolution): Value {
    const { x, w, wShape, yShape, strides, dilations, begin, end } = convolution
    const result = this.#convolve(g, this.#enter(g, x), this.#weight(g, w, wShape), {
      kernel_shape: wShape.slice(2),
      strides,
      dilations,
      pads: [...begin, ...end],
    })
    return this.#leave(g, result, yShape[1]!)
  }

  /** dx for stride 1: the full convolution with the weight turned by 180° and its channels swapped. */
  turned(g: Builder, { w, wShape, xShape, kernel, begin, end }: Convolution, dy: Value): Value {
    const b = this.#block
    const [outputs, inputs] = [wShape[0]!, wShape[1]!]
    const taps = sizeOf(kernel)
    const lanes = g.Reshape(this.#enter(g, w), [outputs / b, b, inputs / b, taps, b])
    const swapped = g.Transpose(lanes, { perm: [2, 0, 3, 1, 4] })
    const backwards = Array.from({ length: taps }, (_, tap) => taps - 1 - tap)
    const turned = taps === 1 ? swapped : g.Gather(swapped, backwards, { axis: 2 })
    const pad = (pads: readonly number[]) => pads.map((amount, axis) => kernel[axis]! - 1 - amount)
    const result = this.#convolve(
      g,
      this.#enter(g, dy),
      g.Reshape(turned, [inputs, outputs, ...kernel]),
      { kernel_shape: kernel, pads: [...pad(begin), ...pad(end)] },
    )
    return this.#leave(g, result, xShape[1]!)
  }

  /**
   * dx for a 3x3 kernel of stride 2: one 2x2 convolution that makes the four pixels under each output as four times
   * the channels, then interleaves them (Shi et al. 2016, section 3.2, used backwards).
   *
   * An even pixel sees tap 1 of its own output alone; an odd one tap 2 of its own and tap 0 of the next.
   */
  interleaved(g: Builder, { w, wShape, xShape, output }: Convolution, dy: Value): Value {
    const b = this.#block
    const [outputs, inputs] = [wShape[0]!, wShape[1]!]
    const [rows, columns] = output as [number, number]
    const batch = xShape[0]!
    const lanes = g.Reshape(this.#enter(g, w), [outputs / b, b, inputs / b, 3, 3, b])
    const tapsFirst = g.Transpose(lanes, { perm: [3, 4, 2, 0, 1, 5] })
    // A fourth, zero tap for the even pixels' second output.
    const padded = g.Pad(tapsFirst, [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0])
    const order = [1, 3, 2, 0]
    const chosen = g.Gather(g.Gather(padded, order, { axis: 0 }), order, { axis: 1 })
    // [row parity, row tap, column parity, column tap, C/b, O/b, b·b] with the parities in front as channels.
    const split = g.Reshape(chosen, [2, 2, 2, 2, inputs / b, outputs / b, b * b])
    const weight = g.Reshape(g.Transpose(split, { perm: [0, 2, 4, 5, 1, 3, 6] }), [
      4 * inputs,
      outputs,
      2,
      2,
    ])
    const quarters = this.#convolve(g, this.#enter(g, dy), weight, {
      kernel_shape: [2, 2],
      pads: [0, 0, 1, 1],
    })
    const pixels = g.Reshape(quarters, [batch, 2, 2, inputs / b, rows, columns, b])
    const mixed = g.Transpose(pixels, { perm: [0, 3, 4, 1, 5, 2, 6] })
    return this.#leave(g, g.Reshape(mixed, xShape), xShape[1]!)
  }

  /**
   * dw as one blocked convolution over rows: the samples become the lanes, columns and samples the channels, and the
   * gradient a kernel as high as the output; the kernel's columns are shifted copies side by side in the batch.
   */
  rows(g: Builder, convolution: Convolution, dy: Value): Value {
    const { x, xShape, wShape, kernel, strides, begin, output } = convolution
    const b = this.#block
    const [batch, channels, height, width] = xShape as [number, number, number, number]
    const [outputs] = wShape as [number]
    const [rows, columns] = output as [number, number]
    const [tapRows, tapColumns] = kernel as [number, number]
    const [strideRows, strideColumns] = strides as [number, number]
    const [above, left] = begin as [number, number]
    const blocks = batch / b

    const lanes = g.Reshape(this.#enter(g, g.Reshape(x, [1, batch, channels * height, width])), [
      blocks,
      channels,
      height,
      width,
      b,
    ])
    const columnsFirst = g.Transpose(lanes, { perm: [3, 0, 2, 1, 4] })
    const zeros = (count: number) => g.Expand(0, [count, blocks, height, channels, b])
    const shifted = Array.from({ length: tapColumns }, (_, tap) => {
      // Column `j` of the output sees column j · stride + tap - left of the input, where there is one.
      const first = Math.min(columns, Math.max(0, Math.ceil((left - tap) / strideColumns)))
      const last = Math.floor((width - 1 + left - tap) / strideColumns)
      const end = Math.max(first, Math.min(columns, last + 1))
      const start = first * strideColumns + tap - left
      const stop = (end - 1) * strideColumns + tap - left + 1
      const whole = start === 0 && stop === width && strideColumns === 1
      const inside = whole
        ? columnsFirst
        : g.Slice(columnsFirst, [start], [stop], [0], [strideColumns])
      return [
        ...(first > 0 ? [zeros(first)] : []),
        ...(end > first ? [inside] : []),
        ...(end < columns ? [zeros(columns - end)] : []),
      ]
    }).flat()
    const side = shifted.length === 1 ? shifted[0]! : g.Concat(...shifted, { axis: 0 })
    const input = g.Reshape(side, [tapColumns, columns * batch, height, channels])

    const gradient = g.Reshape(this.#enter(g, dy), [blocks, b, outputs / b, rows, columns, b])
    const filter = g.Reshape(g.Transpose(gradient, { perm: [2, 4, 0, 3, 1, 5] }), [
      outputs,
      columns * batch,
      rows,
      1,
    ])
    const below = Math.max(0, (rows - 1) * strideRows + tapRows - height - above)
    const found = height + above + below - ((rows - 1) * strideRows + 1) + 1
    const result = this.#convolve(g, input, filter, {
      kernel_shape: [rows, 1],
      dilations: [strideRows, 1],
      pads: [above, 0, below, 0],
    })
    const plain = this.#leave(g, result, outputs)
    const cut = found > tapRows ? g.Slice(plain, [0], [tapRows], [2]) : plain
    return g.Transpose(cut, { perm: [1, 3, 2, 0] })
  }

  /** A weight [O, C, kh, kw] in blocks. */
  #weight(g: Builder, w: Value, shape: readonly number[]): Value {
    const b = this.#block
    const [outputs, inputs, ...kernel] = shape as [number, number, ...number[]]
    const taps = sizeOf(kernel)
    // As an image of b channels, so that the kernel for images puts the output lane innermost.
    const lanes = this.#enter(g, g.Reshape(w, [outputs / b, b, 1, inputs * taps]))
    const split = g.Reshape(lanes, [outputs / b, inputs / b, b, taps, b])
    return g.Reshape(g.Transpose(split, { perm: [0, 1, 3, 2, 4] }), shape)
  }

  #convolve(g: Builder, x: Value, w: Value, attributes: Record<string, readonly number[]>): Value {
    const all = { strides: [1, 1], dilations: [1, 1], group: 1, ...attributes }
    return g.node('Conv', [x, w], { domain, attributes: all })[0]!
  }

  #enter(g: Builder, x: Value): Value {
    return g.node('ReorderInput', [x], { domain })[0]!
  }

  #leave(g: Builder, x: Value, channels: number): Value {
    return g.node('ReorderOutput', [x], { domain, attributes: { channels } })[0]!
  }

  #whole(count: number): boolean {
    return count % this.#block === 0
  }
}
