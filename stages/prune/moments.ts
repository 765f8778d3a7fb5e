// Second moments of the inputs of layers, xᵀx over all samples and positions: what criteria and reconstruction by least
// squares look at. They are summed up inside the graph, so that memory does not grow with the samples.
import type { Model, Value } from '../../onnx/graph.ts'
import { sumsOver } from '../sums.ts'
import type { Companions, Evidence } from './criteria/criterion.ts'
import { type MatrixForm, type MatrixLayer, matrixLayersOf, offsetOf } from './matrix-layers.ts'
import { inverseCurvature } from './systems.ts'

/** Numbers of second moments that are measured in one pass over the samples at most. */
const largestPass = 2 ** 25

/** The second moments of the input of a layer: `[groups, columns, columns]`, summed over samples and positions. */
export interface Moments {
  readonly layer: MatrixLayer
  readonly sums: Float64Array
}

/** Measures the second moments of the inputs of layers, some layers at a time where they are large. */
export async function* inputMoments(
  model: Model,
  evidence: Evidence,
  layers: readonly MatrixLayer[],
): AsyncGenerator<Moments, void, void> {
  for (const some of passesOf(layers)) {
    const sums = await sumsOver(
      model,
      (g, named) =>
        some.map((layer) => {
          const features = layer.features(g, named(layer.node.input(layer.data).name))
          return g.MatMul(g.Transpose(features, { perm: [0, 2, 1] }), features)
        }),
      evidence,
    )
    for (const [index, layer] of some.entries()) yield { layer, sums: sums[index]! }
  }
}

/** Layers in lists whose moments fit into memory together. */
function passesOf(layers: readonly MatrixLayer[]): MatrixLayer[][] {
  const passes: MatrixLayer[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const layer of layers) {
    const own = layer.form.groups * layer.form.columns ** 2
    if (size + own > largestPass) {
      passes.push([])
      size = 0
    }
    size += own
    passes.at(-1)!.push(layer)
  }
  return passes
}

/** The layers that multiply with some weights. */
const layersWith = (model: Model, values: readonly Value[]): MatrixLayer[] => {
  const names = new Set(values.map(({ name }) => name))
  return matrixLayersOf(model.graph).filter(({ weight }) => names.has(weight.name))
}

/** ‖x‖ of the input of each weight. */
export async function* inputNorms(
  model: Model,
  evidence: Evidence,
  values: readonly Value[],
): AsyncGenerator<Companions, void, void> {
  const layers = layersWith(model, values)
  const sums = await sumsOver(
    model,
    (g, named) =>
      layers.map((layer) => {
        const features = layer.features(g, named(layer.node.input(layer.data).name))
        return g.ReduceSum(g.Mul(features, features), [1], { keepdims: 0 })
      }),
    evidence,
  )
  yield byWeight(
    layers.map((layer, index) => ({ layer, sums: sums[index]! })),
    (own) => own.map(Math.sqrt),
  )
}

/** 1 / [H⁻¹] for the input of each weight, H = xᵀx, as SparseGPT comes by it column after column. */
export async function* inputCurvature(
  model: Model,
  evidence: Evidence,
  values: readonly Value[],
): AsyncGenerator<Companions, void, void> {
  const found: Moments[] = []
  for await (const { layer, sums } of inputMoments(model, evidence, layersWith(model, values))) {
    const { groups, columns } = layer.form
    const own = new Float64Array(groups * columns)
    for (let group = 0; group < groups; group++)
      own.set(
        inverseCurvature(sums.subarray(group * columns ** 2, (group + 1) * columns ** 2), columns),
        group * columns,
      )
    found.push({ layer, sums: own })
  }
  yield byWeight(found, (own) => own)
}

/** Numbers for each input of layers as numbers for each element; of layers that share a weight, their sum. */
function byWeight(
  found: readonly Moments[],
  finish: (sums: Float64Array) => Float64Array,
): Companions {
  const totals = new Map<string, { readonly layer: MatrixLayer; readonly sums: Float64Array }>()
  for (const { layer, sums } of found) {
    const known = totals.get(layer.weight.name)
    if (known) for (const [at, sum] of sums.entries()) known.sums[at]! += sum
    else totals.set(layer.weight.name, { layer, sums })
  }
  return new Map(
    [...totals].map(([name, { layer, sums }]) => [
      name,
      spread(layer.form, layer.weight.tensor!.size, finish(sums)),
    ]),
  )
}

/** Gives every element of a weight the number of its input. */
function spread(form: MatrixForm, size: number, inputs: Float64Array): Float32Array {
  const all = new Float32Array(size)
  for (let group = 0; group < form.groups; group++)
    for (let row = 0; row < form.rows; row++)
      for (let column = 0; column < form.columns; column++)
        all[offsetOf(form, group, row, column)] = inputs[group * form.columns + column]!
  return all
}
