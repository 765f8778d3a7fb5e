// The order of a teacher's classes: where its file states their names, its answers are put into the data's order.
import { UserError } from '../../base/errors.ts'
import { areNumbers, plainName } from '../../data/label-names.ts'

/**
 * Says where among the stated names each wanted one is; undefined where the order is the same, or where one side has
 * only numbers, which say nothing but how many there are.
 *
 * Another set of names, or another number of them, is a {@link UserError}, which says to use another of `what` it is.
 */
export function orderOfClasses(
  stated: readonly string[] | undefined,
  wanted: readonly string[],
  where: string,
  what = 'a teacher',
): Int32Array | undefined {
  if (!stated) return undefined
  if (stated.length !== wanted.length)
    throw new UserError(
      `${where}: was made for other classes: it states ${stated.length} of them, ${wanted.length} are wanted — use ${what} for the same classes`,
    )
  const places = new Map(stated.map((name, place) => [plainName(name), place]))
  const order = wanted.map((name) => places.get(plainName(name)) ?? -1)
  const missing = order.indexOf(-1)
  if (missing >= 0 || new Set(order).size < order.length) {
    if (areNumbers(stated) || areNumbers(wanted)) return undefined
    throw new UserError(
      `${where}: was made for other classes: it states ${stated.slice(0, 3).join(', ')}, …, and no '${wanted[Math.max(0, missing)]}' — use ${what} for the same classes, or name them alike`,
    )
  }
  return order.some((place, index) => place !== index) ? Int32Array.from(order) : undefined
}

/** Puts rows of classes into another order: number i of a row becomes what number `order[i]` was. */
export function reorder(values: Float32Array, order: Int32Array): void {
  const row = new Float32Array(order.length)
  for (let start = 0; start < values.length; start += order.length) {
    row.set(values.subarray(start, start + order.length))
    for (let index = 0; index < order.length; index++) values[start + index] = row[order[index]!]!
  }
}
