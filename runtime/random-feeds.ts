// Inputs made up for models of which no data is at hand.
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import { suggest } from '../base/suggest.ts'
import { byteLengthOf, type DataType, numberTypes, sizeOf, Tensor } from '../onnx/tensor.ts'
import { constantTensor } from './bind.ts'
import { writeNumbers } from './convert.ts'
import type { Tensors } from './feed.ts'
import type { ValueInfo } from './session.ts'

/** What is known of the inputs all the same. */
export interface RandomOptions {
  readonly seed: number
  /** Samples, where the first dimension is free; 1 unless told. */
  readonly batch?: number
  /** Whole shapes by the name of an input; free dimensions of others are 1. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>
  /** Inputs that always get the same: one number, or all of them. */
  readonly constants?: Readonly<Record<string, number | readonly number[]>>
  /** What error messages call the model. */
  readonly where: string
}

/** The types of which inputs can be made up. */
const fillable: ReadonlySet<DataType> = new Set<DataType>([...numberTypes, 'float16'])

/**
 * Gives a model random inputs: floats in -1..1, integers and booleans of 0 and 1. The same seed gives the same.
 *
 * A shape that does not fit, a name that no input has, and an input of text are a {@link UserError}.
 */
export function randomFeeds(inputs: readonly ValueInfo[], options: RandomOptions): Tensors {
  const { seed, constants = {}, shapes = {}, where } = options
  const names = inputs.map(({ name }) => name)
  for (const name of [...Object.keys(shapes), ...Object.keys(constants)])
    if (!names.includes(name))
      throw new UserError(
        `${where}: has no input of that name: '${name}' — ${suggest(name, names)}`,
      )
  return Object.fromEntries(
    inputs.map((input) => {
      const { name, dtype } = input
      const dims = shapeOf(input, options)
      const constant = Object.hasOwn(constants, name) ? constants[name] : undefined
      if (constant !== undefined) {
        const values = typeof constant === 'number' ? [constant] : constant
        return [name, constantTensor({ name, dtype, dims: () => dims, values }, 1, where)]
      }
      if (!fillable.has(dtype))
        throw new UserError(
          `${where}: input '${name}' cannot be made up: it is ${dtype} — give data, as --data digits`,
        )
      const { uniform, integer } = random(seed, 'inputs', name)
      const isFloat = /float/.test(dtype)
      const values = Float64Array.from({ length: sizeOf(dims) }, () =>
        isFloat ? 2 * uniform() - 1 : integer(2),
      )
      return [name, filled(dtype, dims, values)]
    }),
  )
}

function filled(dtype: DataType, dims: readonly number[], values: Float64Array): Tensor {
  const tensor = new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims)))
  writeNumbers(tensor, values)
  return tensor
}

/** The shape that an input gets. */
function shapeOf(
  { name, shape }: ValueInfo,
  { shapes = {}, batch = 1, where }: RandomOptions,
): readonly number[] {
  const given = Object.hasOwn(shapes, name) ? shapes[name] : undefined
  if (given === undefined)
    return shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? batch : 1))
  const fits =
    shape.length === 0 ||
    (given.length === shape.length &&
      shape.every((dim, axis) => typeof dim !== 'number' || dim === given[axis]))
  if (fits) return given
  const written = shape.map((dim) => dim ?? '?').join(',')
  throw new UserError(
    `${where}: input '${name}' cannot have the shape [${given.join(',')}] — the model has [${written}]`,
  )
}

/** Throws what random inputs may be to blame for. */
export function explainRandom(thrown: unknown): never {
  if (!(thrown instanceof UserError)) throw thrown
  const [what] = thrown.message.split(' — ')
  throw new UserError(
    `${what} — its inputs were random, free dimensions 1: give shapes (--shape x=1,3,224,224), constants (--inputs '{ x: { constant: 1 } }') or data`,
    { cause: thrown },
  )
}
