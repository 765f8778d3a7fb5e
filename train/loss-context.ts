// What losses are made of: the student's outputs and tapped values, what is fed to compare them with, and what a loss
// may add of its own: weights, memory, random numbers, a second pass.
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Builder } from '../onnx/build.ts'
import { copyNodes } from '../onnx/clone.ts'
import { withoutClosing } from '../onnx/closing.ts'
import type { Value } from '../onnx/graph.ts'
import { sizeOf, tensorOf } from '../onnx/tensor.ts'
import { type Agreement, type ConnectorOptions, connect, settled } from './connectors.ts'
import { shapeOf } from './rule.ts'
import type { Scheduled } from './scheduled.ts'
import { isSignal, signalAsImage } from './signals.ts'
import type { TapNames, TaughtValue } from './taps.ts'
import type { DropoutMask } from './training-form.ts'

/** What a tap compares: the shapes agree as far as the loss asked for. */
export interface TapPair {
  /** As the teacher gives it. */
  readonly teacher: Value
  /** Behind the connector. */
  readonly student: Value
  /** The student's name of the value. */
  readonly name: string
}

/** How random numbers that are fed at every step are drawn. */
export type Draw =
  | { readonly kind: 'normal' }
  | { readonly kind: 'uniform' }
  /** Whole numbers 0 … below-1, as int64. */
  | { readonly kind: 'integer'; readonly below: number }
  /** 0 with probability `ratio`, else 1 / (1 - ratio). */
  | { readonly kind: 'dropout'; readonly ratio: number }

/** What a learned tensor of a loss begins with: one number everywhere, or normal noise of a deviation. */
export type Initial = number | { readonly normal: number }

/** What a loss may look at. What is to be fed becomes an input of the graph when a loss asks for it. */
export interface LossContext {
  readonly batch: number
  /** So many consecutive samples belong together; 1 where each is by itself. */
  readonly group: number
  /** How many samples the training has; what `indices` are below. */
  readonly samples: number
  /** What errors call the model. */
  readonly where: string
  /** The model's inputs. */
  readonly inputs: readonly Value[]
  /** The student's outputs, in their own shapes; the first are the logits. */
  readonly outputs: readonly Value[]
  /** The logits of classes that exclude each other: `[batch, classes]`, or `[batch · positions, classes]`. */
  readonly logits: () => Value
  /** For how many positions of a sample there are logits; 1 for a sample as a whole. */
  readonly positions: () => number
  /** The first output as `[batch, width]`. */
  readonly predictions: () => Value
  /** The same before a closing Sigmoid, whose probabilities these are the logits of. */
  readonly binaryLogits: () => Value
  /** Labels as one-hot rows or mixtures of them, of the shape of the logits; zeros where a label does not count. */
  readonly targets: () => Value
  /** True where a loss of this training compares with the labels, so that they are fed. */
  readonly labelled: boolean
  /** True where some samples have no label. */
  readonly unlabelled: boolean
  /** The target values, `[batch, width]`: as wide as the first output unless told. */
  readonly values: (width?: number) => Value
  /** What the teacher says for an output, of its shape; before a closing Softmax. */
  readonly teacher: (output: number) => Value
  /** The gradient of the teacher's largest logit by its first float input, of the input's shape. */
  readonly teacherGradient: () => Value
  /** The model's first float32 input, `[batch, width]`, which must be as wide as the first output. */
  readonly input: () => Value
  /** How much each class counts; undefined where all count alike. */
  readonly classWeights?: readonly number[] | undefined
  /**
   * How much each row of logits counts, `[rows, 1]` with mean 1, where hard examples count more; no gradient passes.
   */
  readonly importance: () => Value | undefined

  /** What the taps of a loss name, made to agree by its connector; `name` tells the losses' connectors apart. */
  readonly pairs: (
    options: { readonly taps: 'auto' | readonly TapNames[]; readonly connector: ConnectorOptions },
    agreement: Agreement,
    name: string,
  ) => readonly TapPair[]
  /** The student's values that taps name. */
  readonly tapped: (taps: 'auto' | readonly string[]) => readonly Value[]

  /** A number that may change: itself, or a scalar that is fed. */
  readonly number: (number: Scheduled) => Value | number
  /** A weight of the loss's own, learned and thrown away; the name tells it from the others of this training. */
  readonly parameter: (name: string, shape: readonly number[], initial: Initial) => Value
  /** Memory from step to step, `initial` at first: what it holds, and a way to say what it holds next. */
  readonly memory: (
    name: string,
    shape: readonly number[],
    initial: Initial,
  ) => { readonly value: Value; readonly next: (value: Value) => void }
  /** Random numbers, drawn anew at every step by seed and step; int64 for integers, else float32. */
  readonly drawn: (shape: readonly number[], draw: Draw) => Value
  /** The position of each sample in the training data, int64 `[batch]`. */
  readonly indices: () => Value
  /** The same value, through which no gradient passes. */
  readonly detach: (value: Value) => Value
  /**
   * A second pass through the student with other inputs (by the first pass's) and the same weights: what it gives for
   * these values. Running statistics are kept by the first pass alone; what Dropout drops is drawn anew.
   */
  readonly again: (inputs: ReadonlyMap<Value, Value>, values: readonly Value[]) => readonly Value[]
  /** The gradient of a scalar by a value of the graph; it can be differentiated once more. */
  readonly gradient: (scalar: Value, by: Value) => Promise<Value>
}

/** A scalar that is fed at every step. */
export interface FedNumber {
  readonly input: Value
  readonly number: Scheduled
}

/** Random numbers that are fed at every step. */
export interface FedDraw {
  readonly input: Value
  readonly draw: Draw
}

/** Memory of a loss, in the order of the inputs `memory0`, `memory1`, …. */
export interface Memory {
  readonly input: Value
  readonly initial: Float32Array
  /** What it holds after the step. */
  next: Value | undefined
}

/** What a training feeds besides the model's own inputs, by the name of the graph input. */
export interface LossInputs {
  readonly targets: Value | undefined
  readonly values: Value | undefined
  readonly indices: Value | undefined
  /** By the place in what the teacher answers: its outputs, its tapped values, its gradient. */
  readonly teacher: ReadonlyMap<number, Value>
  readonly numbers: readonly FedNumber[]
  readonly draws: readonly FedDraw[]
}

/** Everything that losses asked for. */
export interface LossParts {
  readonly inputs: LossInputs
  readonly parameters: readonly Value[]
  readonly memories: readonly Memory[]
  /** Values through which no gradient passes. */
  readonly detached: ReadonlySet<Value>
}

/** Which rows count more: those that the teacher or the student itself is not sure of. */
export interface Focus {
  readonly by: 'teacher' | 'student'
  /** The power of 1 - p, p the probability of the label (without labels: the largest one); 0 or more. */
  readonly power: number
}

/** What losses need to know of the data and the teacher. */
export interface LossFacts {
  readonly batch: number
  /** Needed by losses on classes alone; 0 where there are none. */
  readonly classes?: number | undefined
  /** How many target values a sample has, where that is known. */
  readonly targetWidth?: number | undefined
  /** So many consecutive samples of a batch belong together. */
  readonly group?: number | undefined
  readonly classWeights?: readonly number[] | undefined
  readonly labelled?: boolean
  readonly unlabelled?: boolean | undefined
  /** How many samples the training has. */
  readonly samples?: number | undefined
  /** What the teacher answers besides its outputs, which come first. */
  readonly taught?: Taught | undefined
  readonly focus?: Focus | undefined
  readonly seed?: number | undefined
  readonly where: string
}

/** What a teacher's answer holds: `outputs` arrays, then one a tapped value, then the gradient where it is there. */
export interface Taught {
  readonly outputs: number
  readonly taps: readonly TaughtValue[]
}

/** What of a model losses look at. */
export interface LossSubject {
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  /** The student's tapped values by the name that the model's file has for them. */
  readonly taps?: ReadonlyMap<string, Value>
  /** Gives the gradient of a scalar by a value, written behind the graph. */
  readonly gradient?: (scalar: Value, by: Value) => Promise<Value>
  /** The masks that are fed for what Dropout drops. */
  readonly dropout?: readonly Pick<DropoutMask, 'input' | 'ratio'>[]
}

/** What the names of a loss's own weights begin with. */
export const auxiliary = 'auxiliary/'

/** The context of a graph: adds the inputs that losses ask for, once each. */
export function lossContext(
  g: Builder,
  subject: LossSubject,
  facts: LossFacts,
): { context: LossContext; parts: () => LossParts } {
  const { batch, targetWidth, where, seed = 0, focus } = facts
  const { outputs, taps = new Map<string, Value>() } = subject
  const taught: Taught = facts.taught ?? { outputs: outputs.length, taps: [] }
  const first = outputs[0]!
  const before = [...g.graph.nodes]
  const teacher = new Map<number, Value>()
  const numbers = new Map<string, FedNumber>()
  const draws: FedDraw[] = []
  const parameters: Value[] = []
  const memories: Memory[] = []
  const detached = new Set<Value>()
  const rows = (value: Value, count: number): Value => {
    const shape = [count, sizeOf(shapeOf(value)) / count]
    const flat = shapeOf(value).length === 2 && shapeOf(value)[0] === count
    const made = flat ? value : g.Reshape(value, shape)
    made.type ??= { dtype: 'float32', shape }
    return made
  }
  const width = () => sizeOf(shapeOf(first)) / batch
  const answer = (place: number, shape: readonly number[]): Value => {
    const known = teacher.get(place)
    if (known) return known
    const made = g.input(`teacher${place}`, { dtype: 'float32', shape })
    teacher.set(place, made)
    return made
  }
  const once = <Made>(make: () => Made) => {
    let made: { readonly it: Made } | undefined
    const get = () => {
      made ??= { it: make() }
      return made.it
    }
    return { get, made: () => made?.it }
  }
  const logits = once(() => rows(first, batch * context.positions()))
  const targets = once(() =>
    g.input('targets', { dtype: 'float32', shape: shapeOf(context.logits()) }),
  )
  const indices = once(() => g.input('indices', { dtype: 'int64', shape: [batch] }))
  const importance = once(() => focus && importanceOf(g, context, focus))
  let values: Value | undefined
  const tap = (name: string): Value => {
    const found = taps.get(name)
    if (!found) throw new Error(`internal: the student's '${name}' was not tapped`)
    return found
  }
  const comparable = (value: Value) => (isSignal(value) ? signalAsImage(g, value) : value)
  const context: LossContext = {
    batch,
    group: facts.group ?? 1,
    samples: facts.samples ?? batch,
    where,
    inputs: subject.inputs,
    outputs,
    classWeights: facts.classWeights,
    labelled: facts.labelled ?? false,
    unlabelled: facts.unlabelled ?? false,
    positions: () => positionsOf(first, facts),
    logits: logits.get,
    predictions: () => rows(first, batch),
    binaryLogits: () => rows(withoutClosing(g.graph, first, 'Sigmoid'), batch),
    targets: targets.get,
    values(wanted = width()) {
      if (wanted !== (targetWidth ?? wanted))
        throw new UserError(
          `${where}: the outputs do not fit the targets: output '${first.name}' [${shapeOf(first)}] needs ${counted(wanted)} a sample, the data has ${targetWidth} — use a model with ${targetWidth} outputs, or other data`,
        )
      if (values && shapeOf(values)[1] !== wanted)
        throw new UserError(
          `${where}: two losses want targets of different widths: ${shapeOf(values)[1]} and ${wanted} — use one of them`,
        )
      values ??= g.input('values', { dtype: 'float32', shape: [batch, wanted] })
      return values
    },
    teacher: (output) => answer(output, shapeOf(outputs[output]!)),
    teacherGradient: () =>
      answer(taught.outputs + taught.taps.length, shapeOf(floatInput(subject.inputs, where))),
    input() {
      const input = subject.inputs.find(({ type }) => type?.dtype === 'float32')
      if (!input || sizeOf(shapeOf(input)) !== batch * width())
        throw new UserError(
          `${where}: the output is not of the size of the input: '${first.name}' [${shapeOf(first)}], ${input ? `'${input.name}' [${shapeOf(input)}]` : 'no float32 input'} — a reconstruction needs an autoencoder`,
        )
      return rows(input, batch)
    },
    importance: importance.get,
    pairs({ taps: wanted, connector }, agreement, name) {
      if (wanted === 'auto') throw new Error("internal: taps 'auto' were not settled")
      return wanted.map((pair, index) => {
        const place = taught.taps.findIndex((value) => value.name === pair.teacher)
        const value = taught.taps[place]
        if (!value) throw new Error(`internal: the teacher's '${pair.teacher}' was not tapped`)
        const given = answer(taught.outputs + place, [batch, ...value.shape])
        const signal = value.signal ?? isSignal(tap(pair.student))
        const theirs = signal && value.shape.length === 2 ? signalAsImage(g, given) : given
        const own = comparable(tap(pair.student))
        const label = `${name}.connector${index}`
        return {
          teacher: theirs,
          student: connect(g, context, own, shapeOf(theirs), connector, agreement, label),
          name: pair.student,
        }
      })
    },
    tapped(wanted) {
      if (wanted === 'auto') throw new Error("internal: taps 'auto' were not settled")
      return wanted.map((name) => comparable(tap(name)))
    },
    number(number) {
      if (typeof number === 'number') return number
      const key = JSON.stringify(number)
      const known = numbers.get(key)
      if (known) return known.input
      const input = g.input(`number${numbers.size}`, { dtype: 'float32', shape: [] })
      numbers.set(key, { input, number })
      return input
    },
    parameter(name, shape, initial) {
      const content = begin(shape, initial, seed, name)
      const value = g.graph.addInitializer(auxiliary + name, tensorOf('float32', shape, content))
      parameters.push(value)
      return value
    },
    memory(name, shape, initial) {
      const content = begin(shape, initial, seed, name)
      const type = { dtype: 'float32', shape: [content.length] } as const
      const input = g.input(`memory${memories.length}`, type)
      const memory: Memory = { input, initial: content, next: undefined }
      memories.push(memory)
      return {
        value: settled(g.Reshape(input, shape), shape),
        next(value) {
          const flat = value.type?.shape?.length === 1
          memory.next = flat ? value : g.Reshape(value, [content.length])
        },
      }
    },
    drawn(shape, draw) {
      const dtype = draw.kind === 'integer' ? 'int64' : 'float32'
      const input = g.input(`drawn${draws.length}`, { dtype, shape })
      draws.push({ input, draw })
      return input
    },
    indices: indices.get,
    detach(value) {
      const made = g.Identity(value)
      made.type = value.type
      detached.add(made)
      return made
    },
    again(inputs, wanted) {
      const copies = new Map<Value, Value>(
        [...g.graph.initializers, ...g.graph.inputs].map((value) => [value, value]),
      )
      for (const [value, other] of inputs) copies.set(value, other)
      for (const { input, ratio } of subject.dropout ?? [])
        copies.set(input, context.drawn(shapeOf(input), { kind: 'dropout', ratio }))
      copyNodes(before, g.graph, copies, (name) => g.graph.uniqueName(name))
      return wanted.map((value) => copies.get(value) ?? value)
    },
    gradient(scalar, by) {
      if (!subject.gradient) throw new Error('internal: this graph gives no gradients')
      return subject.gradient(scalar, by)
    },
  }
  const parts = (): LossParts => ({
    inputs: {
      ...{ targets: targets.made(), values, teacher, draws, indices: indices.made() },
      numbers: [...numbers.values()],
    },
    ...{ parameters, memories, detached },
  })
  return { context, parts }
}

/** What a tensor of a loss begins with. */
function begin(
  shape: readonly number[],
  initial: Initial,
  seed: number,
  name: string,
): Float32Array<ArrayBuffer> {
  const content = new Float32Array(sizeOf(shape))
  if (typeof initial === 'number') return content.fill(initial)
  const source = random(seed, 'loss', name)
  return content.map(() => initial.normal * source.normal())
}

/** The first float32 input; a {@link UserError} where there is none. */
export function floatInput(inputs: readonly Value[], where: string): Value {
  const input = inputs.find(({ type }) => type?.dtype === 'float32')
  if (!input)
    throw new UserError(
      `${where}: has no float32 input that a gradient could be taken by — use another loss`,
    )
  return input
}

/** (1 - p)^power over its mean in the batch (Lin et al. 2017, equation 4, with p detached). */
function importanceOf(g: Builder, context: LossContext, { by, power }: Focus): Value {
  const z = context.logits()
  const own = by === 'student' ? z : g.Reshape(context.teacher(0), shapeOf(z))
  const probabilities = g.Softmax(own, { axis: -1 })
  const largest = g.ReduceMax(probabilities, [1], { keepdims: 1 })
  const labels = context.labelled ? context.targets() : undefined
  const chosen = labels && g.ReduceSum(g.Mul(probabilities, labels), [1], { keepdims: 1 })
  const counts = labels && g.ReduceSum(labels, [1], { keepdims: 1 })
  const sure = chosen ? g.Add(chosen, g.Mul(g.Sub(1, counts), largest)) : largest
  const raw = g.Pow(g.Max(g.Sub(1, sure), 1e-6), power)
  const rowsOf = [shapeOf(z)[0]!, 1]
  const mean = g.ReduceMean(raw, [0], { keepdims: 1 })
  return context.detach(settled(g.Div(raw, mean), rowsOf))
}

/**
 * How many rows of logits a sample has: one a position where the output is `[batch, …, classes]` with several of them.
 */
export function positionsOf(output: Value, { batch, classes = 0, where }: LossFacts): number {
  const shape = shapeOf(output)
  const width = sizeOf(shape) / batch
  const last = shape.at(-1)!
  if (classes === 0) return shape.length === 3 && last > 1 ? shape[1]! : 1
  if (width === classes) return 1
  if (shape.length > 2 && last === classes) return width / classes
  throw new UserError(
    `${where}: the outputs do not fit the labels: output '${output.name}' [${shape.join(',')}] for ${classes} classes — use a model with ${classes} outputs, or other data`,
  )
}

const counted = (width: number): string => `${width} value${width === 1 ? '' : 's'}`
