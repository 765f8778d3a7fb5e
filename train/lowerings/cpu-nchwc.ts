// The lowering for ONNX Runtime's CPU provider: its blocked convolution kernels, which it uses by itself for constant
// weights only, on weights that are blocked in the graph. A blocked tensor [N, C, H, W] lies in memory as
// [N, C/b, H, W, b], a blocked weight as [O/b, C/b, kh, kw, b in, b out], where b is the width of a vector register.
// The operators are internal to ONNX Runtime: choose.ts probes them before they are used.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import { keepBlocked } from './blocked-layout.ts'
import type { Convolution, Lowering } from './lowering.ts'
import { enter, leave, nchwc } from './nchwc.ts'
import { standard } from './standard.ts'

/** The lowering for a block size; what blocks do not fit goes the standard way. */
export function cpuNchwc(block: number): Lowering {
  const blocked = new Blocked(block)
  return {
    name: `cpu-nchwc${block}`,
    convolution: (g, convolution) =>
      blocked.fits(convolution) || blocked.fitsImage(convolution)
        ? blocked.forward(g, convolution)
        : undefined,
    convolutionInput(g, convolution, dy) {
      if (!blocked.fits(convolution)) return standard.convolutionInput(g, convolution, dy)
      if (isPlain(convolution)) return blocked.turned(g, convolution, dy)
      if (isHalving(convolution)) return blocked.interleaved(g, convolution, dy)
      return standard.convolutionInput(g, convolution, dy)
    },
    convolutionWeight: (g, convolution, dy) =>
      blocked.fitsSamples(convolution)
        ? blocked.sampled(g, convolution, dy)
        : standard.convolutionWeight(g, convolution, dy),
    finish: (graph) => keepBlocked(graph, block),
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

  /** Few input channels, as a photograph has, are read plain. */
  fitsImage({ wShape, group }: Convolution): boolean {
    return wShape.length === 4 && group === 1 && this.#whole(wShape[0]!) && wShape[1]! < this.#block
  }

  /** The kernel of samples needs whole blocks of samples and of output channels. */
  fitsSamples({ wShape, xShape, group }: Convolution): boolean {
    return wShape.length === 4 && group === 1 && this.#whole(xShape[0]!) && this.#whole(wShape[0]!)
  }

  forward(g: Builder, convolution: Convolution): Value {
    const { x, w, wShape, yShape, strides, dilations, begin, end } = convolution
    const source = this.#whole(wShape[1]!) ? enter(g, x) : x
    const result = nchwc(g, 'Conv', [source, this.#weight(g, w, wShape)], {
      kernel_shape: wShape.slice(2),
      strides,
      dilations,
      pads: [...begin, ...end],
    })
    return shaped(leave(g, result, yShape[1]!), yShape)
  }

  /** dx for stride 1: the full convolution with the weight turned by 180° and its channels swapped. */
  turned(g: Builder, { w, wShape, xShape, kernel, begin, end }: Convolution, dy: Value): Value {
    const b = this.#block
    const [outputs, inputs] = [wShape[0]!, wShape[1]!]
    const taps = sizeOf(kernel)
    const lanes = g.Reshape(enter(g, w), [outputs / b, b, inputs / b, taps, b])
    const swapped = g.Transpose(lanes, { perm: [2, 0, 3, 1, 4] })
    const backwards = Array.from({ length: taps }, (_, tap) => taps - 1 - tap)
    const turned = taps === 1 ? swapped : g.Gather(swapped, backwards, { axis: 2 })
    const pad = (pads: readonly number[]) => pads.map((amount, axis) => kernel[axis]! - 1 - amount)
    const result = nchwc(
      g,
      'Conv',
      [enter(g, dy), g.Reshape(turned, [inputs, outputs, ...kernel])],
      { kernel_shape: kernel, pads: [...pad(begin), ...pad(end)] },
    )
    return shaped(leave(g, result, xShape[1]!), xShape)
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
    const lanes = g.Reshape(enter(g, w), [outputs / b, b, inputs / b, 3, 3, b])
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
    const quarters = nchwc(g, 'Conv', [enter(g, dy), weight], {
      kernel_shape: [2, 2],
      pads: [0, 0, 1, 1],
    })
    const pixels = g.Reshape(quarters, [batch, 2, 2, inputs / b, rows, columns, b])
    const mixed = g.Transpose(pixels, { perm: [0, 3, 4, 1, 5, 2, 6] })
    return shaped(leave(g, g.Reshape(mixed, xShape), xShape[1]!), xShape)
  }

  /**
   * dw as one blocked convolution: the samples become the lanes, the gradient a kernel as large as the output, and an
   * image's columns and channels one axis, along which the kernel's columns lie a pixel's channels apart.
   *
   * The result has a row for each of the kernel's rows, and in it the kernel's columns, each with all channels. Every
   * block of samples is a group of its own, so that there is work for all threads; the groups' results are added up.
   */
  sampled(g: Builder, convolution: Convolution, dy: Value): Value {
    const { x, xShape, wShape, kernel, strides, dilations, begin, output } = convolution
    const b = this.#block
    const [batch, channels, height, width] = xShape as [number, number, number, number]
    const outputs = wShape[0]!
    const groups = batch / b
    // Zeros behind the input as far as the last window reaches.
    const [below, right] = this.#behind(convolution) as [number, number]
    const columns = begin[1]! + width + right
    const lanes = g.Reshape(this.#samplesInnermost(g, x, xShape, begin[1]!, right), [
      1,
      batch,
      height,
      columns * channels,
    ])
    // [N, O/b, Ho·Wo, b] as images of O/b·Ho·Wo blocks of channels and a block of samples as pixels.
    const pixels = sizeOf(output)
    const filter = enter(g, g.Reshape(enter(g, dy), [groups, b, 1, outputs * pixels]), true)
    const [rowStep, columnStep] = strides as [number, number]
    const result = nchwc(g, 'Conv', [lanes, g.Reshape(filter, [groups * outputs, b, ...output])], {
      group: groups,
      kernel_shape: output,
      strides: [dilations[0]!, 1],
      dilations: [rowStep, channels * columnStep],
      pads: [begin[0]!, 0, below, 0],
    })
    const [rows, taps] = kernel as [number, number]
    const foundRows =
      Math.floor((begin[0]! + height + below - ((output[0]! - 1) * rowStep + 1)) / dilations[0]!) +
      1
    const foundColumns = columns - (output[1]! - 1) * columnStep
    const sum = g.ReduceSum(
      g.Reshape(result, [groups, outputs * foundRows * foundColumns * channels]),
      [0],
      { keepdims: 0 },
    )
    const found = g.Reshape(sum, [outputs / b, foundRows, foundColumns, channels, b])
    const reach = (taps - 1) * dilations[1]! + 1
    const whole = foundRows === rows && foundColumns === taps
    const cut = whole ? found : g.Slice(found, [0, 0], [rows, reach], [1, 2], [1, dilations[1]!])
    return g.Reshape(g.Transpose(cut, { perm: [0, 4, 3, 1, 2] }), wShape)
  }

  /** The zeros behind each spatial axis that the windows reach, whether the padding says so or not. */
  #behind({ input, output, strides, begin, kernel, dilations }: Convolution): number[] {
    return input.map((size, axis) =>
      Math.max(
        0,
        (output[axis]! - 1) * strides[axis]! +
          (kernel[axis]! - 1) * dilations[axis]! +
          1 -
          size -
          begin[axis]!,
      ),
    )
  }

  /** [N, C, H, W] as [N/b, H, W, C, b samples] with zeros before and behind the columns. */
  #samplesInnermost(
    g: Builder,
    x: Value,
    shape: readonly number[],
    left: number,
    right: number,
  ): Value {
    const b = this.#block
    const [batch, channels, height, width] = shape as [number, number, number, number]
    const columns = left + width + right
    const pad = (value: Value, before: readonly number[], inner: number) =>
      left + right === 0
        ? value
        : g.Pad(g.Reshape(value, [...before, width * inner]), [
            ...before.map(() => 0),
            left * inner,
            ...before.map(() => 0),
            right * inner,
          ])
    if (this.#whole(channels)) {
      const last = leave(g, enter(g, x), channels, true)
      const padded = pad(last, [batch * height], channels)
      return enter(g, g.Reshape(padded, [batch / b, b, 1, height * columns * channels]))
    }
    const lanes = enter(g, g.Reshape(x, [batch / b, b, 1, channels * height * width]))
    const last =
      channels === 1
        ? lanes
        : g.Transpose(g.Reshape(lanes, [batch / b, channels, height * width, b]), {
            perm: [0, 2, 1, 3],
          })
    return pad(last, [(batch / b) * height], channels * b)
  }

  /** A weight [O, C, kh, kw] in blocks; of a few input channels in blocks of outputs alone. */
  #weight(g: Builder, w: Value, shape: readonly number[]): Value {
    const b = this.#block
    const [outputs, inputs, ...kernel] = shape as [number, number, ...number[]]
    const taps = sizeOf(kernel)
    // As an image of b channels, so that the kernel for images puts the output lane innermost.
    const lanes = enter(g, g.Reshape(w, [outputs / b, b, 1, inputs * taps]))
    if (!this.#whole(inputs)) return g.Reshape(lanes, shape)
    const split = g.Reshape(lanes, [outputs / b, inputs / b, b, taps, b])
    return g.Reshape(g.Transpose(split, { perm: [0, 1, 3, 2, 4] }), shape)
  }

  #whole(count: number): boolean {
    return count % this.#block === 0
  }
}

/** Says the shape of a new value, for those who look for values that can stay blocked. */
function shaped(value: Value, shape: readonly number[]): Value {
  value.type = { dtype: 'float32', shape }
  return value
}
