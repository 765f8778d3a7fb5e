// ONNX Runtime's internal operators on blocked tensors, as its own optimizer writes them.
import type { Attributes, Builder, Operand } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'

/** The domain of operators on blocked tensors. */
export const nchwcDomain = 'com.microsoft.nchwc'

const windowed = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group: 1 }

/** Appends an operator on blocked tensors; a convolution's attributes are those of stride 1 unless given. */
export const nchwc = (
  g: Builder,
  opType: 'Conv' | 'GlobalAveragePool',
  inputs: readonly Operand[],
  attributes: Attributes = {},
): Value =>
  g.node(opType, inputs, {
    domain: nchwcDomain,
    attributes: opType === 'Conv' ? { ...windowed, ...attributes } : attributes,
  })[0]!

/** [N, C, H, W], or with `last` [N, H, W, C], in blocks of channels. */
export const enter = (g: Builder, x: Value, last = false): Value =>
  g.node('ReorderInput', [x], {
    domain: nchwcDomain,
    attributes: last ? { channels_last: 1 } : {},
  })[0]!

/** Back from blocks of channels to [N, C, H, W], or with `last` to [N, H, W, C]. */
export const leave = (g: Builder, x: Value, channels: number, last = false): Value =>
  g.node('ReorderOutput', [x], {
    domain: nchwcDomain,
    attributes: { channels, ...(last ? { channels_last: 1 } : {}) },
  })[0]!
