// Pooling layers, over windows and over everything.
import { reduce } from '../arithmetic.ts'
import { range, type Term } from '../term.ts'
import { pool } from '../windows.ts'
import { inChannelsLast, paddingOf } from './convolution.ts'
import type { LayerCall, LayerRule } from './layer.ts'

const windowed =
  (kind: 'MaxPool' | 'AveragePool', axes: number): LayerRule =>
  (call) =>
    inChannelsLast(call, (x) => {
      const kernel = call.config.numbers('pool_size', axes, 2)
      const given = call.config.raw('strides') ?? undefined
      const strides = given === undefined ? kernel : call.config.numbers('strides', axes, 2)
      const dilations = kernel.map(() => 1)
      const window = { kernel, strides, dilations, padding: paddingOf(call) }
      return pool(call.w, x, kind, window, call.name)
    })

const global =
  (opType: string): LayerRule =>
  (call: LayerCall): Term => {
    const { w, x, config } = call
    const first = config.name('data_format', 'channels_last') === 'channels_first' ? 2 : 1
    const axes = range(x.shape.length - 2).map((axis) => axis + first)
    return reduce(w, opType, x, axes, config.flag('keepdims', false))
  }

/** Pooling layers. */
export const poolingLayers: Readonly<Record<string, LayerRule>> = {
  MaxPooling1D: windowed('MaxPool', 1),
  MaxPooling2D: windowed('MaxPool', 2),
  AveragePooling1D: windowed('AveragePool', 1),
  AveragePooling2D: windowed('AveragePool', 2),
  GlobalAveragePooling1D: global('ReduceMean'),
  GlobalAveragePooling2D: global('ReduceMean'),
  GlobalMaxPooling1D: global('ReduceMax'),
  GlobalMaxPooling2D: global('ReduceMax'),
}
