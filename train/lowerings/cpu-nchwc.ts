// The lowering for ONNX Runtime's CPU provider: its blocked convolution kernels, which it uses by itself for constant
// weights only, on weights that are blocked in the graph. A blocked tensor [N, C, H, W] lies in memory as
// [N, C/b, H, W, b], a blocked weight as [O/b, C/b, kh, kw, b in, b out], where b is the width of a vector register.
// The operators are internal to ONNX Runtime: choose.ts probes them before they are used.
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { keepBlocked } from './blocked-layout.ts'
import type { Convolution, Lowering } from './lowering.ts'
import { enter, leave, nchwc } from './nchwc.ts'
import { standard } from './standard.ts'
import { fuseTransposes } from './transposed-products.ts'

/** The lowering for a block size; what blocks do not fit goes the standard way. */
export function cpuNchwc(block: number): Lowering {
  const blocked = new Blocked(block)
  return {
    name: `cpu-nchwc${block}`,
    convolution(g, convolution) {
      const weight = blocked.weight(g, convolution)
      return weight && blocked.forward(g, convolution, weight)
    },
    convolutionInput: (g, convolution, dy) =>
      blocked.inputGradient(g, convolution, dy) ?? standard.convolutionInput(g, convolution, dy),
    convolutionWeight: (g, convolution, dy) =>
      blocked.weightGradient(g, convolution, dy) ?? standard.convolutionWeight(g, convolution, dy),
    finish(graph) {
      fuseTransposes(graph)
      keepBlocked(graph, block)
    },
  }
}

const all = (list: readonly number[], value: number) => list.every((item) => item === value)

/** Stride 1, and no more padding than the kernel reaches. */
const isPlain = (convolution: Convolution) =>
  all(convolution.strides, 1) && turnedPads(convolution).every((pad) => pad >= 0)

/** Padding of the convolution that goes backwards through one of stride 1. */
const turnedPads = ({ kernel, dilations, begin, end }: Convolution): number[] =>
  [begin, end].flatMap((pads) =>
    pads.map((pad, axis) => (kernel[axis]! - 1) * dilations[axis]! - pad),
  )

/** 3x3, stride 2, one zero in front, even input: every output of a pixel-shuffled 2x2 convolution is one input. */
const isHalving = ({ group, kernel, strides, dilations, begin, input, output }: Convolution) =>
  group === 1 &&
  all(kernel, 3) &&
  all(strides, 2) &&
  all(dilations, 1) &&
  all(begin, 1) &&
  input.every((size, axis) => size === 2 * output[axis]!)

/** 1x1 without padding, and strides that divide the input: every output is made of one input, of the others none. */
const isSampling = ({ kernel, strides, begin, input, output }: Convolution) =>
  all(kernel, 1) &&
  all(begin, 0) &&
  input.every((size, axis) => size === strides[axis]! * output[axis]!)

/** Every channel with a kernel of its own. */
const isDepthwise = ({ wShape, group }: Convolution) =>
  group > 1 && group === wShape[0] && wShape[1] === 1

class Blocked {
  readonly #block: number

  constructor(block: number) {
    this.#block = block
  }

  /** The weight in blocks, as the forward convolution takes it; undefined where blocks do not fit. */
  weight(g: Builder, convolution: Convolution): Value | undefined {
    const { w, wShape, group } = convolution
    const b = this.#block
    const [outputs, inputs, ...kernel] = wShape as [number, number, ...number[]]
    if (kernel.length !== 2 || !this.#whole(outputs / group)) {
      const fits = kernel.length === 2 && isDepthwise(convolution) && this.#whole(outputs)
      return fits ? this.#depthwiseWeight(g, convolution) : undefined
    }
    const taps = sizeOf(kernel)
    // As an image of b channels, so that the kernel for images puts the output lane innermost.
    const lanes = enter(g, g.Reshape(w, [outputs / b, b, 1, inputs * taps]))
    // Few input channels, as a photograph has, are read plain.
    if (group === 1 && inputs < b) return g.Reshape(lanes, wShape)
    if (!this.#whole(inputs)) return undefined
    const split = g.Reshape(lanes, [outputs / b, inputs / b, b, taps, b])
    return g.Reshape(g.Transpose(split, { perm: [0, 1, 3, 2, 4] }), wShape)
  }

  #depthwiseWeight(g: Builder, { w, wShape, kernel }: Convolution): Value {
    return g.Reshape(enter(g, g.Reshape(w, [1, wShape[0]!, 1, sizeOf(kernel)])), wShape)
  }

  forward(g: Builder, convolution: Convolution, weight: Value): Value {
    const { x, xShape, yShape, kernel, strides, dilations, begin, end, group } = convolution
    const source = this.#whole(xShape[1]!) ? enter(g, x) : x
    const pads = [...begin, ...end]
    const attributes = { kernel_shape: kernel, strides, dilations, pads, group }
    return shaped(leave(g, nchwc(g, 'Conv', [source, weight], attributes), yShape[1]!), yShape)
  }

  /** dx, where blocks fit and there is a form for the window. */
  inputGradient(g: Builder, convolution: Convolution, dy: Value): Value | undefined {
    const { kernel, wShape, xShape, group } = convolution
    const depthwise = isDepthwise(convolution) && this.#whole(wShape[0]!)
    const fits = depthwise || (this.#whole(wShape[0]! / group) && this.#whole(wShape[1]!))
    if (kernel.length !== 2 || !fits) return undefined
    const form = isPlain(convolution)
      ? this.#turned(g, convolution, dy)
      : isHalving(convolution)
        ? this.#interleaved(g, convolution, dy)
        : isSampling(convolution)
          ? this.#sampledBack(g, convolution, dy)
          : depthwise
            ? this.#spreadApart(g, convolution, dy)
            : undefined
    return form && shaped(leave(g, form, xShape[1]!), xShape)
  }

  /** dx for stride 1: the full convolution with the weight turned by 180° and its channels swapped. */
  #turned(g: Builder, convolution: Convolution, dy: Value): Value {
    const { kernel, dilations, group } = convolution
    return nchwc(g, 'Conv', [enter(g, dy), this.#turnedWeight(g, convolution)], {
      ...{ kernel_shape: kernel, dilations, group },
      pads: turnedPads(convolution),
    })
  }

  #turnedWeight(g: Builder, convolution: Convolution): Value {
    const { w, wShape, kernel, group } = convolution
    const b = this.#block
    const taps = sizeOf(kernel)
    const backwards = Array.from({ length: taps }, (_, tap) => taps - 1 - tap)
    if (isDepthwise(convolution)) {
      const lanes = g.Reshape(this.#depthwiseWeight(g, convolution), [wShape[0]! / b, taps, b])
      return g.Reshape(g.Gather(lanes, backwards, { axis: 1 }), wShape)
    }
    const [outputs, inputs] = [wShape[0]! / group, wShape[1]!]
    const lanes = g.Reshape(enter(g, w), [group, outputs / b, b, inputs / b, taps, b])
    const swapped = g.Transpose(lanes, { perm: [0, 3, 1, 4, 2, 5] })
    const turned = taps === 1 ? swapped : g.Gather(swapped, backwards, { axis: 3 })
    return g.Reshape(turned, [group * inputs, outputs, ...kernel])
  }

  /** dx for a 1x1 kernel with strides: a convolution at the output's size, whose pixels are set apart. */
  #sampledBack(g: Builder, convolution: Convolution, dy: Value): Value {
    const { xShape, yShape, strides, group } = convolution
    const pixels = nchwc(g, 'Conv', [enter(g, dy), this.#turnedWeight(g, convolution)], {
      kernel_shape: [1, 1],
      group,
    })
    return this.#apart(g, pixels, yShape.with(1, xShape[1]!), strides)
  }

  /** dx of a depthwise convolution with strides: as of one without, of a gradient whose pixels are set apart. */
  #spreadApart(g: Builder, convolution: Convolution, dy: Value): Value | undefined {
    const { yShape, strides, input, kernel, dilations, begin } = convolution
    const reach = kernel.map((size, axis) => (size - 1) * dilations[axis]!)
    const output = convolution.output.map((size, axis) => size * strides[axis]!)
    const end = output.map((size, axis) => size + reach[axis]! - begin[axis]! - input[axis]!)
    const dense = { ...convolution, strides: [1, 1], output, end }
    if (!isPlain(dense)) return undefined
    const apart = this.#apart(g, enter(g, dy), yShape, strides)
    return nchwc(g, 'Conv', [apart, this.#turnedWeight(g, convolution)], {
      ...{ kernel_shape: kernel, dilations, group: convolution.group },
      pads: turnedPads(dense),
    })
  }

  /** Sets the pixels of a blocked tensor apart by strides, with zeros between them. */
  #apart(g: Builder, x: Value, shape: readonly number[], strides: readonly number[]): Value {
    const b = this.#block
    const [batch, channels, height, width] = shape as [number, number, number, number]
    const [rows, columns] = strides as [number, number]
    const lines = g.Reshape(x, [(batch * channels * height) / b, 1, width, b])
    const apart = g.Pad(lines, [0, 0, 0, 0, 0, rows - 1, 0, (columns - 1) * b])
    return g.Reshape(apart, [batch, channels, height * rows, width * columns])
  }

  /**
   * dx for a 3x3 kernel of stride 2: one 2x2 convolution that makes the four pixels under each output as four times
   * the channels, then interleaves them (Shi et al. 2016, section 3.2, used backwards).
   *
   * An even pixel sees tap 1 of its own output alone; an odd one tap 2 of its own and tap 0 of the next.
   */
  #interleaved(g: Builder, { w, wShape, xShape, output }: Convolution, dy: Value): Value {
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
    const parities = g.Transpose(split, { perm: [0, 2, 4, 5, 1, 3, 6] })
    const weight = g.Reshape(parities, [4 * inputs, outputs, 2, 2])
    const quarters = nchwc(g, 'Conv', [enter(g, dy), weight], {
      kernel_shape: [2, 2],
      pads: [0, 0, 1, 1],
    })
    const pixels = g.Reshape(quarters, [batch, 2, 2, inputs / b, rows, columns, b])
    return g.Reshape(g.Transpose(pixels, { perm: [0, 3, 4, 1, 5, 2, 6] }), xShape)
  }

  /** dw, where blocks fit. */
  weightGradient(g: Builder, convolution: Convolution, dy: Value): Value | undefined {
    const { kernel, wShape, xShape, group } = convolution
    if (kernel.length !== 2 || !this.#whole(wShape[0]!)) return undefined
    if (isDepthwise(convolution)) return this.#correlated(g, convolution, dy)
    // A batch that is less than half a block would be padded to more than twice its size.
    if (group > 1 || xShape[0]! < this.#block / 2) return undefined
    return this.#sampled(g, convolution, dy)
  }

  /** dw of a depthwise convolution: every channel of every sample is an image, its gradient the kernel. */
  #correlated(g: Builder, convolution: Convolution, dy: Value): Value {
    const { x, xShape, wShape, kernel, strides, dilations, begin, output } = convolution
    const b = this.#block
    const [batch, channels, ...image] = xShape as [number, number, ...number[]]
    const images = g.Reshape(enter(g, x), [1, batch * channels, ...image])
    const filter = g.Reshape(enter(g, dy), [batch * channels, 1, ...output])
    const found = nchwc(g, 'Conv', [images, filter], {
      group: batch * channels,
      kernel_shape: output,
      strides: dilations,
      dilations: strides,
      pads: [...begin, ...behind(convolution)],
    })
    const size = foundTaps(convolution)
    const sum = g.ReduceSum(g.Reshape(found, [batch, channels * sizeOf(size)]), [0], {
      keepdims: 0,
    })
    const blocks = g.Reshape(sum, [channels / b, ...size, b])
    const whole = size.every((count, axis) => count === kernel[axis])
    const cut = whole ? blocks : g.Slice(blocks, [0, 0], kernel, [1, 2])
    return g.Reshape(leave(g, g.Reshape(cut, [1, channels, 1, sizeOf(kernel)]), channels), wShape)
  }

  /**
   * dw as one blocked convolution: the samples become the lanes, the gradient a kernel as large as the output, and an
   * image's columns and channels one axis, along which the kernel's columns lie a pixel's channels apart.
   *
   * The result has a row for each of the kernel's rows, and in it the kernel's columns, each with all channels. Every
   * block of samples is a group of its own, so that there is work for all threads; the groups' results are added up.
   */
  #sampled(g: Builder, convolution: Convolution, dy: Value): Value {
    const { x, xShape, wShape, kernel, strides, dilations, begin, output } = convolution
    const b = this.#block
    const [, channels, height, width] = xShape as [number, number, number, number]
    const outputs = wShape[0]!
    const groups = Math.ceil(xShape[0]! / b)
    const batch = groups * b
    const [below, right] = behind(convolution) as [number, number]
    const columns = begin[1]! + width + right
    const lanes = this.#samplesInnermost(g, x, xShape, begin[1]!, right)
    // [N, O/b, Ho·Wo, b] as images of O/b·Ho·Wo blocks of channels and a block of samples as pixels.
    const blocks = this.#wholeBatch(g, enter(g, dy), xShape[0]!)
    const gradient = g.Reshape(blocks, [groups, b, 1, outputs * sizeOf(output)])
    const result = nchwc(
      g,
      'Conv',
      [
        g.Reshape(lanes, [1, batch, height, columns * channels]),
        g.Reshape(enter(g, gradient, true), [groups * outputs, b, ...output]),
      ],
      {
        group: groups,
        kernel_shape: output,
        strides: [dilations[0]!, 1],
        dilations: [strides[0]!, channels * strides[1]!],
        pads: [begin[0]!, 0, below, 0],
      },
    )
    const rows = foundTaps(convolution)[0]!
    const taps = columns - (output[1]! - 1) * strides[1]!
    const each = g.Reshape(result, [groups, outputs * rows * taps * channels])
    // A product with ones adds up three times as fast as ReduceSum.
    const sum = g.MatMul(filled([1, groups], 1), each)
    const found = g.Reshape(sum, [outputs / b, rows, taps, channels, b])
    const reach = (kernel[1]! - 1) * dilations[1]! + 1
    const whole = rows === kernel[0]! && taps === kernel[1]!
    const cut = whole
      ? found
      : g.Slice(found, [0, 0], [kernel[0]!, reach], [1, 2], [1, dilations[1]!])
    return g.Reshape(this.#plainWeight(g, cut, wShape), wShape)
  }

  /** [O/b, kh·kw, C, b] as [O, C, kh·kw], by the reorders, which are faster than Transpose. */
  #plainWeight(g: Builder, found: Value, [outputs, inputs, ...kernel]: readonly number[]): Value {
    const b = this.#block
    const taps = sizeOf(kernel)
    if (!this.#whole(inputs!)) {
      const lanes = g.Reshape(found, [outputs! / b, taps, inputs!, b])
      return g.Transpose(lanes, { perm: [0, 3, 2, 1] })
    }
    const rows = leave(g, g.Reshape(found, [outputs! / b, b, 1, taps * inputs!]), b)
    if (taps === 1) return rows
    return leave(g, enter(g, g.Reshape(rows, [outputs!, 1, taps, inputs!]), true), inputs!)
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
    const [, channels, height, width] = shape as [number, number, number, number]
    const groups = Math.ceil(shape[0]! / b)
    const columns = left + width + right
    if (this.#whole(channels)) {
      // A depthwise convolution with ones copies, pads by the way, and works in several threads.
      const ones = filled([channels, 1, 1, 1], 1)
      const attributes = { kernel_shape: [1, 1], group: channels, pads: [0, left, 0, right] }
      const blocks = this.#wholeBatch(g, enter(g, x), shape[0]!)
      const padded = left + right > 0 ? nchwc(g, 'Conv', [blocks, ones], attributes) : blocks
      // A single block of channels has them last as it is.
      const last = channels === b ? padded : leave(g, padded, channels, true)
      return enter(g, g.Reshape(last, [groups, b, 1, height * columns * channels]))
    }
    const samples = this.#wholeBatch(g, x, shape[0]!)
    const lanes = enter(g, g.Reshape(samples, [groups, b, 1, channels * height * width]))
    const last =
      channels === 1
        ? lanes
        : g.Transpose(g.Reshape(lanes, [groups, channels, height * width, b]), {
            perm: [0, 2, 1, 3],
          })
    if (left + right === 0) return last
    const lines = g.Reshape(last, [groups * height, width * channels * b])
    return g.Pad(lines, [0, left * channels * b, 0, right * channels * b])
  }

  /** Samples of zeros behind those of a batch, plain or in blocks, until they fill whole blocks. */
  #wholeBatch(g: Builder, x: Value, batch: number): Value {
    const lacking = (this.#block - (batch % this.#block)) % this.#block
    return lacking === 0 ? x : g.Pad(x, [0, 0, 0, 0, lacking, 0, 0, 0])
  }

  #whole(count: number): boolean {
    return count % this.#block === 0
  }
}

/** The zeros behind each spatial axis that the windows reach, whether the padding says so or not. */
function behind({ input, output, strides, begin, kernel, dilations }: Convolution): number[] {
  return input.map((size, axis) => {
    const last = (output[axis]! - 1) * strides[axis]! + (kernel[axis]! - 1) * dilations[axis]!
    return Math.max(0, last + 1 - size - begin[axis]!)
  })
}

/** How many taps a convolution with the gradient finds along each axis: the kernel's, and more where input is left over. */
function foundTaps(convolution: Convolution): number[] {
  const { input, output, strides, begin, dilations } = convolution
  const zeros = behind(convolution)
  return input.map((size, axis) => {
    const reach = (output[axis]! - 1) * strides[axis]! + 1
    return Math.floor((begin[axis]! + size + zeros[axis]! - reach) / dilations[axis]!) + 1
  })
}

const filled = (dims: readonly number[], value: number) =>
  tensorOf('float32', dims, new Float32Array(sizeOf(dims)).fill(value))

/** Says the shape of a new value, for those who look for values that can stay blocked. */
function shaped(value: Value, shape: readonly number[]): Value {
  value.type = { dtype: 'float32', shape }
  return value
}
