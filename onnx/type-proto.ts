// TypeProto and ValueInfoProto to and from the types of values.
import type { Dim, Value, ValueType } from './graph.ts'
import { numberOf, replaceFields, type TypeProto, type ValueInfoProto } from './proto.ts'
import { dataTypeOf, dataTypes } from './tensor.ts'

/** The type that a message says; undefined where it is no tensor or its element type is unknown. */
export function readType(type: Partial<TypeProto> | null | undefined): ValueType | undefined {
  const dtype = type?.tensorType ? dataTypeOf(type.tensorType.elemType) : undefined
  if (!type?.tensorType || !dtype) return undefined
  return { dtype, shape: type.tensorType.shape?.dim.map(readDim) }
}

function readDim(dim: { dimValue?: unknown; dimParam?: string }): Dim {
  if (Object.hasOwn(dim, 'dimParam') && dim.dimParam) return dim.dimParam
  if (!Object.hasOwn(dim, 'dimValue')) return undefined
  const size = numberOf(dim.dimValue as number)
  // Some exporters write -1 for "unknown".
  return Number.isSafeInteger(size) && size >= 0 ? size : undefined
}

/** A value as the file lists it; what the file said beyond its type is kept as long as the type is the same. */
export function writeValueInfo(value: Value): Partial<ValueInfoProto> {
  // `extra` of a value is its ValueInfoProto: set by the reader alone.
  const before = value.extra as ValueInfoProto | undefined
  const kept = before?.type && sameType(readType(before.type), value.type) ? before.type : undefined
  const type = kept ?? (value.type ? writeType(value.type) : null)
  return replaceFields<ValueInfoProto>(before, { name: value.name, type })
}

function writeType({ dtype, shape }: ValueType): Partial<TypeProto> {
  const dims = shape?.map((dim) =>
    dim === undefined ? {} : typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim },
  )
  return { tensorType: { elemType: dataTypes[dtype].code, shape: dims ? { dim: dims } : null } }
}

function sameType(left: ValueType | undefined, right: ValueType | undefined): boolean {
  if (left?.dtype !== right?.dtype || left?.shape?.length !== right?.shape?.length) return false
  return (left?.shape ?? []).every((dim, axis) => dim === right?.shape?.[axis])
}
