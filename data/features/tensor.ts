// A column of tensors, lists or numbers as it is.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { lengthOf } from '../../base/samples.ts'
import { DamagedError } from '../damaged.ts'
import { pixelsOf } from '../images/encode.ts'
import type { Cell, TensorCell } from '../table.ts'
import { columnNamed } from './columns.ts'
import { columnAt, defineFeature, type StoredType } from './feature.ts'

/** What was learned of a column of tensors. */
export interface Learned {
  /** Shape of each sample. */
  readonly shape: readonly number[]
  readonly dtype: StoredType
}

const options = z.strictObject({
  kind: z.literal('tensor').describe('Numbers of a column as they are.'),
  column: z.string().describe('A column of tensors, lists of numbers, or numbers.'),
  dtype: z
    .enum(['auto', 'float32', 'int32', 'uint8'])
    .default('auto')
    .describe('Type of the numbers: that of the file unless told; lists and numbers are float32.'),
  shape: z
    .array(z.int().min(1))
    .optional()
    .describe('Shape of a sample, for tensors that are saved in another one of as many numbers.'),
  length: z
    .int()
    .min(1)
    .optional()
    .describe('Lists are cut or padded to it; otherwise they must all be equally long.'),
  padding: z.number().default(0).describe('The number that lists are padded with.'),
  ids: z
    .int()
    .min(1)
    .optional()
    .describe('The numbers are ids from 0 to one less than this: int32, for an embedding.'),
})

type Options = z.output<typeof options>

/**
 * The cell itself, in the shape of the first row of the training split, which all others must
 * have. What is missing or not finite is refused, and so is what the type cannot hold.
 */
export const tensor = defineFeature({
  summary: 'Numbers as they are: a tensor, a list or a number of a column',
  options,
  columns({ column, dtype, ids }, { columns }) {
    if (ids !== undefined && dtype !== 'auto' && dtype !== 'int32')
      throw new UserError(
        `data.features: column '${column}': ids are int32, not ${dtype} — leave out dtype or ids`,
      )
    return [columnNamed(columns, column, ['tensor', 'list', 'number']).name]
  },
  learn(options, { columns }) {
    const at = columnAt(columns, options.column)
    let learned: Learned | undefined
    return {
      observe(row) {
        learned ??= inspect(row[at]!, options)
      },
      finish: (): Learned => {
        if (learned) return learned
        throw new UserError(`column '${options.column}': there is no row to learn its shape from`)
      },
    }
  },
  prepare(options, { shape, dtype }: Learned, { columns }) {
    const { column, ids, length } = options
    const at = columnAt(columns, column)
    const size = lengthOf(shape)
    // A tensor that is not reshaped must have the shape itself, not just as many numbers.
    const isReshaped = options.shape !== undefined || length !== undefined
    const write = writerOf(options, dtype)
    return {
      outputs: [{ suffix: '', dtype, shape, ...(ids !== undefined && { ids }) }],
      encode(row, memory) {
        const into = memory[0]!
        const cell = row[at]!
        const found = shapeOf(cell, column)
        const values = valuesOf(cell)
        const hasShape = isReshaped || String(found) === String(shape)
        if (length === undefined && (values.length !== size || !hasShape))
          throw new DamagedError(
            `column '${column}': shape [${found}] but [${shape}] in training — ${Array.isArray(cell) ? 'set length to cut or pad the lists' : 'mend the data'}`,
          )
        if (dtype === 'uint8' && values instanceof Uint8Array && ids === undefined) {
          into.set(values)
          return
        }
        if (length !== undefined && values.length < size) into.fill(write(options.padding))
        const count = Math.min(size, values.length)
        for (let index = 0; index < count; index++) into[index] = write(values[index])
      },
    }
  },
  show({ column, ids }, { shape }, { columns }) {
    const at = columnAt(columns, column)
    return (row) => {
      const cell = row[at]!
      if (ids !== undefined || !isTensor(cell) || cell.values.length !== lengthOf(shape))
        return undefined
      const pixels = pixelsOf(shape, cell.values)
      return pixels && { kind: 'image', pixels }
    }
  },
})

function inspect(cell: Cell, { column, dtype, shape, length, ids }: Options): Learned {
  const found = shapeOf(cell, column)
  if (length !== undefined && found.length !== 1)
    throw new UserError(
      `column '${column}': length is for lists, not for shape [${found}] — leave it out`,
    )
  const wanted = shape ?? (length === undefined ? found : [length])
  if (lengthOf(wanted) !== lengthOf(length === undefined ? found : [length]))
    throw new UserError(
      `column '${column}': shape [${found}] has not as many numbers as [${wanted}] — correct shape`,
    )
  if (lengthOf(wanted) === 0)
    throw new UserError(`column '${column}': holds an empty list — set length, or mend the data`)
  const automatic = ids === undefined ? typeOf(cell) : 'int32'
  return { shape: wanted, dtype: dtype === 'auto' ? automatic : dtype }
}

function isTensor(cell: Cell): cell is TensorCell {
  return cell !== null && typeof cell === 'object' && 'values' in cell && 'shape' in cell
}

function typeOf(cell: Cell): StoredType {
  if (!isTensor(cell) || cell.values instanceof Float32Array) return 'float32'
  return cell.values instanceof Uint8Array ? 'uint8' : 'int32'
}

function shapeOf(cell: Cell, column: string): readonly number[] {
  if (typeof cell === 'number') return [1]
  if (Array.isArray(cell)) return [cell.length]
  if (isTensor(cell)) return cell.shape
  throw new DamagedError(
    `column '${column}': ${cell === null ? 'missing' : 'no number'} — mend the data, or leave the row out`,
  )
}

function valuesOf(cell: Cell): ArrayLike<number | string | null> {
  if (typeof cell === 'number') return [cell]
  return isTensor(cell) ? cell.values : (cell as readonly (number | string | null)[])
}

/** Checks a number and gives it as the type keeps it. */
function writerOf(
  { column, ids }: Options,
  dtype: StoredType,
): (value: number | string | null | undefined) => number {
  const refuse = (value: unknown, what: string, remedy: string) =>
    new DamagedError(`column '${column}': ${what}: ${value} — ${remedy}`)
  const largest = dtype === 'uint8' ? 255 : 2 ** 31 - 1
  const smallest = dtype === 'uint8' ? 0 : -(2 ** 31)
  return (value) => {
    if (typeof value !== 'number')
      throw refuse(value, 'no number', 'mend the data, or use kind: text for lists of words')
    if (!Number.isFinite(value))
      throw refuse(value, 'not a finite number', 'mend the data, or use damaged: skip')
    if (ids !== undefined && !(value >= 0 && value < ids))
      throw refuse(value, `no id from 0 to ${ids - 1}`, 'correct ids')
    if (dtype === 'float32') {
      const rounded = Math.fround(value)
      if (!Number.isFinite(rounded)) throw refuse(value, 'beyond float32', 'scale the data')
      return rounded
    }
    if (!Number.isInteger(value) || value < smallest || value > largest)
      throw refuse(value, `no ${dtype}`, 'set dtype: float32')
    return value
  }
}
