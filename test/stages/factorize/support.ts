// Small models of one layer, and what comes of them when that layer is factorised whatever it costs.
import { random } from '../../../base/random.ts'
import { prepareChannels, restoreInterface } from '../../../channels/prepare.ts'
import { type Attributes, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Dim, Model } from '../../../onnx/graph.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import type { Built, Opened, Ranks } from '../../../stages/factorize/method.ts'
import { type MethodName, methods } from '../../../stages/factorize/methods.ts'
import { replaceUnit } from '../../../stages/factorize/replace.ts'
import { type Unit, unitsOf } from '../../../stages/factorize/units.ts'

/** What a layer is made of. */
export interface LayerCase {
  readonly opType: 'Conv' | 'Gemm' | 'MatMul'
  /** The shape of the data, with the batch. */
  readonly data: readonly Dim[]
  readonly weight: readonly number[]
  /** The shape of the bias; none unless told. */
  readonly bias?: readonly number[]
  readonly attributes?: Attributes
  /** The layer takes the data with its two axes changed about. */
  readonly transposed?: true
  /** The constant stands on the left. */
  readonly left?: true
  /** Weights are made not negative. */
  readonly positive?: true
}

/** Seeded numbers of the normal distribution. */
export function noise(dims: readonly number[], seed: number, positive = false): Tensor {
  const { normal } = random(seed, ...dims)
  const draw = () => (positive ? Math.abs(normal()) : normal())
  return tensorOf('float32', dims, Array.from({ length: sizeOf(dims) }, draw))
}

/** A model of the layer, called `layer` with the weight `W`, between `x` and `y`. */
export function layerModel(made: LayerCase): Model {
  const { opType, data, weight, bias, attributes = {}, left, positive, transposed } = made
  const { model, g } = newModel('layer')
  const x = g.input('x', { dtype: 'float32', shape: data })
  const w = g.constant(noise(weight, 1, positive), 'W')
  const fed = transposed ? g.Transpose(x, { perm: [1, 0] }) : x
  const inputs = left ? [w, fed] : [fed, w]
  const b = bias && g.constant(noise(bias, 2), 'B')
  const [y] = g.node(opType, bias ? [...inputs, b] : inputs, { attributes, name: 'layer' })
  g.output('y', y!, { dtype: 'float32' })
  return model
}

/** A model with its only layer factorised at these ranks, whatever that costs, with what the method said of it. */
export async function forced(
  model: Model,
  name: MethodName,
  ranksOf: (opened: Opened) => Ranks,
): Promise<{
  readonly model: Model
  readonly built: Built
  readonly opened: Opened
  readonly unit: Unit
}> {
  const prepared = await prepareChannels(model)
  const [unit] = unitsOf(prepared).units
  if (!unit) throw new Error(`no layer: ${unitsOf(prepared).left[0]?.reason}`)
  const reason = methods[name].refuses(unit)
  if (reason) throw new Error(reason)
  const opened = methods[name].open(unit, { random: random(1, name) })
  const copy = cloneModel(prepared)
  const built = replaceUnit(copy.graph, unitsOf(copy).units[0]!, opened, ranksOf(opened))
  restoreInterface(copy, model)
  return { model: copy, built, opened, unit }
}

/** What a model gives for seeded data, as numbers. */
export async function answer(model: Model, batch = 2): Promise<number[]> {
  const shape = model.graph.inputs[0]!.type!.shape!
  const dims = shape.map((dim) => (typeof dim === 'number' ? dim : batch))
  return withSession(model, {}, async (session) => {
    const results = await session.run({ x: noise(dims, 3) })
    return numbers(results.y!)
  })
}

/** The largest difference, as a share of the largest number. */
export function difference(found: readonly number[], expected: readonly number[]): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY
  const scale = Math.max(...expected.map(Math.abs))
  return Math.max(...found.map((value, index) => Math.abs(value - expected[index]!))) / scale
}

/** ‖found − expected‖² / ‖expected‖². */
export function lost(found: readonly number[], expected: readonly number[]): number {
  let [distance, energy] = [0, 0]
  for (const [index, value] of expected.entries()) {
    distance += (found[index]! - value) ** 2
    energy += value ** 2
  }
  return distance / energy
}
