// Convolutional layers.
import { channelsFirst, channelsLast } from '../arrange.ts'
import type { Term } from '../term.ts'
import {
  type ConvolutionOptions,
  convolution,
  depthwiseConvolution,
  transposedConvolution,
  type Window,
} from '../windows.ts'
import { activated } from './activation.ts'
import { type LayerCall, type LayerRule, refused } from './layer.ts'

/** Lets a rule work with channels last, whatever the layer's `data_format` is. */
export function inChannelsLast(call: LayerCall, rule: (x: Term) => Term): Term {
  const format = call.config.name('data_format', 'channels_last')
  if (format === 'channels_last') return rule(call.x)
  if (format !== 'channels_first') throw refused(call, `data_format '${format}'`)
  return channelsFirst(call.w, rule(channelsLast(call.w, call.x)))
}

/** The layer's `padding`; TensorFlow.js knows two for most layers. */
export function paddingOf(call: LayerCall): 'same' | 'valid' {
  const padding = call.config.name('padding', 'valid')
  if (padding !== 'same' && padding !== 'valid')
    throw refused(call, `padding '${padding}'`, "use 'same' or 'valid'")
  return padding
}

const windowOf = (call: LayerCall, axes: number): Omit<Window, 'kernel'> => ({
  strides: call.config.numbers('strides', axes, 1),
  dilations: call.config.numbers('dilation_rate', axes, 1),
  padding: paddingOf(call),
})

const optionsOf = (call: LayerCall, axes: number): ConvolutionOptions => ({
  window: windowOf(call, axes),
  bias: call.config.flag('use_bias', true) ? call.weight('bias') : undefined,
  name: call.name,
})

const layer =
  (write: (call: LayerCall, x: Term) => Term): LayerRule =>
  (call) =>
    inChannelsLast(call, (x) => activated(call, write(call, x)))

/** Convolutional layers. */
export const convolutionLayers: Readonly<Record<string, LayerRule>> = {
  Conv1D: layer((call, x) => convolution(call.w, x, call.weight('kernel'), optionsOf(call, 1))),
  Conv2D: layer((call, x) => convolution(call.w, x, call.weight('kernel'), optionsOf(call, 2))),
  DepthwiseConv2D: layer((call, x) =>
    depthwiseConvolution(call.w, x, call.weight('depthwise_kernel'), optionsOf(call, 2)),
  ),
  SeparableConv2D: layer((call, x) => {
    const { bias, ...rest } = optionsOf(call, 2)
    const deep = depthwiseConvolution(call.w, x, call.weight('depthwise_kernel'), {
      ...rest,
      name: `${call.name}/depthwise`,
    })
    const window = { strides: [1, 1], dilations: [1, 1], padding: 'valid' as const }
    return convolution(call.w, deep, call.weight('pointwise_kernel'), {
      window,
      bias,
      name: call.name,
    })
  }),
  Conv2DTranspose: layer((call, x) => {
    const options = optionsOf(call, 2)
    if (options.window.dilations.some((dilation) => dilation !== 1))
      throw refused(call, 'dilated transposed convolution')
    if ((call.config.raw('output_padding') ?? undefined) !== undefined)
      throw refused(call, 'output_padding of a transposed convolution')
    return transposedConvolution(call.w, x, call.weight('kernel'), options)
  }),
}
