// Writes nodes of which dtype and shape are known at once, so that what follows can be written for them.
import { UserError } from '../../base/errors.ts'
import type { Attributes, Builder, Operand } from '../../onnx/build.ts'
import { type Dim, Value } from '../../onnx/graph.ts'
import { type DataType, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import type { Term } from './term.ts'

/** What a node takes: a term, or a constant as the builder has them. */
export type Input = Term | Operand

/** The type of one output. */
export interface Made {
  readonly dtype: DataType
  readonly shape: readonly Dim[]
}

/** How a node is written. */
export interface EmitOptions {
  readonly attributes?: Attributes
  /** A name for the node; the operator's unless told. */
  readonly name?: string | undefined
}

/** Writes into one graph. */
export interface Writer {
  readonly g: Builder
  /** What messages call the model. */
  readonly where: string
  /** Appends a node with one output. */
  emit(opType: string, inputs: readonly Input[], made: Made, options?: EmitOptions): Term
  /** Appends a node with several outputs; an undefined one is left unnamed and has no term. */
  emitAll(
    opType: string,
    inputs: readonly Input[],
    made: readonly Made[],
    options?: EmitOptions,
  ): Term[]
  /** A constant, which is stored once a node takes it; what is made of one object under one key is made once. */
  constant(
    name: string,
    make: () => Tensor,
    shared?: { readonly of: object; readonly key: string },
  ): Term
  /** Adds a graph input under exactly this name. */
  input(name: string, made: Made): Term
  /** Makes a term a graph output under exactly this name, or one like it where another output has it. */
  output(name: string, term: Term): void
}

/** A writer at the end of a builder's graph. */
export function writerOf(g: Builder, where: string): Writer {
  const { graph } = g
  const stored = new WeakMap<object, Map<string, Term>>()
  /** Constants get into the graph when they are used: most weights are used in another arrangement. */
  const operandOf = (input: Input): Operand => {
    if (!isTerm(input)) return input
    const { value } = input
    if (value.tensor && !graph.initializers.has(value)) {
      value.name = graph.uniqueName(value.name)
      graph.initializers.add(value)
    }
    return value
  }
  /** Frees a name that a value in the middle has; false where an input or output has it. */
  const claim = (name: string): boolean => {
    graph.reserveName(name)
    const ends = [...graph.inputs, ...graph.outputs]
    if (ends.some((value) => value.name === name)) return false
    const made = graph.nodes.flatMap((node) => node.outputs)
    for (const value of [...made, ...graph.initializers])
      if (value?.name === name) value.name = graph.uniqueName(name)
    return true
  }
  const emitAll: Writer['emitAll'] = (opType, inputs, made, options = {}) => {
    // Sizes that do not divide show here, whatever they come from.
    const sizes = made.flatMap(({ shape }) => shape.filter((dim) => typeof dim === 'number'))
    const numbers = [...sizes, ...inputs.filter(isList).flat()]
    const wrong = numbers.findIndex((size) => !Number.isInteger(size))
    if (wrong >= 0)
      throw new UserError(
        `${where}: ${opType} '${options.name ?? ''}': a size that is no whole number: ${numbers[wrong]} — the model does not fit together`,
      )
    const values = g.node(opType, inputs.map(operandOf), {
      ...given(options),
      outputs: made.length,
    })
    return made.map(({ dtype, shape }, index) => {
      const value = values[index]!
      value.type = { dtype, shape }
      return { value, dtype, shape }
    })
  }
  return {
    g,
    where,
    emitAll,
    emit: (opType, inputs, made, options) => emitAll(opType, inputs, [made], options)[0]!,
    constant(name, make, shared) {
      const known = shared && stored.get(shared.of)?.get(shared.key)
      if (known) return known
      const tensor = make()
      const { dtype, dims: shape } = tensor
      const value = new Value(name, { tensor, type: { dtype, shape } })
      const term: Term = { value, dtype, shape }
      if (shared) {
        const terms = stored.get(shared.of) ?? new Map<string, Term>()
        stored.set(shared.of, terms.set(shared.key, term))
      }
      return term
    },
    input(name, { dtype, shape }) {
      if (!claim(name))
        throw new UserError(`${where}: two inputs of one name: '${name}' — rename one of them`)
      const value = new Value(name, { type: { dtype, shape } })
      graph.inputs.push(value)
      return { value, dtype, shape }
    },
    output(name, { value, dtype, shape }) {
      const isOwn = value.producer !== undefined && !graph.outputs.includes(value)
      const output = isOwn ? value : g.Identity(operandOf({ value, dtype, shape }))
      output.name = claim(name) ? name : graph.uniqueName(name)
      output.type = { dtype, shape }
      graph.outputs.push(output)
    },
  }
}

const given = ({ attributes, name }: EmitOptions) => ({
  ...(attributes && { attributes }),
  ...(name !== undefined && name !== '' && { name }),
})

const isTerm = (input: Input): input is Term =>
  typeof input === 'object' && 'value' in input && input.value instanceof Value

const isList = (input: Input): input is readonly number[] => Array.isArray(input)

/** A scalar of the type of a term, for operations with it. */
export function scalar(w: Writer, like: { readonly dtype: DataType }, number: number): Term {
  const { dtype } = like
  if (dtype === 'float32') return { value: w.g.constant(number), dtype, shape: [] }
  if (dtype !== 'int32' && dtype !== 'int64')
    throw new Error(`internal: no ${dtype} scalars are written`)
  return w.constant('scalar', () => tensorOf(dtype, [], [number]), {
    of: w.g,
    key: `${dtype} ${number}`,
  })
}
