// Reconstruction: what is left of a layer is fitted, by least squares, to what the whole layer gave out. Layers are taken
// from the front of the model on, each with the inputs that it really gets now, so that errors do not add up.
import { pick } from '../../base/samples.ts'
import type { Cuts } from '../../channels/cut.ts'
import { constantOf, type Model, type Value } from '../../onnx/graph.ts'
import { sideBySide } from '../../onnx/passes/merge.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { percent } from '../shares.ts'
import type { StageContext } from '../stage.ts'
import { samplesOf, sumsOver } from '../sums.ts'
import { type MatrixLayer, matrixLayersOf, offsetOf } from './matrix-layers.ts'
import type { Masks } from './pruned.ts'
import { costOfFitting, errorOf, fitted, type Normal, swept } from './systems.ts'

/** What a reconstruction did to one layer: squared errors of its outputs, as shares of their squares. */
export interface Reconstruction {
  readonly name: string
  readonly before: number
  readonly after: number
}

/**
 * Fits the layers that take channels which were cut, in place, to their outputs in the original model (He et al. 2017,
 * equation 3).
 *
 * `pruned` is what `cutChannels` left of a prepared copy, with the interface of the original; the cuts are those that
 * were made. A bias that a layer has of its own is fitted as well.
 */
export function reconstructChannels(
  pruned: Model,
  original: Model,
  cuts: Cuts,
  samples: number,
  context: StageContext,
): Promise<Reconstruction[]> {
  const removed = (weight: Value, axis: number): ReadonlySet<number> => {
    const found = new Set<number>()
    for (const [{ parts }, channels] of cuts)
      for (const { place, indices } of parts)
        if (place.value === weight && place.axis === axis)
          for (const channel of channels) for (const index of indices[channel]!) found.add(index)
    return found
  }
  return reconstruct(pruned, original, samples, context, (layer) => {
    const { weight, axes } = layer
    return removed(weight, axes.in).size === 0 ? undefined : { gone: removed(weight, axes.out) }
  })
}

/**
 * Fits the weights of masked layers that live, in place, to the outputs of the layers in the original model: exactly
 * where that is not too much work, else column after column as SparseGPT does (Frantar and Alistarh 2023).
 */
export const reconstructWeights = (
  pruned: Model,
  original: Model,
  masks: Masks,
  samples: number,
  context: StageContext,
): Promise<Reconstruction[]> =>
  reconstruct(pruned, original, samples, context, ({ weight }) => {
    const mask = masks.get(weight.name)
    return mask?.includes(0) ? { gone: new Set(), mask } : undefined
  })

/** What there is to know of a layer that is to be fitted. */
interface Task {
  /** The outputs of the whole layer that are cut. */
  readonly gone: ReadonlySet<number>
  /** Which elements of the weight may be other than zero. */
  readonly mask?: Float32Array
}

async function reconstruct(
  pruned: Model,
  original: Model,
  samples: number,
  context: StageContext,
  taskOf: (layer: MatrixLayer) => Task | undefined,
): Promise<Reconstruction[]> {
  // Where a cut has put another node in the place of a layer's, there is nothing to fit to.
  const made = new Set(original.graph.nodes.map(({ outputs }) => outputs[0]?.name))
  const all = matrixLayersOf(pruned.graph).filter(({ node }) => made.has(node.output().name))
  const tasks = all.flatMap((layer) => {
    const task = taskOf(layer)
    return task ? [{ layer, task }] : []
  })
  const found: Reconstruction[] = []
  for (const weight of new Set(tasks.map(({ layer }) => layer.weight))) {
    const own = tasks.filter(({ layer }) => layer.weight === weight)
    const [first] = own
    const layers = own.map(({ layer }) => layer)
    // One weight cannot be fitted beside several biases.
    if (layers.length > 1 && layers.some(({ bias }) => bias !== undefined)) continue
    const measured = await measure(pruned, original, layers, first!.task, { samples, context })
    const done = fitLayer(first!.layer, measured, first!.task.mask)
    const { name } = first!.layer
    found.push({ name, ...done })
    context.log(
      `${name}: error of its outputs ${percent(done.before, 2)} → ${percent(done.after, 2)}`,
    )
  }
  return found
}

/** Statistics of two parts of the samples: one to fit to, one to see how well that holds. */
interface Measured {
  readonly fitting: readonly Normal[]
  readonly checking: readonly Normal[]
}

/** One sample of so many is for checking. */
const checkedOf = 4

/** Runs both models side by side; gives the statistics of each group of the layers, with a one for a bias as last input. */
async function measure(
  pruned: Model,
  original: Model,
  layers: readonly MatrixLayer[],
  { gone }: Task,
  evidence: { readonly samples: number; readonly context: StageContext },
): Promise<Measured> {
  const [{ bias, form }] = layers as readonly [MatrixLayer]
  const { groups, rows, columns } = form
  const whole = rows + gone.size / groups
  const kept = Array.from({ length: whole * groups }, (_, at) => at).filter((at) => !gone.has(at))
  const both = sideBySide(pruned, [original])
  const samples = samplesOf(evidence)
  const width = columns + (bias === undefined ? 0 : 1)
  // A model of a fixed batch needs as many for checking.
  const batch = Math.max(...pruned.graph.feeds.map(({ type }) => Number(type?.shape?.[0]) || 1))
  const isChecked = samples.size >= checkedOf * batch
  const checks = (index: number) => isChecked && index % checkedOf === checkedOf - 1
  const part = async (wanted: (index: number) => boolean): Promise<Normal[]> => {
    const indices = Array.from({ length: samples.size }, (_, at) => at).filter(wanted)
    if (indices.length === 0) return []
    const sums = await sumsOver(
      both,
      (g, named) => {
        const parts = layers.map((layer) => {
          const { node } = layer
          const x = layer.features(g, named(node.input(layer.data).name))
          const y = layer.results(g, named(`peer1/${node.output().name}`), whole)
          const one = g.Add(g.Mul(g.Slice(x, [0], [1], [2]), 0), 1)
          const inputs = bias === undefined ? x : g.Concat(x, one, { axis: 2 })
          const upright = g.Transpose(inputs, { perm: [0, 2, 1] })
          return [
            g.MatMul(upright, inputs),
            g.MatMul(upright, y),
            g.ReduceSum(g.Mul(y, y), [1], { keepdims: 0 }),
          ]
        })
        return [0, 1, 2].map((at) => parts.map((own) => own[at]!).reduce((a, b) => g.Add(a, b)))
      },
      { samples: pick(samples, indices), context: evidence.context },
    )
    const [inputs, cross, energies] = sums as [Float64Array, Float64Array, Float64Array]
    return Array.from({ length: groups }, (_, group) => {
      const own = kept.flatMap((at) =>
        Math.floor(at / whole) === group ? [at - group * whole] : [],
      )
      const taken = new Float64Array(width * own.length)
      for (let at = 0; at < width; at++)
        for (const [row, from] of own.entries())
          taken[at * own.length + row] = cross[(group * width + at) * whole + from]!
      return {
        columns: width,
        rows: own.length,
        inputs: inputs.slice(group * width ** 2, (group + 1) * width ** 2),
        cross: taken,
        energies: Float64Array.from(own, (from) => energies[group * whole + from]!),
      }
    })
  }
  return {
    fitting: await part((index) => !checks(index)),
    checking: await part(checks),
  }
}

/** How strongly weights are held where they are: the one is taken that does best on samples that were not fitted to. */
const ridges = [1e-6, 1e-4, 1e-2, 1e-1]

/** Multiplications that an exact fit may take: beyond, one ridge has to do, and masked weights are swept. */
const bearable = 2e9

/** Fits one layer and writes its weight and bias; gives the errors over all samples before and after. */
function fitLayer(
  { form, weight, node, bias }: MatrixLayer,
  { fitting, checking }: Measured,
  mask: Float32Array | undefined,
): { readonly before: number; readonly after: number } {
  const { groups, rows, columns } = form
  const shift = bias === undefined ? undefined : node.input(bias)
  const isOwn = shift?.users.size === 1 && shift.tensor !== undefined
  const width = columns + (shift ? 1 : 0)
  const weights = elements(weight.tensor!, 'float32').slice()
  const shifts = shift && elements(constantOf(shift)!, 'float32').slice()
  // A bias that others use as well counts, and stays.
  const alive =
    mask || (shift && !isOwn)
      ? Uint8Array.from({ length: rows * width }, (_, at) =>
          at % width < columns || isOwn ? 1 : 0,
        )
      : undefined
  let [before, after, energy] = [0, 0, 0]
  for (let group = 0; group < groups; group++) {
    const matrix = new Float64Array(rows * width)
    const places = (use: (at: number, offset: number) => void) => {
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          use(row * width + column, offsetOf(form, group, row, column))
    }
    places((at, offset) => {
      matrix[at] = weights[offset]!
      if (alive && mask) alive[at] = mask[offset] ? 1 : 0
    })
    if (shifts)
      for (let row = 0; row < rows; row++)
        matrix[row * width + columns] = shifts[group * rows + row]!
    const [fit, check] = [fitting[group]!, checking[group]]
    const all = check ? together(fit, check) : fit
    const isLarge = costOfFitting(width, rows, alive) > bearable
    const solve = (normal: Normal, ridge: number) =>
      isLarge && mask && alive
        ? swept(normal, matrix, ridge, alive)
        : fitted(normal, matrix, ridge, alive)
    const ridge = bestRidge(fit, check, matrix, solve, isLarge)
    const result = ridge === undefined ? matrix : solve(all, ridge)
    before += errorOf(all, matrix)
    after += errorOf(all, result)
    energy += all.energies.reduce((sum, own) => sum + own, 0)
    places((at, offset) => {
      weights[offset] = result[at]!
    })
    if (shifts)
      for (let row = 0; row < rows; row++)
        shifts[group * rows + row] = result[row * width + columns]!
  }
  weight.tensor = tensorOf('float32', weight.tensor!.dims, weights)
  if (isOwn) shift.tensor = tensorOf('float32', shift.tensor!.dims, shifts!)
  const unit = energy > 0 ? energy : 1
  return { before: before / unit, after: after / unit }
}

/** The ridge that serves samples best that were not fitted to; undefined where none does better than no change. */
function bestRidge(
  fit: Normal,
  check: Normal | undefined,
  weights: Float64Array,
  solve: (normal: Normal, ridge: number) => Float64Array,
  isLarge: boolean,
): number | undefined {
  if (!check) return ridges[2]
  let [best, least]: [number | undefined, number] = [undefined, errorOf(check, weights)]
  // Where each costs much, the one that is known to do.
  for (const ridge of isLarge ? ridges.slice(2, 3) : ridges) {
    const error = errorOf(check, solve(fit, ridge))
    if (error < least) [best, least] = [ridge, error]
  }
  return best
}

const together = (one: Normal, other: Normal): Normal => ({
  ...one,
  inputs: one.inputs.map((value, at) => value + other.inputs[at]!),
  cross: one.cross.map((value, at) => value + other.cross[at]!),
  energies: one.energies.map((value, at) => value + other.energies[at]!),
})
