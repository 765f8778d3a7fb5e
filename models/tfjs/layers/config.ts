// The options of a layer, as JSON from outside has them: read by key, with a default, and checked.
import { UserError } from '../../../base/errors.ts'
import { plainName } from '../model-file.ts'

/** The options of one layer. Keys are Python's (`use_bias`); null is as good as none. */
export interface Config {
  number(key: string, fallback: number): number
  /** A list of so many numbers; one number stands for all. */
  numbers(key: string, length: number, fallback: number): readonly number[]
  /** A list of any length; one number is a list of one. */
  list(key: string): readonly number[] | undefined
  flag(key: string, fallback: boolean): boolean
  /** A name in snake case, however it is spelt; null and undefined give the fallback. */
  name(key: string, fallback: string): string
  /** What is there, unchecked. */
  raw(key: string): unknown
}

/** Reads options; `where` names the layer in messages. */
export function configOf(content: unknown, where: string): Config {
  if (typeof content !== 'object' || content === null)
    throw new UserError(`${where}: no options: ${JSON.stringify(content)} — save the model again`)
  const raw = (key: string): unknown =>
    Object.hasOwn(content, key) ? (content as Record<string, unknown>)[key] : undefined
  const wrong = (key: string, wanted: string): UserError =>
    new UserError(
      `${where}: ${key}: expected ${wanted}: ${JSON.stringify(raw(key))?.slice(0, 80)} — save the model again`,
    )
  const isNumber = (value: unknown): value is number =>
    typeof value === 'number' && Number.isFinite(value)
  const list = (key: string): readonly number[] | undefined => {
    const value = raw(key) ?? undefined
    if (value === undefined) return undefined
    const values = Array.isArray(value) ? value : [value]
    if (!values.every(isNumber) || values.length > 64) throw wrong(key, 'numbers')
    return values
  }
  return {
    raw,
    list,
    number(key, fallback) {
      const value = raw(key) ?? fallback
      if (!isNumber(value)) throw wrong(key, 'a number')
      return value
    },
    numbers(key, length, fallback) {
      const value = raw(key) ?? fallback
      const values = Array.isArray(value)
        ? list(key)!
        : Array.from({ length }, () => value as number)
      if (values.length !== length || !values.every(isNumber)) throw wrong(key, `${length} numbers`)
      return values
    },
    flag(key, fallback) {
      const value = raw(key) ?? fallback
      if (typeof value !== 'boolean') throw wrong(key, 'true or false')
      return value
    },
    name(key, fallback) {
      const value = raw(key) ?? fallback
      if (typeof value !== 'string') throw wrong(key, 'a name')
      return value.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase()
    },
  }
}

/** A layer as a model's config has it. */
export interface LayerConfig {
  readonly className: string
  readonly config: Config
}

/** Reads `{ class_name, config }`. */
export function layerConfigOf(content: object, where: string): LayerConfig {
  const outer = configOf(content, where)
  const className = outer.raw('class_name')
  if (!plainName.safeParse(className).success || typeof className !== 'string')
    throw new UserError(
      `${where}: no class_name: ${JSON.stringify(className)} — save the model again`,
    )
  // The oldest files have a Sequential's list of layers for its options.
  const inner = outer.raw('config')
  const options = Array.isArray(inner) ? { layers: inner } : inner
  return { className, config: configOf(options, `${where}: ${className}`) }
}
