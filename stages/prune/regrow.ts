// Prune, retrain, regrow: dead weights may come back while the model learns, and as many living ones die.
import type { Model } from '../../onnx/graph.ts'
import type { Masking } from '../../train/masking.ts'
import type { StageContext } from '../stage.ts'
import type { PruneOptions } from './options.ts'
import { isTime, type RegrowOptions, timesOf } from './schedule.ts'
import type { Units } from './structures/mask.ts'
import { smallestElements, unitScores } from './structures/units.ts'
import { maskable } from './weights.ts'

/**
 * Moves the living weights of each layer as RigL does (Evci et al. 2020, algorithm 1): a share of them, which falls
 * from α along half a cosine, with the smallest magnitudes dies, and as many with the largest gradients come to life
 * at zero. One that has just died and comes back keeps its value. Blocks go by the means of their elements.
 */
export function regrowMasking(
  model: Model,
  { share, end, every }: RegrowOptions,
  options: PruneOptions,
  context: StageContext,
): Masking {
  const subject = maskable(model, options, { ...context, log: () => undefined })
  const weights = subject.weights.map(({ layer, matrices }) => {
    const size = layer.weight.tensor!.dims.reduce((product, dim) => product * dim, 1)
    const units = subject.structure.units?.(matrices, size)
    if (!units) throw new Error(`internal: structure '${options.structure}' has no units to regrow`)
    return { name: layer.weight.name, units }
  })
  const times = (updates: number) => timesOf({ end, every }, updates)
  return {
    tracks: ['gradient'],
    names: weights.map(({ name }) => name),
    // Before the first update there is no gradient.
    due: (update, updates) => update > 0 && isTime(times(updates), update),
    // How many weights are zero is settled from the start.
    settled: () => -1,
    decide({ update, updates, weights: values, masks, gradients }) {
      const { last } = times(updates)
      const fraction = (share / 2) * (1 + Math.cos((Math.PI * update) / last))
      return new Map(
        weights.map(({ name, units }) => {
          const [value, gradient] = [values.get(name), gradients?.get(name)]
          const mask = masks.get(name)
          if (!value || !gradient || !mask) throw new Error(`internal: '${name}' is not trained`)
          return [name, moved({ units, value, gradient, mask }, fraction)]
        }),
      )
    },
  }
}

/** One weight at the time of a move. */
interface Moving {
  readonly units: Units
  readonly value: Float32Array
  readonly gradient: Float32Array
  readonly mask: Float32Array
}

/** The mask after a share of the living units has moved. */
function moved({ units, value, gradient, mask }: Moving, fraction: number): Float32Array {
  const living = new Uint8Array(units.count)
  for (const [element, flag] of mask.entries()) if (flag !== 0) living[units.of(element)] = 1
  const all = Array.from({ length: units.count }, (_, unit) => unit)
  const alive = all.filter((unit) => living[unit])
  const count = Math.floor(fraction * alive.length)
  const sizes = unitScores(value.map(Math.abs), units).scores
  for (const unit of smallestElements(alive, sizes, count)) living[unit] = 0
  // The largest first.
  const slopes = unitScores(
    gradient.map((slope) => -Math.abs(slope)),
    units,
  ).scores
  const free = all.filter((unit) => !living[unit])
  for (const unit of smallestElements(free, slopes, count)) living[unit] = 1
  return mask.map((_, element) => living[units.of(element)]!)
}
