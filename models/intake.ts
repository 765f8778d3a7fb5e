// What architectures can be fed: one row a kind of input, as a check that says what is wanted instead.
import type { InputShape, ModelShape } from './layers.ts'

/** Why a shape cannot be taken. */
export interface Refusal {
  /** What would be taken, after the word 'takes'. */
  readonly takes: string
  /** What to do. */
  readonly instead: string
}

/** Undefined where the shape can be taken. */
export type Intake = (shape: ModelShape) => Refusal | undefined

/** One float input `[C, H, W]` whose sides are at least so long. */
export const images =
  (minimumSide = 1): Intake =>
  ({ inputs }) => {
    const [input] = inputs
    if (!isFloat(input) || inputs.length > 1 || input.shape.length !== 3)
      return { takes: 'images [C,H,W]', instead: "use 'mlp'" }
    if (input.shape.slice(1).some((side) => side < minimumSide))
      return {
        takes: `images of at least ${minimumSide}x${minimumSide}`,
        instead: "use 'mlp' or 'resnet'",
      }
    return undefined
  }

/** One float input `[length]` or `[channels, length]`. */
export const series: Intake = ({ inputs }) =>
  isFloat(inputs[0]) && inputs.length === 1 && [1, 2].includes(inputs[0].shape.length)
    ? undefined
    : { takes: 'series [length] or [channels,length]', instead: "use 'mlp' or 'resnet'" }

/** One float input of any shape. */
export const anySingle: Intake = ({ inputs }) =>
  isFloat(inputs[0]) && inputs.length === 1
    ? undefined
    : { takes: 'one input of numbers', instead: "use 'mlp' or 'two-tower'" }

/** Any number of float inputs of any shape. */
export const anyFloats: Intake = ({ inputs }) =>
  inputs.length > 0 && inputs.every(isFloat)
    ? undefined
    : { takes: 'inputs of numbers', instead: "use 'bert', 'bilstm-tagger' or 'two-tower' for ids" }

/** Any number of inputs, numbers or ids; ids with how many there are. */
export const anything: Intake = ({ inputs }) =>
  inputs.every((input) => isFloat(input) || input.ids !== undefined)
    ? undefined
    : { takes: 'numbers, and ids of which it is known how many there are', instead: 'say how many' }

/** What an input beside the ids is for, told by the end of its name. */
export const companions = { mask: 'attention_mask', types: 'token_type_ids' } as const

/** True where an input stands beside the ids. */
export const isCompanion = ({ name }: Pick<InputShape, 'name'>): boolean =>
  Object.values(companions).some((suffix) => name.endsWith(suffix))

/** The ids of a text `[length]`; inputs of the same length whose names end so may stand beside them, one of each. */
export const tokens =
  (beside: readonly (typeof companions)[keyof typeof companions][]): Intake =>
  ({ inputs, positions }) => {
    const [ids, ...others] = inputs.filter((input) => !isCompanion(input))
    const length = ids?.shape[0]
    const counts = beside.map((end) => inputs.filter(({ name }) => name.endsWith(end)).length)
    const known = counts.reduce((sum, count) => sum + count, 1)
    const whole =
      ids?.dtype === 'int64' &&
      ids.ids !== undefined &&
      others.length === 0 &&
      known === inputs.length &&
      counts.every((count) => count <= 1) &&
      inputs.every(({ shape }) => shape.length === 1 && shape[0] === length)
    if (!whole)
      return {
        takes: `ids [length] of which it is known how many there are, and beside them inputs of that length whose names end with ${beside.join(' or ')}, one of each`,
        instead: 'use a text feature, or another architecture',
      }
    if (positions !== undefined && positions !== length)
      return {
        takes: `as many positions to tag as there are ids: ${length} ids, ${positions} positions`,
        instead: 'give both the same length',
      }
    return undefined
  }

/** The inputs for people: `[3,32,32]`, or by name where there are several. */
export function described(inputs: readonly InputShape[]): string {
  const [only] = inputs
  if (inputs.length === 1 && isFloat(only)) return `[${only.shape.join(',')}]`
  return inputs.map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join(',')}]`).join(', ')
}

function isFloat(input: InputShape | undefined): input is InputShape & { dtype: 'float32' } {
  return input?.dtype === 'float32'
}
