// The header of NumPy's npy format, versions 1 to 3 (NEP 1): a Python dictionary, read by a strict
// pattern and never evaluated.
import { UserError } from '../../base/errors.ts'
import { elementCount } from './arrays.ts'
import { type ElementType, elementTypes } from './element-types.ts'

/** So many bytes hold any header that is accepted. */
export const maximumHeaderBytes: number = 1 << 12

/** What the header of an array says. */
export interface NpyHeader {
  readonly type: ElementType
  readonly littleEndian: boolean
  readonly fortranOrder: boolean
  readonly shape: readonly number[]
  /** Where the elements begin. */
  readonly dataStart: number
  /** How many bytes they are. */
  readonly dataBytes: number
}

const types: ReadonlyMap<string, ElementType> = new Map<string, ElementType>([
  ['b1', 'bool'],
  ['u1', 'uint8'],
  ['i1', 'int8'],
  ['u2', 'uint16'],
  ['i2', 'int16'],
  ['u4', 'uint32'],
  ['i4', 'int32'],
  ['u8', 'uint64'],
  ['i8', 'int64'],
  ['f2', 'float16'],
  ['f4', 'float32'],
  ['f8', 'float64'],
])

const magic = '\x93NUMPY'
const entry =
  /\s*(['"])(descr|fortran_order|shape)\1\s*:\s*(?:(['"])([<>|=]?)([A-Za-z]\d*)\3|(True|False)|\(([\d\s,]*)\))\s*(?:,|(?=\}))/y

/** Reads the header from the first bytes of an array; what is wrong is a `UserError`. */
export function readNpyHeader(where: string, head: Uint8Array): NpyHeader {
  const text = (start: number, end: number) =>
    Buffer.from(head.buffer, head.byteOffset + start, end - start).toString('latin1')
  const version = head[6] ?? 0
  if (head.length < 12 || text(0, 6) !== magic)
    throw new UserError(`${where}: not an npy array — write it with numpy.save`)
  if (version < 1 || version > 3)
    throw new UserError(`${where}: unknown version of npy: ${version} — versions 1 to 3 are read`)
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  const start = version === 1 ? 10 : 12
  const dataStart = start + length
  if (dataStart > head.length)
    throw new UserError(`${where}: its header ends early, or is too long — fetch the file again`)
  const { descr, fortran, shape } = parse(where, text(start, dataStart))
  const type = types.get(descr.code)
  if (type === undefined)
    throw new UserError(
      `${where}: elements of type '${descr.code}' are no numbers — save it as one of ${[...types.keys()]}`,
    )
  return {
    type,
    littleEndian: descr.order !== '>',
    fortranOrder: fortran,
    shape,
    dataStart,
    dataBytes: elementCount(where, shape) * elementTypes[type].bytes,
  }
}

function parse(where: string, header: string) {
  let descr: { order: string; code: string } | undefined
  let fortran: boolean | undefined
  let shape: number[] | undefined
  const strange = () =>
    new UserError(
      `${where}: not the header of an array of numbers: '${header.trim().slice(0, 80)}' — objects and records cannot be read`,
    )
  const inside = header.trim()
  if (!inside.startsWith('{') || !inside.endsWith('}')) throw strange()
  const pattern = new RegExp(entry)
  pattern.lastIndex = 1
  for (let found = pattern.exec(inside); found !== null; found = pattern.exec(inside)) {
    const [, , key, , order, code, truth, sizes] = found
    if (key === 'descr' && code !== undefined) descr = { order: order!, code }
    else if (key === 'fortran_order' && truth !== undefined) fortran = truth === 'True'
    else if (key === 'shape' && sizes !== undefined) shape = parseShape(sizes)
    else throw strange()
    if (/^\s*\}$/.test(inside.slice(pattern.lastIndex))) {
      if (descr === undefined || fortran === undefined || shape === undefined) break
      return { descr, fortran, shape }
    }
  }
  throw strange()
}

// `()`, `(3,)` and `(3, 4)`.
function parseShape(sizes: string): number[] | undefined {
  const trimmed = sizes.trim()
  if (trimmed === '') return []
  if (!/^\d{1,16}\s*(?:,\s*\d{1,16}\s*)*,?$/.test(trimmed)) return undefined
  return trimmed
    .replace(/,$/, '')
    .split(',')
    .map((size) => Number(size))
}
