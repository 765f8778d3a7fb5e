// What the columns of a Parquet file hold, by its schema, and how their values become cells.
import type { SchemaTree } from 'hyparquet'
import { UserError } from '../../base/errors.ts'
import { lengthOf } from '../../base/samples.ts'
import type { Cell, ColumnType, TensorCell } from '../table.ts'

/** What stands in a column: plain values, or lists of them. */
export type ParquetKind = 'number' | 'text' | 'bytes' | 'file' | { readonly listOf: ParquetKind }

/** The type that a table gives to a column of a kind. */
export function columnTypeOf(kind: ParquetKind): ColumnType {
  if (kind === 'file') return 'bytes'
  if (typeof kind === 'string') return kind
  return typeof kind.listOf === 'string' ? 'list' : 'tensor'
}

/** The kind of a column; undefined for what no cell can hold (maps, structs, intervals, geometry). */
export function kindOf(tree: SchemaTree): ParquetKind | undefined {
  const kind = unrepeated(tree)
  return kind !== undefined && tree.element.repetition_type === 'REPEATED'
    ? checkedList(kind)
    : kind
}

function unrepeated({ element, children }: SchemaTree): ParquetKind | undefined {
  if (children.length === 0) return leafKind(element)
  if (element.converted_type === 'LIST' || element.logical_type?.type === 'LIST') {
    const [repeated] = children
    if (children.length !== 1 || repeated === undefined) return undefined
    // Three levels, or two as old writers have it.
    const inner =
      repeated.children.length === 1 ? kindOf(repeated.children[0]!) : unrepeated(repeated)
    return inner && checkedList(inner)
  }
  // The Hugging Face Hub keeps images and sounds so.
  const names = children.map((child) => child.element.name).sort()
  const isFile = String(names) === 'bytes,path'
  const bytes = children.find((child) => child.element.name === 'bytes')
  return isFile && bytes && kindOf(bytes) === 'bytes' ? 'file' : undefined
}

// Cells are flat lists of numbers or texts; deeper lists are tensors of numbers.
function checkedList(inner: ParquetKind): ParquetKind | undefined {
  let innermost = inner
  while (typeof innermost !== 'string') innermost = innermost.listOf
  const isAllowed = innermost === 'number' || (inner === 'text' && innermost === 'text')
  return isAllowed ? { listOf: inner } : undefined
}

function leafKind(element: SchemaTree['element']): ParquetKind | undefined {
  const { type, converted_type: converted, logical_type: logical } = element
  if (converted === 'DECIMAL') return 'number'
  if (logical?.type === 'DECIMAL' || converted === 'INTERVAL' || converted === 'BSON')
    return undefined
  if (type === 'BYTE_ARRAY') {
    if (logical === undefined || logical.type === 'STRING' || logical.type === 'ENUM')
      return converted === undefined && logical === undefined ? 'bytes' : 'text'
    return logical.type === 'JSON' ? 'text' : undefined
  }
  if (type === 'FIXED_LEN_BYTE_ARRAY') {
    if (logical?.type === 'FLOAT16') return 'number'
    if (logical?.type === 'UUID') return 'text'
    return logical === undefined && converted === undefined ? 'bytes' : undefined
  }
  return 'number'
}

/** A cell of what the library read; `where` names file, row and column. */
export function cellOf(kind: ParquetKind, value: unknown, where: () => string): Cell {
  if (value === null || value === undefined) return null
  if (kind === 'file') {
    const { bytes } = value as { bytes?: Uint8Array | null }
    return bytes ?? null
  }
  if (typeof kind === 'string') return scalarOf(kind, value, where)
  const { listOf } = kind
  const list = value as ArrayLike<unknown>
  if (typeof listOf !== 'string') return tensorOf(list, depthOf(kind), where)
  return Array.from(list, (element) =>
    element === null || element === undefined
      ? null
      : (scalarOf(listOf, element, where) as number | string | null),
  )
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Text of bytes; what is not UTF-8 is an error that the reader explains. */
export function textOf(bytes: Uint8Array): string {
  return utf8.decode(bytes)
}

function scalarOf(kind: ParquetKind, value: unknown, where: () => string): Cell {
  if (kind === 'bytes') return value as Uint8Array
  if (kind === 'text') return value instanceof Uint8Array ? textOf(value) : String(value)
  const number = Number(value)
  if (Number.isNaN(number)) return null
  if (typeof value === 'bigint' && !Number.isSafeInteger(number))
    throw new UserError(
      `${where()}: beyond what a double holds exactly: ${value} — save it as text`,
    )
  if (!Number.isFinite(number))
    throw new UserError(`${where()}: not a finite number: ${number} — save null instead`)
  return number
}

function depthOf(kind: ParquetKind): number {
  return typeof kind === 'string' ? 0 : 1 + depthOf(kind.listOf)
}

/** Lists of lists that make a box: all lists of a level are equally long. */
function tensorOf(list: ArrayLike<unknown>, depth: number, where: () => string): TensorCell {
  const shape: number[] = []
  for (let level = 0, inner: unknown = list; level < depth; level++) {
    shape.push((inner as ArrayLike<unknown> | undefined)?.length ?? 0)
    inner = (inner as ArrayLike<unknown> | undefined)?.[0]
  }
  const values = new Float32Array(lengthOf(shape))
  let next = 0
  const fill = (lists: ArrayLike<unknown> | null, level: number) => {
    if (lists === null || lists.length !== shape[level])
      throw new UserError(`${where()}: its lists differ in length — make them equally long`)
    for (let index = 0; index < lists.length; index++) {
      const inner = lists[index]
      if (level + 1 < depth) fill(inner as ArrayLike<unknown> | null, level + 1)
      else values[next++] = (scalarOf('number', inner ?? Number.NaN, where) ?? Number.NaN) as number
    }
  }
  fill(list, 0)
  return { shape, values }
}
