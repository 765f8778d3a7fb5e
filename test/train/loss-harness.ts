// One loss on fixed random tensors: its value and gradients from ONNX Runtime, and the same from a formula in float64.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { numbers, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { auxiliary, type LossFacts, lossContext } from '../../train/loss-context.ts'
import { type LossOptions, lossOptions, writeLoss } from '../../train/losses.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { shapeOf } from '../../train/rule.ts'
import { valueAt } from '../../train/scheduled.ts'
import { differences, relativeError } from '../support/reference.ts'

/** A tensor of a case: its shape, and its numbers where they are not to be drawn from a standard normal. */
export interface CaseTensor {
  readonly shape: readonly number[]
  readonly content?: readonly number[]
}

/** What a loss is tried on. */
export interface LossCase {
  readonly title: string
  /** Terms of the loss as a recipe has them. */
  readonly terms: readonly object[]
  /** The student's outputs. */
  readonly outputs?: readonly CaseTensor[]
  /** The student's tapped values by name. */
  readonly taps?: Readonly<Record<string, CaseTensor>>
  /** What the teacher answers for its outputs, each of the shape of the student's. */
  readonly teacher?: readonly CaseTensor[]
  /** The teacher's tapped values by name, the batch in front. */
  readonly teacherTaps?: Readonly<Record<string, CaseTensor>>
  /** Inputs of the model besides the first output, which stands for one, by name. */
  readonly inputs?: Readonly<Record<string, CaseTensor & { readonly dtype?: 'int64' }>>
  readonly targets?: CaseTensor
  readonly values?: CaseTensor
  readonly indices?: readonly number[]
  /** What memories hold before the step, in order, where it is not what they begin with. */
  readonly memories?: readonly (readonly number[] | undefined)[]
  readonly facts?: Partial<LossFacts> & { readonly batch: number }
  /** The share of the training that is done, for numbers that change. */
  readonly progress?: number
  /**
   * The loss in float64. `x` holds the tensors by name, row-major: `output0` …, taps as `student/…` and `teacher/…`,
   * `teacher0` …, `targets`, `values`, `drawn0` …, `memory0` … and the loss's own weights by their names.
   */
  readonly expected: (x: Readonly<Record<string, Float64Array>>) => number
  /** What memories hold afterwards, in order. */
  readonly remembered?: (x: Readonly<Record<string, Float64Array>>) => readonly Float64Array[]
}

/** What was found for a case. */
export interface Found {
  readonly value: number
  /** By the names that `expected` uses. */
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>
  readonly inputs: Readonly<Record<string, Float64Array>>
  readonly memories: readonly ArrayLike<number>[]
}

/** Terms as the schema resolves them. */
export const parsed = (terms: readonly object[]): LossOptions[] =>
  terms.map((term) => lossOptions.parse(term))

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Float64Array>>

/**
 * A formula some parts of which keep what they were given first, whatever changes afterwards: those that no gradient
 * passes through.
 */
export function holding(formula: (x: Tensors, held: Tensors) => number): (x: Tensors) => number {
  let held: Tensors | undefined
  return (x) => {
    held ??= x
    return formula(x, held)
  }
}

/** Runs a case. */
export async function computedLoss(entry: LossCase): Promise<Found> {
  const { taps = {}, teacher = [], teacherTaps = {}, outputs = [], progress = 0 } = entry
  const batch = entry.facts?.batch ?? outputs[0]?.shape[0] ?? Object.values(taps)[0]!.shape[0]!
  const { model, g } = newModel('loss')
  const known = new Map<string, readonly number[]>()
  const feeds: Record<string, Tensor> = {}
  const differentiable = new Map<string, Value>()
  const fill = (name: string, { shape, content }: CaseTensor): Float32Array => {
    const source = random(5, entry.title, name)
    const size = shape.reduce((product, dim) => product * dim, 1)
    const drawn = content ?? Array.from({ length: size }, () => source.normal())
    const floats = Float32Array.from(drawn)
    known.set(name, [...floats])
    return floats
  }
  const feed = (value: Value, name: string, tensor: CaseTensor) => {
    const dtype = value.type?.dtype === 'int64' ? 'int64' : 'float32'
    const content = fill(name, tensor)
    feeds[value.name] = tensorOf(dtype, shapeOf(value), dtype === 'int64' ? [...content] : content)
  }
  const student = (name: string, graphName: string, tensor: CaseTensor) => {
    const value = g.input(graphName, { dtype: 'float32', shape: tensor.shape })
    feed(value, name, tensor)
    differentiable.set(name, value)
    return value
  }
  const given = outputs.map((tensor, index) => student(`output${index}`, `out${index}`, tensor))
  const others = Object.entries(entry.inputs ?? {}).map(([name, tensor]) => {
    const value = g.input(name, { dtype: tensor.dtype ?? 'float32', shape: tensor.shape })
    feed(value, name, tensor)
    return value
  })
  const tapped = new Map(
    Object.entries(taps).map(([name, tensor]) => [
      name,
      student(`student/${name}`, `tap/${name}`, tensor),
    ]),
  )
  const taught = {
    outputs: teacher.length,
    taps: Object.entries(teacherTaps).map(([name, { shape }]) => ({ name, shape: shape.slice(1) })),
  }
  const gradient = async (scalar: Value, by: Value) => {
    g.graph.outputs.push(scalar)
    await inferShapes(model)
    g.graph.outputs.splice(0)
    return backward(g, scalar, new Set([by]), standard).get(by)!
  }
  const { context, parts } = lossContext(
    g,
    { inputs: [...given.slice(0, 1), ...others], outputs: given, taps: tapped, gradient },
    { labelled: entry.targets !== undefined, ...entry.facts, batch, taught, where: 'test' },
  )
  const written = await writeLoss(g, context, parsed(entry.terms))
  const loss = g.Mul(written.loss, 1)
  const { inputs, parameters, memories, detached } = parts()
  // Weights of the loss's own that begin at zero, or all alike, would hide mistakes.
  for (const value of parameters) {
    const name = value.name.slice(auxiliary.length)
    const { dims } = value.tensor!
    const begun = [...numbers(value.tensor!)]
    const source = random(6, entry.title, name)
    const content = Float32Array.from(begun, (number) => number + 0.3 * source.normal())
    value.tensor = tensorOf('float32', dims, content)
    known.set(name, [...content])
    differentiable.set(name, value)
  }
  g.graph.outputs.push(loss)
  for (const [index, { next }] of memories.entries())
    if (next) g.output(`remembered${index}`, g.Identity(next))
  await inferShapes(model)
  const found = backward(g, loss, new Set(differentiable.values()), standard, { detached })
  for (const [name, value] of differentiable) {
    const slope = found.get(value)
    if (slope) g.output(`gradient/${name}`, g.Identity(slope))
  }
  if (inputs.targets) feed(inputs.targets, 'targets', entry.targets!)
  if (inputs.values) feed(inputs.values, 'values', entry.values!)
  if (inputs.indices)
    feed(inputs.indices, 'indices', { shape: [batch], content: entry.indices ?? [] })
  for (const [place, value] of inputs.teacher) {
    const tap = taught.taps[place - teacher.length]
    if (tap) feed(value, `teacher/${tap.name}`, teacherTaps[tap.name]!)
    else feed(value, `teacher${place}`, teacher[place]!)
  }
  for (const [index, { input, draw }] of inputs.draws.entries()) {
    const source = random(8, entry.title, index)
    const size = shapeOf(input).reduce((product, dim) => product * dim, 1)
    const next = () =>
      draw.kind === 'integer'
        ? source.integer(draw.below)
        : draw.kind === 'normal'
          ? source.normal()
          : source.uniform()
    feed(input, `drawn${index}`, {
      shape: shapeOf(input),
      content: Array.from({ length: size }, next),
    })
  }
  for (const [index, { input, initial }] of memories.entries())
    feed(input, `memory${index}`, {
      shape: [initial.length],
      content: entry.memories?.[index] ?? [...initial],
    })
  for (const { input, number } of inputs.numbers)
    feeds[input.name] = tensorOf('float32', [], [valueAt(number, progress)])
  const results = await withSession(model, {}, (session) => {
    const used = new Set(session.inputs.map(({ name }) => name))
    return session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => used.has(name))))
  })
  const gradients = Object.fromEntries(
    [...differentiable].map(([name, value]) => {
      const tensor = results[`gradient/${name}`]
      // What no gradient reaches has one of zero, which the formula must say, too.
      return [name, tensor ? numbers(tensor) : new Float64Array(sizeOf(shapeOf(value)))]
    }),
  )
  return {
    value: numbers(results[loss.name]!)[0]!,
    gradients,
    inputs: Object.fromEntries(
      [...known].map(([name, content]) => [name, Float64Array.from(content)]),
    ),
    memories: memories.map((_, index) => numbers(results[`remembered${index}`]!)),
  }
}

/** Compares a case with its formula: the value, and the gradient by everything that is learned, within 1e-5. */
export async function expectLoss(entry: LossCase): Promise<void> {
  const { value, gradients, inputs, memories } = await computedLoss(entry)
  const expected = entry.expected(inputs)
  expect(Math.abs(value - expected) / Math.max(1e-3, Math.abs(expected))).toBeLessThan(1e-5)
  const sizes: number[] = []
  for (const [name, gradient] of Object.entries(gradients)) {
    const reference = differences((x) => entry.expected({ ...inputs, [name]: x }), inputs[name]!)
    const length = Math.hypot(...reference)
    sizes.push(length)
    // What does not matter has a gradient of zero, of which there is no share.
    if (length < 1e-8) expect(Math.hypot(...Array.from(gradient))).toBeLessThan(1e-6)
    else
      expect({ name, error: relativeError(gradient, reference) < 1e-5 }).toEqual({
        name,
        error: true,
      })
  }
  expect(Math.max(...sizes)).toBeGreaterThan(1e-6)
  const remembered = entry.remembered?.(inputs) ?? []
  for (const [index, content] of remembered.entries())
    expect(relativeError(memories[index]!, content)).toBeLessThan(1e-5)
}
