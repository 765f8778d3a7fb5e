// The names of classes in the data and in the model: matched by name, so that a label means the same to both.
import { UserError } from '../base/errors.ts'

/** The classes as the model has them, and the number of each of the data's own classes among them. */
export interface AlignedClasses {
  readonly classes: readonly string[]
  readonly order: Int32Array
}

const numbered = /^(?:(?:label|class)[ _-]?)?\d+$/i

/** True where names are only numbers, as `3`, `LABEL_3` or `class 3`, which say nothing. */
export const areNumbers = (names: readonly string[]): boolean =>
  names.every((name) => numbered.test(name))

/** A name as it is compared: capitals, spaces, `_` and `-` do not count. */
export const plainName = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')

/**
 * Puts the data's classes into the model's order, by name (capitals, spaces, `_` and `-` do not count).
 *
 * Where the data or the model has no names but numbers, numbers are what counts. A class of the data that the model
 * does not have is a {@link UserError}; classes that the data lacks stay empty.
 */
export function alignClasses(
  classes: readonly string[],
  model: readonly string[] | undefined,
  source: string,
  log: (line: string) => void,
): AlignedClasses {
  const same = { classes, order: Int32Array.from(classes.keys()) }
  if (!model || classes.length === 0) return same
  if (areNumbers(model)) return same
  if (areNumbers(classes))
    return classes.length <= model.length ? { ...same, classes: model } : same
  const places = new Map(model.map((name, index) => [plainName(name), index]))
  const order = classes.map((name) => places.get(plainName(name)) ?? -1)
  const stray = classes.filter((_, index) => order[index] === -1)
  if (stray.length > 0)
    throw new UserError(
      `data: ${stray.length} of the ${classes.length} classes of '${source}' are none of the model's: '${stray[0]}' — rename them as the model does (${model.slice(0, 3).join(', ')}, …), or use other data`,
    )
  if (new Set(order).size < order.length)
    throw new UserError(
      `data: two classes of '${source}' have the same name for the model — make their names different`,
    )
  if (order.some((place, index) => place !== index))
    log(`labels are matched with the model's by name: '${classes[0]}' is ${order[0]}`)
  return { classes: model, order: Int32Array.from(order) }
}
