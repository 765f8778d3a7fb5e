// Dense layers, embeddings, normalisations, and the layers that move elements or do nothing at inference.
import { tensorOf } from '../../../onnx/tensor.ts'
import { binary, linear } from '../arithmetic.ts'
import {
  cast,
  channelsLast,
  farEnd,
  pad,
  reshape,
  slice,
  transpose,
  unsqueeze,
} from '../arrange.ts'
import { batchNormalization, layerNormalization } from '../normalization.ts'
import { resize } from '../resize.ts'
import { axisFromFront, isFixed, productOf, type Term } from '../term.ts'
import { scalar } from '../writer.ts'
import { activated } from './activation.ts'
import { inChannelsLast } from './convolution.ts'
import { type LayerCall, type LayerRule, refused } from './layer.ts'

const identity: LayerRule = ({ x }) => x

/** A parameter of a normalisation, or what stands for it where the layer has none. */
const parameter = (
  { w, config, name, weight }: LayerCall,
  flag: string,
  suffix: string,
  like: Term,
  absent: number,
): Term =>
  config.flag(flag, true)
    ? weight(suffix)
    : w.constant(`${name}/${suffix}`, () => {
        const dims = like.shape
        if (!isFixed(dims))
          throw refused({ w, name }, 'a normalised axis of unknown size', 'fix it')
        return tensorOf('float32', dims, new Float32Array(productOf(dims) as number).fill(absent))
      })

/** The `[[top, bottom], [left, right]]` of paddings and croppings, in any of the forms that layers take. */
function borders(call: LayerCall, key: string): readonly (readonly [number, number])[] {
  const value = call.config.raw(key) ?? 1
  const pair = (each: unknown): readonly [number, number] => {
    const [before, after] = Array.isArray(each) ? each : [each, each]
    if (Number.isInteger(before) && Number.isInteger(after) && before >= 0 && after >= 0)
      return [before, after]
    throw refused(call, `${key} ${JSON.stringify(value).slice(0, 80)}`, 'use whole numbers')
  }
  return Array.isArray(value) ? [pair(value[0]), pair(value[1])] : [pair(value), pair(value)]
}

/** Layers of one input that are no convolution, pool, activation or recurrence. */
export const basicLayers: Readonly<Record<string, LayerRule>> = {
  Dropout: identity,
  SpatialDropout1D: identity,
  SpatialDropout2D: identity,
  GaussianNoise: identity,
  GaussianDropout: identity,
  AlphaDropout: identity,
  ActivityRegularization: identity,
  Dense(call) {
    const bias = call.config.flag('use_bias', true) ? call.weight('bias') : undefined
    return activated(call, linear(call.w, call.x, call.weight('kernel'), bias, call.name))
  },
  Embedding(call) {
    const { w, x, weight, config, name } = call
    if (config.flag('mask_zero', false))
      throw refused(call, 'mask_zero', 'masks are not converted, pad with a token of its own')
    const table = weight('embeddings')
    const shape = [...x.shape, table.shape[1]]
    return w.emit('Gather', [table, cast(w, x, 'int32')], { dtype: 'float32', shape }, { name })
  },
  BatchNormalization(call) {
    const { w, x, config, weight, name } = call
    const [given = -1, ...more] = config.list('axis') ?? [-1]
    if (more.length > 0) throw refused(call, 'batch normalisation over several axes')
    const axis = axisFromFront(given, x.shape.length)
    const mean = weight('moving_mean')
    const parameters = {
      scale: parameter(call, 'scale', 'gamma', mean, 1),
      bias: parameter(call, 'center', 'beta', mean, 0),
      mean,
      variance: weight('moving_variance'),
      epsilon: config.number('epsilon', 1e-3),
    }
    return batchNormalization(w, x, axis, parameters, name)
  },
  LayerNormalization(call) {
    const { w, x, config, name } = call
    const axes = (config.list('axis') ?? [-1]).map((axis) => axisFromFront(axis, x.shape.length))
    const like = { ...x, shape: axes.map((axis) => x.shape[axis]) }
    const scale = parameter(call, 'scale', 'gamma', like, 1)
    const bias = config.flag('center', true) ? call.weight('beta') : undefined
    const epsilon = config.number('epsilon', 1e-3)
    return layerNormalization(w, x, axes, { scale, bias, epsilon }, name)
  },
  Rescaling({ w, x, config }) {
    const scaled = binary(w, 'Mul', cast(w, x, 'float32'), config.number('scale', 1))
    const offset = config.number('offset', 0)
    return offset === 0 ? scaled : binary(w, 'Add', scaled, scalar(w, scaled, offset))
  },
  Flatten({ w, x, config }) {
    const last = config.name('data_format', 'channels_last') === 'channels_first'
    const input = last && x.shape.length > 2 ? channelsLast(w, x) : x
    return reshape(w, input, [x.shape[0], productOf(input.shape.slice(1))])
  },
  Reshape({ w, x, config }) {
    const target = (config.raw('target_shape') as readonly unknown[] | undefined) ?? []
    const dims = Array.from(target, (dim) =>
      typeof dim === 'number' && dim >= 0 ? dim : undefined,
    )
    const size = productOf(x.shape.slice(1))
    const known = dims.reduce<number>((product, dim) => product * (dim ?? 1), 1)
    const settled = dims.map((dim) => dim ?? (typeof size === 'number' ? size / known : undefined))
    return reshape(w, x, [x.shape[0], ...settled])
  },
  Permute: ({ w, x, config }) => transpose(w, x, [0, ...(config.list('dims') ?? [])]),
  RepeatVector({ w, x, config }) {
    const times = config.number('n', 1)
    const [batch, width] = x.shape
    return w.emit('Tile', [unsqueeze(w, x, [1]), [1, times, 1]], {
      dtype: x.dtype,
      shape: [batch, times, width],
    })
  },
  ZeroPadding2D: (call) =>
    inChannelsLast(call, (x) => pad(call.w, x, [[0, 0], ...borders(call, 'padding'), [0, 0]])),
  Cropping2D: (call) =>
    inChannelsLast(call, (x) => {
      const cuts = borders(call, 'cropping').map(([before, after], index) => ({
        axis: index + 1,
        start: before,
        end: after === 0 ? farEnd : -after,
        step: 1,
      }))
      return slice(call.w, x, cuts)
    }),
  UpSampling2D: (call) =>
    inChannelsLast(call, (x) => {
      const interpolation = call.config.name('interpolation', 'nearest')
      const modes = new Map([
        ['nearest', 'nearest'],
        ['bilinear', 'linear'],
      ] as const)
      const mode = modes.get(interpolation as 'nearest')
      if (!mode) throw refused(call, `interpolation '${interpolation}'`, 'use nearest or bilinear')
      return resize(call.w, x, mode, { factors: call.config.numbers('size', 2, 2) })
    }),
}
