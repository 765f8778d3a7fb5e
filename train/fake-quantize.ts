// Fake quantization: rounding to the steps of an integer type in float, written into a model as ordinary operators, so that
// a training sees what quantization will do (Jacob et al. 2018, section 3.1).
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { elements, type Tensor, tensorOf } from '../onnx/tensor.ts'
import type { Scheduled } from './scheduled.ts'

/** How a parameter of a quantization learns. */
export interface QuantizerParameter {
  /** Its gradient is multiplied with this: LSQ's 1 / √(elements · highest level), Esser et al. 2020, section 2.2. */
  readonly gradientScale: number
  /** λ of its L2 penalty: 2λ times its value is added to the gradient (Choi et al. 2018, section 3). */
  readonly decay: number
  /** What it is like at first; optimizers whose updates have a size of their own scale them by it. */
  readonly size: number
}

/** A range that follows a value: r ← m·r + (1 - m)·[min, max] of the batch. */
export interface Observer {
  /** The value that it follows. */
  readonly value: string
  /** The initializer `[2]` that holds minimum and maximum. */
  readonly range: string
}

/** What fake quantizations ask of the training of the model that they were written into; names of its values. */
export interface Quantizers {
  /** Outputs whose gradient goes to the first input of their operator as it is (Bengio et al. 2013, section 4). */
  readonly straight: readonly string[]
  /** Values through which no gradient passes. */
  readonly detached: readonly string[]
  /** Initializers that learn, however small they are. */
  readonly parameters: ReadonlyMap<string, QuantizerParameter>
  /** Initializers that stay. */
  readonly fixed: readonly string[]
  readonly observers: readonly Observer[]
  /** What an observer keeps of its range in a step, 0..1; 1 freezes it. */
  readonly momentum: Scheduled
}

/** Collects what the quantizations of a model ask for. */
export interface QuantizerNotes {
  readonly straight: string[]
  readonly detached: string[]
  readonly parameters: Map<string, QuantizerParameter>
  readonly fixed: string[]
  readonly observers: Observer[]
}

/** Notes of nothing yet. */
export const quantizerNotes = (): QuantizerNotes => ({
  straight: [],
  detached: [],
  parameters: new Map(),
  fixed: [],
  observers: [],
})

/** A value that went through a quantization, and how. */
export interface FakeQuantized {
  readonly output: Value
  /** What a step is worth: a scalar, or one number a channel. */
  readonly scale: Value
  /** The steps of 0, counted from the lowest level; undefined where it is constant. */
  readonly zero: Value | undefined
  /** The whole numbers of steps from zero. */
  readonly levels: Value
}

/** The levels of a quantization, counted from the one that means 0. */
export interface Levels {
  readonly lowest: number
  readonly highest: number
}

/** Where the numbers of a quantization lie over the value: channels along an axis, or all alike. */
export interface Spread {
  readonly dims: readonly number[]
  readonly axis: number | undefined
}

/** Below this a step is not worth dividing by: the smallest normal float32. */
const smallest = 2 ** -126

/** Where quantizations are written, and what is noted of them. */
export interface Writing {
  readonly g: Builder
  readonly notes: QuantizerNotes
  /** Of the model that they are written into, at least 13. */
  readonly opset: number
}

const straight = ({ notes }: Writing, value: Value): Value => {
  notes.straight.push(value.name)
  return value
}

const detached = ({ notes }: Writing, value: Value): Value => {
  notes.detached.push(value.name)
  return value
}

/** Numbers of channels in a shape that broadcasts over the value. */
const column = ({ g }: Writing, value: Value, { dims, axis }: Spread): Value =>
  axis === undefined
    ? value
    : g.Reshape(
        value,
        dims.map((dim, index) => (index === axis ? dim : 1)),
      )

/** All axes but that of the channels. */
const otherAxes = ({ dims, axis }: Spread): number[] =>
  [...dims.keys()].filter((index) => index !== axis)

/** Since this opset ReduceMax and ReduceMean take their axes as an input. */
const axesAsInput = 18

/** Reduces all but the channels. */
function overChannels(
  { g, opset }: Writing,
  opType: 'ReduceMax' | 'ReduceMean' | 'ReduceSum',
  value: Value,
  spread: Spread,
): Value {
  const axes = otherAxes(spread)
  // A vector of channels has nothing to reduce.
  if (axes.length === 0) return value
  return opType === 'ReduceSum' || opset >= axesAsInput
    ? g[opType](value, axes, { keepdims: 0 })
    : g[opType](value, { axes, keepdims: 0 })
}

/**
 * Learned step size: y = s · round(clip(x / s, lowest, highest)) (Esser et al. 2020, equations 1 and 2).
 *
 * The gradients follow from those of the operators, with the rounding passed straight: equation 3, round(x/s) - x/s
 * inside of the bounds and the bound outside. `sharing` elements share a step.
 */
export function learnedSteps(
  writing: Writing,
  x: Value,
  { lowest, highest }: Levels,
  { name, initial, sharing }: { name: string; initial: Tensor; sharing: number },
  spread: Spread,
): FakeQuantized {
  const { g, notes } = writing
  const parameter = g.graph.addInitializer(name, initial)
  const sizes = elements(initial, 'float32')
  notes.parameters.set(parameter.name, {
    gradientScale: 1 / Math.sqrt(sharing * Math.max(1, highest)),
    decay: 0,
    size: sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
  })
  // A step that has learned its way below zero is as good as its mirror image.
  const scale = g.Abs(parameter)
  const own = column(writing, scale, spread)
  const levels = straight(writing, g.Round(g.Clip(g.Div(x, own), lowest, highest)))
  return { output: g.Mul(levels, own), scale, zero: undefined, levels }
}

/**
 * Learned clipping of what is not below zero: min(x, α) in steps of α / highest (Choi et al. 2018, equations 1–3).
 *
 * The gradient by α is that of everything that is clipped, plus 2λα.
 */
export function learnedClipping(
  writing: Writing,
  x: Value,
  highest: number,
  { name, initial, decay }: { name: string; initial: number; decay: number },
): FakeQuantized {
  const { g, notes } = writing
  const parameter = g.graph.addInitializer(name, tensorOf('float32', [], [initial]))
  notes.parameters.set(parameter.name, { gradientScale: 1, decay, size: initial })
  const bound = g.Abs(parameter)
  const scale = detached(writing, g.Div(bound, highest))
  const levels = straight(writing, g.Round(g.Div(g.Min(g.Relu(x), bound), scale)))
  return { output: g.Mul(levels, scale), scale, zero: undefined, levels }
}

/** Steps by the largest magnitude of each channel as it is now; nothing is clipped. */
export function largestSteps(
  writing: Writing,
  x: Value,
  highest: number,
  spread: Spread,
): FakeQuantized {
  const { g } = writing
  const largest = overChannels(writing, 'ReduceMax', g.Abs(x), spread)
  const scale = detached(writing, g.Max(g.Div(largest, highest), smallest))
  const own = column(writing, scale, spread)
  const levels = straight(writing, g.Round(g.Div(x, own)))
  return { output: g.Mul(levels, own), scale, zero: undefined, levels }
}

/**
 * Ternary weights: ±α beyond the threshold 0.7 · mean |w|, else 0; α is the mean of what is beyond (Li et al. 2016,
 * equations 5 and 6). The gradient passes straight.
 */
export function ternary(writing: Writing, x: Value, spread: Spread): FakeQuantized {
  const { g } = writing
  const size = g.Abs(x)
  const threshold = g.Max(g.Mul(overChannels(writing, 'ReduceMean', size, spread), 0.7), smallest)
  const within = column(writing, detached(writing, g.Mul(threshold, 2)), spread)
  const rounded = straight(writing, g.Round(straight(writing, g.Div(x, within))))
  const levels = straight(writing, g.Clip(rounded, -1, 1))
  const chosen = g.Abs(levels)
  const sum = overChannels(writing, 'ReduceSum', g.Mul(size, chosen), spread)
  const count = g.Max(overChannels(writing, 'ReduceSum', chosen, spread), 1)
  const scale = detached(writing, g.Max(g.Div(sum, count), smallest))
  const output = straight(writing, g.Mul(levels, column(writing, scale, spread)))
  return { output, scale, zero: undefined, levels }
}

/**
 * Levels 0..highest over a range that an observer follows; 0 is one of them.
 *
 * The gradient passes where the levels are not cut off. With a `middle` 0 is that level, and the range is taken to
 * reach as far on both sides.
 */
export function observedSteps(
  writing: Writing,
  x: Value,
  highest: number,
  {
    name,
    initial,
    middle,
  }: { name: string; initial: readonly [number, number]; middle: number | undefined },
): FakeQuantized {
  const { g, notes } = writing
  const range = g.graph.addInitializer(name, tensorOf('float32', [2], initial))
  notes.observers.push({ value: x.name, range: range.name })
  const ends = [0, 1].map((place) => g.Reshape(g.Slice(range, [place], [place + 1], [0]), []))
  const [min, max] = [g.Min(ends[0]!, 0), g.Max(ends[1]!, 0)]
  const extent = middle === undefined ? g.Sub(max, min) : g.Mul(g.Max(max, g.Neg(min)), 2)
  const scale = detached(writing, g.Max(g.Div(extent, highest), smallest))
  const zero =
    middle === undefined
      ? detached(writing, g.Clip(g.Round(g.Div(g.Neg(min), scale)), 0, highest))
      : undefined
  const offset = zero ?? middle!
  const steps = g.Add(straight(writing, g.Round(g.Div(x, scale))), offset)
  // A quarter beyond the ends, so that these themselves still learn; rounding takes it away.
  const within = straight(writing, g.Round(g.Clip(steps, -0.25, highest + 0.25)))
  const levels = g.Sub(within, offset)
  return { output: g.Mul(levels, scale), scale, zero, levels }
}

/** Rounds to the steps of another value, inside of whose range this one lies. */
export function sameSteps(writing: Writing, x: Value, scale: Value): FakeQuantized {
  const { g } = writing
  const levels = straight(writing, g.Round(g.Div(x, scale)))
  return { output: g.Mul(levels, scale), scale, zero: undefined, levels }
}
