// AdaRound: every weight is rounded up or down, whichever lets its layer give what it gave, as learned from samples.
import { throwIfAborted } from '../../../base/errors.ts'
import type { Model } from '../../../onnx/graph.ts'
import { sideBySide } from '../../../onnx/passes/merge.ts'
import { elements, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { type MatrixLayer, matrixLayersOf, offsetOf } from '../../prune/matrix-layers.ts'
import type { StageContext } from '../../stage.ts'
import { sumsOver } from '../../sums.ts'
import { type Codes, type QuantizedLayer, quantizedLayers, scaleIndex } from './quantized-layers.ts'
import { openRounding } from './rounding-step.ts'

/** How roundings are learned. */
export interface RoundingOptions {
  readonly samples: number
  /** Steps of the optimizer for each layer. */
  readonly steps: number
  readonly context: StageContext
}

/** What learning did to one layer: the squared error of its outputs, as a share of their squares. */
export interface LearnedRounding {
  readonly name: string
  readonly before: number
  readonly after: number
}

/** A quantized layer that is a matrix. */
interface MatrixOfCodes extends QuantizedLayer {
  readonly matrix: MatrixLayer
}

/**
 * Learns, in place, whether each weight is rounded up or down, layer by layer from the front (Nagel et al. 2020, "Up or
 * down? Adaptive rounding for post-training quantization", equations 21–25): the outputs that the float layer has on the
 * float model's inputs are to come out of the rounded weights on the quantized model's inputs.
 *
 * The error before the activation is a quadratic form of the weights, so that two sums over samples stand for all of them:
 * memory does not grow with their number. A layer for which nearest rounding does as well keeps it.
 */
export async function learnRounding(
  float: Model,
  quantized: Model,
  options: RoundingOptions,
): Promise<LearnedRounding[]> {
  const matrices = new Map(matrixLayersOf(float.graph).map((matrix) => [matrix.node, matrix]))
  const layers = quantizedLayers(float.graph, quantized.graph).flatMap((layer) => {
    const matrix = matrices.get(layer.float)
    const { codes, axis } = layer
    const isAlong = codes.axis === undefined || codes.axis === axis
    return matrix && isAlong && isVaried(codes) ? [{ ...layer, matrix }] : []
  })
  const found: LearnedRounding[] = []
  for (const value of new Set(layers.map(({ codes }) => codes.value))) {
    throwIfAborted(options.context.signal)
    const own = layers.filter(({ codes }) => codes.value === value)
    found.push(await learnLayer(float, quantized, own, options))
  }
  return found
}

async function learnLayer(
  float: Model,
  quantized: Model,
  layers: readonly MatrixOfCodes[],
  options: RoundingOptions,
): Promise<LearnedRounding> {
  const [{ matrix, codes }] = layers as [MatrixOfCodes]
  const { name, form } = matrix
  const measured = await measure(float, quantized, layers, options)
  const grid = gridOf(layers[0]!)
  const rounding = await openRounding({ form, ...measured, ...grid }, options.context.threads)
  try {
    const nearest = await rounding.errorOf(grid.nearest)
    const ups = await rounding.learn(stepsFor(options.steps, form), async () => {
      throwIfAborted(options.context.signal)
      await new Promise(setImmediate)
    })
    const learned = await rounding.errorOf(ups)
    const unit = measured.energy > 0 ? measured.energy : 1
    if (!(learned < nearest)) return { name, before: nearest / unit, after: nearest / unit }
    codes.value.tensor = rounded(layers[0]!, grid, ups)
    return { name, before: nearest / unit, after: learned / unit }
  } finally {
    await rounding.dispose()
  }
}

/** Multiplications that learning may take for one layer: larger layers get fewer steps. */
const bearable = 1e12

/** Fewer do not settle. */
const leastSteps = 200

const stepsFor = (steps: number, { groups, rows, columns }: MatrixLayer['form']): number =>
  Math.min(steps, Math.max(leastSteps, Math.floor(bearable / (groups * rows * columns ** 2))))

/** What the samples say of a layer, all that its error depends on. */
interface Measured {
  /** Σ x̂ x̂ᵀ over positions, `[groups, columns, columns]`. */
  readonly inputs: Float32Array
  /** Σ (y - ŷ) x̂ᵀ with ŷ = W x̂ + b̂ of unrounded weights, `[groups, rows, columns]`. */
  readonly residuals: Float32Array
  /** Σ |y - ŷ|² of these. */
  readonly constant: number
  /** Σ |y|². */
  readonly energy: number
}

/** Runs both models side by side on the samples. */
async function measure(
  float: Model,
  quantized: Model,
  layers: readonly MatrixOfCodes[],
  { samples, context }: RoundingOptions,
): Promise<Measured> {
  const both = sideBySide(quantized, [float])
  const [{ form }] = layers.map(({ matrix }) => matrix) as [MatrixLayer]
  const { groups, rows, columns } = form
  const weights = tensorOf('float32', [groups, columns, rows], transposedWeights(layers[0]!))
  const sums = await sumsOver(
    both,
    (g, named) => {
      const parts = layers.map(({ matrix, node }) => {
        const x = matrix.features(g, named(node.input(matrix.data).name))
        const y = matrix.results(g, named(`peer1/${matrix.node.output().name}`), rows)
        const products = g.MatMul(x, weights)
        const bias = node.inputs[2]
        const given = bias
          ? g.Add(products, g.Reshape(named(bias.name), [groups, 1, -1]))
          : products
        const rest = g.Sub(y, given)
        const upright = g.Transpose(x, { perm: [0, 2, 1] })
        return [
          g.MatMul(upright, x),
          g.MatMul(g.Transpose(rest, { perm: [0, 2, 1] }), x),
          g.ReduceSum(g.Mul(rest, rest), { keepdims: 0 }),
          g.ReduceSum(g.Mul(y, y), { keepdims: 0 }),
        ]
      })
      return [0, 1, 2, 3].map((at) => parts.map((own) => own[at]!).reduce((a, b) => g.Add(a, b)))
    },
    { samples, context },
  )
  const [inputs, residuals, constant, energy] = sums as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ]
  return {
    inputs: Float32Array.from(inputs),
    residuals: Float32Array.from(residuals),
    constant: constant[0]!,
    energy: energy[0]!,
  }
}

/** The two neighbours of each weight among the integers, as matrices `[groups, rows, columns]`. */
interface Grid {
  /** The lower neighbours, in steps from zero. */
  readonly below: Float32Array
  /** How far the weights are above them, in steps: 0..1, but for those beyond the last code. */
  readonly rests: Float32Array
  /** What a step is worth for each output, `[groups, rows]`. */
  readonly steps: Float32Array
  /** 1 where the weight is rounded up now. */
  readonly nearest: Float32Array
}

function gridOf({ weights, codes, matrix }: MatrixOfCodes): Grid {
  const { form } = matrix
  const values = elements(weights, 'float32')
  const integers = elements(codes.tensor, codes.tensor.dtype as 'int8' | 'uint8')
  const [least, most] = extremesOf(codes)
  const indexOf = scaleIndex(codes)
  const size = form.groups * form.rows * form.columns
  const [below, rests, nearest] = [0, 1, 2].map(() => new Float32Array(size)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const steps = new Float32Array(form.groups * form.rows)
  forEachPlace(form, (at, offset) => {
    const index = indexOf(offset)
    const scale = codes.scales[index]!
    const zero = zeroPointAt(codes, index)
    const exact = values[offset]! / scale
    const code = integers[offset]! - zero
    // The neighbour below, such that both are codes that the type has and one of them is the weight's now.
    const floor = Math.min(
      Math.max(Math.floor(exact), code - 1, least - zero),
      code,
      most - zero - 1,
    )
    below[at] = floor
    rests[at] = exact - floor
    nearest[at] = code - floor
    steps[Math.floor(at / form.columns)] = scale
  })
  return { below, rests, steps, nearest }
}

const zeroPointAt = ({ zeroPoints }: Codes, index: number): number =>
  zeroPoints[zeroPoints.length === 1 ? 0 : index]!

/** The lowest and highest code that occur: weights of 7 bits are not to reach beyond theirs. */
function extremesOf({ tensor }: Codes): readonly [least: number, most: number] {
  let [least, most] = [Infinity, -Infinity]
  for (const code of elements(tensor, tensor.dtype as 'int8' | 'uint8')) {
    least = Math.min(least, code)
    most = Math.max(most, code)
  }
  return [least, most]
}

/** Where all codes are the same, nothing is known of the neighbours. */
function isVaried(codes: Codes): boolean {
  const [least, most] = extremesOf(codes)
  return least < most
}

/** Calls for each element of the matrices, with its place there and in the weight. */
function forEachPlace(form: MatrixLayer['form'], use: (at: number, offset: number) => void): void {
  let at = 0
  for (let group = 0; group < form.groups; group++)
    for (let row = 0; row < form.rows; row++)
      for (let column = 0; column < form.columns; column++)
        use(at++, offsetOf(form, group, row, column))
}

/** `[groups, columns, rows]`, as the inputs are multiplied with. */
function transposedWeights({ weights, matrix: { form } }: MatrixOfCodes): Float32Array {
  const { rows, columns } = form
  const values = elements(weights, 'float32')
  const result = new Float32Array(values.length)
  forEachPlace(form, (at, offset) => {
    const [group, rest] = [Math.floor(at / (rows * columns)), at % (rows * columns)]
    const [row, column] = [Math.floor(rest / columns), rest % columns]
    result[(group * columns + column) * rows + row] = values[offset]!
  })
  return result
}

/** The codes with the roundings that were learned. */
function rounded({ codes, matrix }: MatrixOfCodes, { below }: Grid, ups: Float32Array): Tensor {
  const dtype = codes.tensor.dtype as 'int8' | 'uint8'
  const result = elements(codes.tensor, dtype).slice()
  const indexOf = scaleIndex(codes)
  forEachPlace(matrix.form, (at, offset) => {
    result[offset] = below[at]! + ups[at]! + zeroPointAt(codes, indexOf(offset))
  })
  return tensorOf(dtype, codes.tensor.dims, result)
}
