// Which content each input of a model gets: a column of the samples, a constant, or what an output gave before.
import { UserError } from '../base/errors.ts'
import type { InputSource, SampleColumn, Samples } from '../base/samples.ts'
import { suggest } from '../base/suggest.ts'
import { byteLengthOf, type DataType, sizeOf, Tensor } from '../onnx/tensor.ts'
import { writeNumbers } from './convert.ts'
import type { ValueInfo } from './session.ts'

/** An input that reads a column. */
export interface ColumnInput {
  readonly name: string
  readonly dtype: DataType
  /** The position of its column. */
  readonly column: number
  /** Shape of what one sample gives to one run. */
  readonly shape: readonly number[]
}

/** An input of which every run gets the same, or what an output gave. */
export interface OtherInput {
  readonly name: string
  readonly dtype: DataType
  /** Its shape for so many samples. */
  dims(samples: number): readonly number[]
}

/** How a model is fed with samples. */
export interface Binding {
  readonly columns: readonly ColumnInput[]
  readonly constants: readonly (OtherInput & { readonly values: readonly number[] })[]
  readonly carried: readonly (OtherInput & { readonly output: string })[]
  /** The batch size that the model demands, undefined where it takes any. */
  readonly fixedBatch: number | undefined
  /** Runs that a sample takes: more than one where it is fed in chunks. */
  readonly steps: number
}

/** What the types of columns can become. */
const accepted: Readonly<Record<SampleColumn['dtype'], readonly DataType[]>> = {
  float32: ['float32', 'float64', 'float16'],
  int32: ['int64', 'int32', 'float32', 'int16', 'int8', 'uint8', 'uint16', 'uint32', 'bool'],
  uint8: ['uint8', 'int32', 'int64', 'float32'],
}

/**
 * Decides what each input gets.
 *
 * An input that `samples.inputs` does not name gets the column of its name (`attention_mask` that of
 * `text.attention_mask`); where one input and one column are left, that column. A model that cannot be fed is a {@link UserError}.
 */
export function bindInputs(
  inputs: readonly ValueInfo[],
  samples: Pick<Samples, 'columns' | 'inputs'>,
  where: string,
): Binding {
  const sources = sourcesOf(inputs, samples, where)
  const columns = inputs.flatMap((input) => {
    const source = sources.get(input.name)!
    return 'column' in source ? [columnInput(input, source, samples.columns, where)] : []
  })
  const batchDims = columns.map(({ name }) => inputNamed(inputs, name).shape[0])
  const fixed = batchDims.find((dim) => typeof dim === 'number')
  const steps = stepsOf(columns, sources, samples.columns, where)
  const other = (input: ValueInfo): OtherInput => ({
    name: input.name,
    dtype: input.dtype,
    // What is free in an input that reads no column is the batch.
    dims: (count) => input.shape.map((dim) => (typeof dim === 'number' ? dim : count)),
  })
  return {
    columns,
    fixedBatch: fixed,
    steps,
    constants: inputs.flatMap((input) => {
      const source = sources.get(input.name)!
      if (!('constant' in source)) return []
      const { constant } = source
      return [{ ...other(input), values: typeof constant === 'number' ? [constant] : constant }]
    }),
    carried: inputs.flatMap((input) => {
      const source = sources.get(input.name)!
      return 'carry' in source ? [{ ...other(input), output: source.carry }] : []
    }),
  }
}

/** The numbers of all free dimensions by symbol, or by input and axis, as `fixDims` takes them. */
export function freeDims(
  inputs: readonly ValueInfo[],
  { columns, constants, carried }: Binding,
  batch: number,
): Record<string, number> {
  const dims: Record<string, number> = {}
  const note = (name: string, known: readonly number[]) => {
    for (const [axis, dim] of inputNamed(inputs, name).shape.entries())
      if (typeof dim !== 'number') dims[dim ?? `${name}:${axis}`] = known[axis]!
  }
  for (const { name, shape } of columns) note(name, [batch, ...shape])
  for (const { name, dims: of } of [...constants, ...carried]) note(name, of(batch))
  return dims
}

/** The tensor of an input that always has the same content. */
export function constantTensor(
  { name, dtype, dims, values }: Binding['constants'][number],
  samples: number,
  where: string,
): Tensor {
  const shape = dims(samples)
  const size = sizeOf(shape)
  if (values.length !== 1 && values.length !== size)
    throw new UserError(
      `${where}: inputs.${name}: [${shape.join(',')}] needs ${size} numbers: ${values.length} — give one, or all`,
    )

  const tensor = new Tensor(dtype, shape, new Uint8Array(byteLengthOf(dtype, shape)))
  writeNumbers(tensor, values.length === 1 ? new Float64Array(size).fill(values[0]!) : values)
  return tensor
}

/** The zeros that carried state begins with. */
export function firstState({ dtype, dims }: OtherInput, samples: number): Tensor {
  const shape = dims(samples)
  return new Tensor(dtype, shape, new Uint8Array(byteLengthOf(dtype, shape)))
}

function sourcesOf(
  inputs: readonly ValueInfo[],
  { columns, inputs: mapped = {} }: Pick<Samples, 'columns' | 'inputs'>,
  where: string,
): ReadonlyMap<string, InputSource> {
  const given = new Map(Object.entries(mapped))
  const names = inputs.map(({ name }) => name)
  // A mapping is for all models of a recipe; one that has the input reads it, and some model must.
  const sources = new Map<string, InputSource>()
  for (const { name } of inputs) {
    const source = given.get(name)
    if (source) sources.set(name, source)
    else {
      const own = columns.find((column) => column.name === name) ?? onlyOne(columns, `.${name}`)
      if (own) sources.set(name, { column: own.name })
    }
  }
  const open = names.filter((name) => !sources.has(name))
  const used = new Set([...sources.values()].map((source) => 'column' in source && source.column))
  const left = columns.filter(({ name }) => !used.has(name) && !name.includes('.'))
  if (open.length === 1 && left.length === 1) sources.set(open[0]!, { column: left[0]!.name })
  const lacking = names.find((name) => !sources.has(name))
  if (lacking !== undefined)
    throw new UserError(
      `${where}: nothing is known for its input '${lacking}': the data has ${columns.map(({ name }) => `'${name}'`).join(', ')} — map it in the recipe, as inputs: { ${lacking}: { column: ${columns[0]?.name ?? 'x'} } }`,
    )
  return sources
}

/** The only column whose name ends so. */
function onlyOne(columns: readonly SampleColumn[], ending: string): SampleColumn | undefined {
  const found = columns.filter(({ name }) => name.endsWith(ending))
  return found.length === 1 ? found[0] : undefined
}

function columnInput(
  input: ValueInfo,
  source: Extract<InputSource, { column: string }>,
  columns: readonly SampleColumn[],
  where: string,
): ColumnInput {
  const names = columns.map(({ name }) => name)
  let at = names.indexOf(source.column)
  if (at < 0)
    throw new UserError(
      `${where}: inputs.${input.name}: the data has no column '${source.column}' — ${suggest(source.column, names)}`,
    )
  // A model that prepares its own input takes the bytes as they are, in the order that it has them.
  if (input.dtype === 'uint8' && columns[at]!.dtype === 'float32') {
    const bytes = ['raw', 'planes']
      .map((form) => names.indexOf(`${source.column}.${form}`))
      .filter((place) => place >= 0)
    at = bytes.find((place) => fits(input, columns[place]!.shape)) ?? bytes[0] ?? at
  }
  const column = columns[at]!
  if (!accepted[column.dtype].includes(input.dtype))
    throw new UserError(
      `${where}: input '${input.name}' is ${input.dtype}, column '${column.name}' of the data is ${column.dtype} — map another column to it, or export the model with ${accepted[column.dtype][0]} inputs`,
    )
  const { chunk } = source
  if (chunk !== undefined) checkChunk(`${where}: inputs.${input.name}.chunk`, chunk, column.shape)
  const shape = chunk === undefined ? column.shape : [...column.shape.slice(0, -1), chunk]
  return { name: input.name, dtype: input.dtype, column: at, shape: fitted(input, shape, where) }
}

/** Checks that a column can be cut into pieces of so many values. */
function checkChunk(where: string, chunk: number, shape: readonly number[]): void {
  const length = shape.at(-1) ?? 1
  if (sizeOf(shape) !== length)
    throw new UserError(
      `${where}: only columns with one axis can be cut: [${shape.join(',')}] — leave it out`,
    )
  if (length % chunk !== 0)
    throw new UserError(
      `${where}: ${length} values cannot be cut into pieces of ${chunk} — choose a divisor of ${length}`,
    )
}

/** Whether an input takes samples of a shape. */
const fits = ({ shape: [, ...rest] }: Pick<ValueInfo, 'shape'>, sample: readonly number[]) =>
  rest.length === sample.length &&
  rest.every((dim, axis) => typeof dim !== 'number' || dim === sample[axis])

/** The shape of a sample as the input has it: axes of length 1 may be there or not. */
function fitted({ name, shape }: ValueInfo, sample: readonly number[], where: string): number[] {
  const rest = shape.slice(1)
  if (fits({ shape }, sample)) return [...sample]
  const known = rest.every((dim) => typeof dim === 'number') ? (rest as number[]) : undefined
  const lean = (dims: readonly number[]) => dims.filter((dim) => dim !== 1).join()
  if (known && shape.length > 0 && lean(known) === lean(sample)) return known
  throw new UserError(
    `${where}: input '${name}' [${shape.map((dim) => dim ?? '?').join(',')}] does not fit the data: one sample is [${sample.join(',')}] — use other data or preprocessing`,
  )
}

function stepsOf(
  inputs: readonly ColumnInput[],
  sources: ReadonlyMap<string, InputSource>,
  columns: readonly SampleColumn[],
  where: string,
): number {
  let steps: number | undefined
  for (const { name, column } of inputs) {
    const source = sources.get(name)!
    const chunk = 'column' in source ? source.chunk : undefined
    if (chunk === undefined) continue
    const length = columns[column]!.shape.at(-1) ?? 1
    if (steps !== undefined && steps !== length / chunk)
      throw new UserError(
        `${where}: inputs.${name}.chunk: cut into ${length / chunk} pieces, another input into ${steps} — choose chunks that go together`,
      )
    steps = length / chunk
  }
  return steps ?? 1
}

const inputNamed = (inputs: readonly ValueInfo[], name: string): ValueInfo =>
  inputs.find((input) => input.name === name)!
