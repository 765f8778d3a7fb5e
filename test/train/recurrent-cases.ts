// LSTM, GRU and RNN with every option that these have, as they are and unrolled.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type Attributes, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { numbers, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { decompose } from '../../train/decompose.ts'

const blocks: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 }
const [places, batch, width, hidden] = [5, 3, 4, 2]

interface Options {
  readonly attributes?: Attributes
  /** Lengths of the sequences; fed where `fed` says so. */
  readonly lengths?: readonly number[]
  readonly fed?: boolean
  readonly bias?: boolean
  readonly initial?: boolean
  readonly peepholes?: boolean
}

function draw(name: string, dims: readonly number[]): Tensor {
  const source = random(1, name, ...dims)
  const size = dims.reduce((product, dim) => product * dim, 1)
  return tensorOf(
    'float32',
    dims,
    Array.from({ length: size }, () => 1.4 * source.uniform() - 0.7),
  )
}

/** A model of one node all of whose outputs are outputs. */
function modelOf(opType: string, options: Options): Model {
  const { model, g } = newModel('recurrent')
  const count = options.attributes?.direction === 'bidirectional' ? 2 : 1
  const rows = blocks[opType]! * hidden
  const state = [count, batch, hidden]
  const { lengths, fed } = options
  const inputs = [
    g.input('X', { dtype: 'float32', shape: [places, batch, width] }),
    draw('W', [count, rows, width]),
    draw('R', [count, rows, hidden]),
    options.bias ? draw('B', [count, 2 * rows]) : undefined,
    fed
      ? g.input('lengths', { dtype: 'int32', shape: [batch] })
      : lengths && tensorOf('int32', [batch], lengths),
    options.initial ? draw('initial_h', state) : undefined,
    ...(opType === 'LSTM' ? [options.initial ? draw('initial_c', state) : undefined] : []),
    ...(options.peepholes ? [draw('P', [count, 3 * hidden])] : []),
  ]
  const attributes = { hidden_size: hidden, ...options.attributes }
  const outputs = g.node(opType, inputs, { attributes, outputs: opType === 'LSTM' ? 3 : 2 })
  for (const [index, output] of outputs.entries()) g.output(['Y', 'Y_h', 'Y_c'][index]!, output)
  return model
}

/** The largest difference of any output, relative where it is above 1, between the operator and what it is written out to. */
export async function difference(opType: string, options: Options): Promise<number> {
  const model = modelOf(opType, options)
  const written = cloneModel(model)
  await inferShapes(written)
  await decompose(written)
  expect(written.graph.nodes.some((node) => node.opType === opType)).toBe(false)
  const feeds = {
    X: draw('X', [places, batch, width]),
    ...(options.fed && { lengths: tensorOf('int32', [batch], options.lengths!) }),
  }
  const run = (each: Model) => withSession(each, {}, (session) => session.run(feeds))
  const [expected, actual] = [Object.values(await run(model)), Object.values(await run(written))]
  expect(actual.map(({ dims }) => dims)).toEqual(expected.map(({ dims }) => dims))
  const apart = expected.flatMap((tensor, index) => {
    const other = numbers(actual[index]!)
    return numbers(tensor).map((value, place) => {
      const distance = Math.abs(value - other[place]!)
      return Number.isNaN(distance) ? Infinity : distance / Math.max(1, Math.abs(value))
    })
  })
  return Math.max(...apart)
}

const directions = ['forward', 'reverse', 'bidirectional']
const lengths: readonly Options[] = [
  {},
  { lengths: [5, 5, 5] },
  { lengths: [3, 5, 1] },
  { lengths: [2, 0, 3] },
  { lengths: [2, 4, 3], fed: true },
]
const flags: readonly Options[] = [
  {},
  { bias: true },
  { initial: true },
  { bias: true, initial: true },
]

/** Attributes that one direction needs as often as there are directions. */
export const named = (
  direction: string,
  names: readonly string[],
  alphas: readonly number[] = [],
  betas: readonly number[] = [],
): Attributes => {
  const twice = <T>(list: readonly T[]) =>
    direction === 'bidirectional' ? [...list, ...list] : list
  return {
    activations: twice(names),
    ...(alphas.length > 0 && { activation_alpha: twice(alphas) }),
    ...(betas.length > 0 && { activation_beta: twice(betas) }),
  }
}

const variants: Readonly<Record<string, readonly ((direction: string) => Options)[]>> = {
  LSTM: [
    () => ({}),
    () => ({ peepholes: true }),
    () => ({ attributes: { clip: 0.4 } }),
    () => ({ peepholes: true, attributes: { clip: 0.4 } }),
    () => ({ attributes: { input_forget: 1 } }),
    () => ({ peepholes: true, attributes: { input_forget: 1, clip: 0.7 } }),
    (direction) => ({
      attributes: named(
        direction,
        ['HardSigmoid', 'Affine', 'ScaledTanh'],
        [0.3, 0.7, 0.9],
        [0.4, 0.1, 1.2],
      ),
    }),
  ],
  GRU: [
    () => ({}),
    () => ({ attributes: { linear_before_reset: 1 } }),
    () => ({ attributes: { clip: 0.4 } }),
    () => ({ attributes: { linear_before_reset: 1, clip: 0.4 } }),
    (direction) => ({
      attributes: named(direction, ['HardSigmoid', 'ScaledTanh'], [0.3, 0.9], [0.4, 1.2]),
    }),
  ],
  RNN: [
    () => ({}),
    () => ({ attributes: { clip: 0.4 } }),
    (direction) => ({ attributes: named(direction, ['LeakyRelu'], [0.3]) }),
  ],
}

/** Every variant with every form of lengths in every direction; the optional inputs take turns. */
export const recurrentRows = Object.entries(variants).flatMap(([opType, list]) =>
  directions.flatMap((direction, turn) =>
    list.flatMap((variant, index) =>
      lengths.map((length, place) => {
        const { attributes, ...rest } = variant(direction)
        const flag = flags[(turn + index + place) % flags.length]!
        const options = { ...length, ...flag, ...rest, attributes: { direction, ...attributes } }
        const isQuick = (turn + index + place) % lengths.length < 2
        return { opType, options, isQuick, title: JSON.stringify(options) }
      }),
    ),
  ),
)

/** Expects what a recurrent operator is written out to to answer what ONNX Runtime's own operator does. */
export async function expectUnrolled({ opType, options }: (typeof recurrentRows)[number]) {
  expect(await difference(opType, options)).toBeLessThan(1e-5)
}
