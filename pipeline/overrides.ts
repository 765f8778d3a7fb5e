// `--set stages.2.calibration.method=minmax`: changes to a recipe before it is validated.
import { parse } from 'yaml'
import { messageOf, UserError } from '../base/errors.ts'

/**
 * Applies overrides of the form `path=value` to a copy of a recipe; values are YAML.
 *
 * Numbers in a path are places in a list, counted from 0. Mappings that are not there yet are made; `null` takes an
 * option away. Whether the result is a recipe is for the schema to say. A path that leads nowhere is a
 * {@link UserError}.
 */
export function withOverrides(recipe: unknown, overrides: readonly string[]): unknown {
  const changed: unknown = structuredClone(recipe)
  for (const override of overrides) apply(changed, override)
  return changed
}

function apply(recipe: unknown, override: string): void {
  const where = `--set ${override}`
  const equals = override.indexOf('=')
  if (equals < 1) throw new UserError(`${where}: not an override — write path.to.option=value`)
  const path = override.slice(0, equals).split('.')
  const last = path.pop() ?? ''
  let at: unknown = recipe
  for (const key of path) at = step(at, key, where)
  const value = yamlValue(override.slice(equals + 1), where)
  if (value === null && !Array.isArray(at)) delete containerAt(at, last, where)[last]
  else place(at, last, value, where)
}

function yamlValue(text: string, where: string): unknown {
  // A gate's limit; YAML would want quotes, which the shell has eaten.
  if (/^>=? *[\d.]/.test(text)) return text
  try {
    return parse(text)
  } catch (thrown) {
    throw new UserError(`${where}: the value is not YAML: ${firstLine(messageOf(thrown))}`)
  }
}

const firstLine = (text: string): string => text.split('\n')[0]!.replace(/:$/, '')

/** Goes one step down, making the mapping that a new path needs. */
function step(at: unknown, key: string, where: string): unknown {
  const container = containerAt(at, key, where)
  if (!Object.hasOwn(container, key)) place(container, key, {}, where)
  return container[key]
}

function place(at: unknown, key: string, value: unknown, where: string): void {
  // Defined, not assigned: a key such as __proto__ must become a plain (and then refused) key.
  Object.defineProperty(containerAt(at, key, where), key, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  })
}

/** The mapping or list to look a key up in; a list must have that place. */
function containerAt(at: unknown, key: string, where: string): Record<string, unknown> {
  if (typeof at !== 'object' || at === null)
    throw new UserError(
      `${where}: '${key}' lies below a plain value: ${JSON.stringify(at)} — set the value above it`,
    )
  if (Array.isArray(at) && !(/^\d+$/.test(key) && Number(key) < at.length))
    throw new UserError(
      `${where}: no such place in a list of ${at.length}: '${key}' — places are 0 to ${at.length - 1}`,
    )
  return at as Record<string, unknown>
}
