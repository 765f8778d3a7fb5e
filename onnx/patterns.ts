// Recognising operators that were written by us: nodes of the standard domain that nothing else uses.
import type { Node, Value } from './graph.ts'
import { type DataType, dataTypes, numbers } from './tensor.ts'

/** The node of a standard operator that makes a value, if nothing but so many nodes of the pattern uses it. */
export function makerOf(value: Value, opType: string, users = 1): Node | undefined {
  const { producer } = value
  const fits = producer?.opType === opType && producer.domain === '' && value.users.size === users
  return fits ? producer : undefined
}

/** What is cast to a type. */
export function castOf(value: Value, dtype: DataType, users = 1): Value | undefined {
  const cast = makerOf(value, 'Cast', users)
  return cast?.number('to') === dataTypes[dtype].code ? cast.input(0) : undefined
}

const integers: ReadonlySet<DataType> = new Set<DataType>(['int64', 'int32', 'uint8'])

/** Whether a constant of integers has just these elements. */
export function holds(
  value: Value | undefined,
  expected: { readonly length: number } & Iterable<number>,
): boolean {
  const tensor = value?.tensor
  if (!tensor || !integers.has(tensor.dtype) || tensor.size !== expected.length) return false
  const content = numbers(tensor)
  return [...expected].every((item, index) => item === content[index])
}
