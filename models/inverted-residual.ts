// The block of MobileNet v2 and v3: narrow at both ends, wide and depthwise between them.
import type { Activation } from './activations.ts'
import { roundChannels } from './common-options.ts'
import { activated, type Feature, type Layers, normalised } from './layers.ts'

/** What a block is like. */
export interface InvertedResidual {
  /** Channels between the two ends. */
  readonly expanded: number
  readonly channels: number
  readonly kernel: number
  readonly stride: number
  readonly activation: Activation
  /** Weighs the expanded channels by squeeze and excitation. */
  readonly excited: boolean
}

/**
 * Expansion by 1x1, depthwise convolution, a linear projection by 1x1, and x added where the shape stays (Sandler et
 * al. 2018, table 1; with squeeze and excitation: Howard et al. 2019, figure 4).
 */
export function invertedResidual(
  layers: Layers,
  name: string,
  x: Feature,
  { expanded, channels, kernel, stride, activation, excited }: InvertedResidual,
): Feature {
  let inner = x
  if (expanded !== x.shape[0])
    inner = activated(layers, `${name}.expand`, x, expanded, { kernel: 1, activation })
  const depthwise = { kernel, stride, group: expanded, activation }
  inner = activated(layers, `${name}.depthwise`, inner, expanded, depthwise)
  if (excited) inner = squeezeExcitation(layers, `${name}.se`, inner)
  const projected = normalised(layers, `${name}.project`, inner, channels, { kernel: 1 })
  return stride === 1 && x.shape[0] === channels ? layers.add(x, projected) : projected
}

/** x·h(W₂·relu(W₁·mean(x))) with the hard sigmoid h and a quarter of the channels between (Hu et al. 2018). */
function squeezeExcitation({ g, ...layers }: Layers, name: string, x: Feature): Feature {
  const [channels = 1] = x.shape
  const options = { kernel: 1, bias: true }
  const mean = { value: g.GlobalAveragePool(x.value), shape: [channels, 1, 1] }
  const few = layers.convolution(`${name}.reduce`, mean, roundChannels(channels / 4), options)
  const all = layers.convolution(`${name}.expand`, layers.relu(few), channels, options)
  const share = g.HardSigmoid(all.value, { alpha: 1 / 6, beta: 0.5 })
  return { value: g.Mul(x.value, share), shape: x.shape }
}
