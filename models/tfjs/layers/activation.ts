// The activation that many layers end with, and the layers that are activations.
import { activations } from '../activations.ts'
import { binary, clip, compare, unary } from '../arithmetic.ts'
import { cast } from '../arrange.ts'
import { axisFromFront, type Term } from '../term.ts'
import { scalar } from '../writer.ts'
import { type LayerCall, type LayerRule, refused } from './layer.ts'

/** The term after the layer's `activation`. */
export function activated(call: LayerCall, x: Term, fallback = 'linear'): Term {
  const name = call.config.name('activation', fallback)
  const activation = activations.get(name)
  if (!activation)
    throw refused(call, `activation '${name}'`, `use one of ${[...activations.keys()].join(', ')}`)
  return activation(call.w, x)
}

/** Layers that are activations. */
export const activationLayers: Readonly<Record<string, LayerRule>> = {
  Activation: (call) => activated(call, call.x),
  ReLU(call) {
    const { w, x, config } = call
    const slope = config.number('negative_slope', 0)
    const threshold = config.number('threshold', 0)
    if (slope !== 0 || threshold !== 0)
      throw refused(call, 'ReLU with negative_slope or threshold', 'use LeakyReLU')
    const most = config.raw('max_value') ?? undefined
    return most === undefined ? unary(w, 'Relu', x) : clip(w, x, 0, config.number('max_value', 0))
  },
  LeakyReLU: ({ w, x, config }) => unary(w, 'LeakyRelu', x, { alpha: config.number('alpha', 0.3) }),
  ELU: ({ w, x, config }) => unary(w, 'Elu', x, { alpha: config.number('alpha', 1) }),
  ThresholdedReLU({ w, x, config }) {
    const passes = compare(w, 'Greater', x, scalar(w, x, config.number('theta', 1)))
    return binary(w, 'Mul', x, cast(w, passes, 'float32'))
  },
  Softmax(call) {
    const { w, x, config } = call
    const [axis = -1, ...more] = config.list('axis') ?? [1]
    if (more.length > 0) throw refused(call, 'softmax over several axes', 'use one axis')
    return unary(w, 'Softmax', x, { axis: axisFromFront(axis, x.shape.length) })
  },
  PReLU({ w, x, name, weight }) {
    const alpha = weight('alpha')
    return w.emit('PRelu', [x, alpha], { dtype: x.dtype, shape: x.shape }, { name })
  },
}
