// The update: from flat weights, gradient and optimizer state to the next ones, written into any graph.
import { select } from '../base/selectors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value, ValueType } from '../onnx/graph.ts'
import { tensorOf } from '../onnx/tensor.ts'
import type { Slot } from './flat.ts'
import type { Tracked } from './masking.ts'
import { isMatrix, optimizerOf } from './optimizers.ts'
import type { OptimizerOptions } from './options.ts'
import type { Layer } from './prepare.ts'

/** What the update is made of. */
export interface UpdateOptions {
  readonly optimizer: OptimizerOptions
  /** Largest norm of the whole gradient. */
  readonly clip?: number | undefined
  /** By initializer: 1 where a weight learns, 0 where it stays as it is. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
  /** Lets the masks change between updates, and says what is kept for who decides; undefined where they never do. */
  readonly tracks?: readonly Tracked[] | undefined
  /** Factors of the learning rate by selector of layers. */
  readonly rates?: Readonly<Record<string, number>> | undefined
  /** Batches whose gradients are added up before an update; 1 unless told. */
  readonly accumulate?: number | undefined
  /** Decay of the moving average of the weights, 0..1; undefined where none is kept. */
  readonly average?: number | undefined
}

/** The scalars of update 1, 2, … at a learning rate, in the order of the inputs `hyper0`, `hyper1`, …. */
export function hyperOf(options: UpdateOptions, update: number, rate: number): readonly number[] {
  const { optimizer, average } = options
  const own = optimizerOf(optimizer).hyper(update, rate, optimizer)
  // The average starts as a plain mean, so that the first weights are soon forgotten.
  return average === undefined ? own : [...own, 1 - Math.min(average, (1 + update) / (10 + update))]
}

/** The vectors that an update changes besides the weights, as they are before the first. */
export function updateState(options: UpdateOptions, weights: Float32Array) {
  const { optimizer, average, tracks = [] } = options
  const zeros = [
    ...optimizerOf(optimizer).state.map((_, index) => `state${index}`),
    ...tracks.map(trackedName),
  ]
  const state = zeros.map((name) => [name, new Float32Array(weights.length)] as const)
  return Object.fromEntries(
    average === undefined ? state : [...state, ['average', weights.slice()] as const],
  )
}

/** What a tracked vector is called; `gradient` is what an update may be fed. */
const trackedName = (tracked: Tracked): string => `tracked_${tracked}`

/** The vectors that an update reads and leaves as they are, as they are before the first. */
export const heldState = ({ masks, tracks }: UpdateOptions, slots: readonly Slot[]) => ({
  ...(tracks && { mask: flatMask(slots, masks) }),
  // What dead weights were when they died.
  ...(tracks?.includes('movement') && { dead: new Float32Array(lengthOf(slots)) }),
})

/**
 * Lets masks hold for vectors of an update, in place: what is dead has no weight, no momentum and no average.
 *
 * What comes back to life does so at zero; where the movement of dead weights is tracked, at what it was when it died.
 */
export function mask(vectors: Readonly<Record<string, Float32Array>>, flags: Float32Array): void {
  const { weights, average, dead, mask: before } = vectors
  for (const [at, flag] of flags.entries()) {
    if (!dead || flag === before![at]) continue
    if (flag === 0) dead[at] = weights![at]!
    else {
      for (const vector of [weights, average]) if (vector) vector[at] = dead[at]!
      dead[at] = 0
    }
  }
  before!.set(flags)
  for (const [name, vector] of Object.entries(vectors))
    if (/^(weights|average|state\d+)$/.test(name))
      for (const [at, flag] of flags.entries()) if (flag === 0) vector[at] = 0
}

/**
 * Writes the update of `weights` by `gradient`, both flat, with its inputs and outputs: `state0` …, `hyper0` …,
 * `average`, what is tracked, and the same with `_next`; `mask` where masks change, `dead` where movement is tracked.
 *
 * `rates` and `decays` speak of layers, so `factors` are made of the model's own graph (see {@link rateFactors}).
 */
export function writeUpdate(
  g: Builder,
  weights: Value,
  sum: Value,
  slots: readonly Slot[],
  factors: Float32Array | undefined,
  options: UpdateOptions,
): void {
  const { optimizer: optimizerOptions, clip, masks, tracks, accumulate = 1, average } = options
  const optimizer = optimizerOf(optimizerOptions)
  const length = lengthOf(slots)
  const vector = { dtype: 'float32', shape: [length] } as const
  const scalar = { dtype: 'float32', shape: [] } as const
  const state = optimizer.state.map((_, index) => g.input(`state${index}`, vector))
  const hyper = hyperOf(options, 1, 1).map((_, index) => g.input(`hyper${index}`, scalar))

  let gradient = accumulate === 1 ? sum : g.Mul(sum, 1 / accumulate)
  for (const tracked of tracks ?? []) writeTracked(g, tracked, weights, gradient, vector)
  const mask = tracks
    ? g.input('mask', vector)
    : masks?.size
      ? g.constant(tensorOf('float32', [length], flatMask(slots, masks)), 'mask')
      : undefined
  if (mask) gradient = g.Mul(gradient, mask)
  if (clip !== undefined) gradient = clipNorm(g, gradient, clip)
  const matrices = g.constant(tensorOf('float32', [length], decayed(slots)), 'decays')
  // What stays as it is must not decay either.
  const decays = mask ? g.Mul(matrices, mask) : matrices
  const rates = factors && g.constant(tensorOf('float32', [length], factors), 'rates')
  const next = optimizer.update(
    g,
    { weights, gradient, state, decays, hyper, slots, rates },
    optimizerOptions,
  )
  g.output('weights_next', next.weights)
  for (const [index, value] of next.state.entries()) g.output(`state${index}_next`, value)
  if (average === undefined) return
  // a ← a + (1 - d)(w - a) (Polyak and Juditsky 1992, with exponential weights)
  const before = g.input('average', vector)
  const moved = g.Mul(g.Sub(next.weights, before), hyper.at(-1)!)
  g.output('average_next', g.Add(before, moved))
}

/** Factors of the learning rate by weight; undefined where all are 1. A selector without a layer is an error. */
export function rateFactors(
  layers: readonly Layer[],
  weights: readonly Value[],
  slots: readonly Slot[],
  rates: Readonly<Record<string, number>> = {},
): Float32Array | undefined {
  if (Object.keys(rates).length === 0) return undefined
  const factors = new Float32Array(lengthOf(slots)).fill(1)
  for (const [selector, factor] of Object.entries(rates))
    for (const { inputs } of select(layers, [selector], 'rates'))
      for (const [index, { offset, size }] of slots.entries())
        if (inputs.includes(weights[index])) factors.fill(factor, offset, offset + size)
  return factors
}

/** Scales the gradient so that its norm is at most `limit` (Pascanu et al. 2013, algorithm 1). */
function clipNorm(g: Builder, gradient: Value, limit: number): Value {
  const norm = g.Sqrt(g.ReduceSum(g.Mul(gradient, gradient), [0], { keepdims: 0 }))
  return g.Mul(gradient, g.Min(g.Div(limit, g.Add(norm, 1e-6)), 1))
}

/** 1 for matrices and kernels, 0 for biases, norms and other vectors. */
function decayed(slots: readonly Slot[]): Float32Array {
  const flags = new Float32Array(lengthOf(slots))
  for (const slot of slots) if (isMatrix(slot)) flags.fill(1, slot.offset, slot.offset + slot.size)
  return flags
}

/** Masks as one vector: 1 for what none is about. */
export function flatMask(
  slots: readonly Slot[],
  masks: ReadonlyMap<string, Float32Array> = new Map(),
): Float32Array {
  const flat = new Float32Array(lengthOf(slots)).fill(1)
  for (const { name, offset } of slots) flat.set(masks.get(name) ?? [], offset)
  return flat
}

/** Writes what becomes of a tracked vector. */
function writeTracked(
  g: Builder,
  tracked: Tracked,
  weights: Value,
  gradient: Value,
  type: ValueType,
): void {
  const name = trackedName(tracked)
  const before = g.input(name, type)
  const next = {
    gradient: () => gradient,
    // Sanh et al. 2020, equation 3: what moves away from zero counts, of dead weights what would
    movement: () => g.Sub(before, g.Mul(g.Add(weights, g.input('dead', type)), gradient)),
  }
  g.output(`${name}_next`, next[tracked]())
}

const lengthOf = (slots: readonly Slot[]): number =>
  slots.reduce((length, { size }) => length + size, 0)
