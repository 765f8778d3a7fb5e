// `--set stages.2.calibration.method=minmax` and `--profile quick`: changes to a recipe before it is validated.
import { parse } from 'yaml'
import { messageOf, UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'

/**
 * Applies overrides of the form `path=value` to a copy of a recipe; values are YAML.
 *
 * Numbers in a path are places in a list, counted from 0. Mappings that are not there yet are made; `null` takes an
 * option away. Whether the result is a recipe is for the schema to say. A path that leads nowhere is a
 * {@link UserError}.
 */
export function withOverrides(recipe: unknown, overrides: readonly string[]): unknown {
  const changed: unknown = structuredClone(recipe)
  for (const override of overrides) {
    const where = `--set ${override}`
    const equals = override.indexOf('=')
    if (equals < 1) throw new UserError(`${where}: not an override — write path.to.option=value`)
    apply(changed, override.slice(0, equals), yamlValue(override.slice(equals + 1), where), where)
  }
  return changed
}

/**
 * Applies the profile of that name to a copy of a recipe: its paths with their values, as {@link withOverrides} does.
 *
 * The copy is named `name-profile` unless the profile names it, and has no profiles of its own any more. A profile that
 * is not there, and a path that leads nowhere, are a {@link UserError}; `where` is what it calls the recipe.
 */
export function withProfile(recipe: unknown, profile: string, where: string): unknown {
  const { profiles, ...changed } = mappingOf(structuredClone(recipe))
  const known = mappingOf(profiles)
  if (!Object.hasOwn(known, profile))
    throw new UserError(
      `${where}: no such profile: '${profile}' — ${suggest(profile, Object.keys(known))}`,
    )
  if (typeof changed.name === 'string') changed.name = `${changed.name}-${profile}`
  const changes = known[profile]
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes))
    throw new UserError(
      `${where}: profiles.${profile}: expected a mapping: ${JSON.stringify(changes)} — write { path.to.option: value }`,
    )
  for (const [path, value] of Object.entries(changes))
    apply(changed, path, value, `${where}: profiles.${profile}.${path}`)
  return changed
}

/** What is no mapping has no keys; the schema complains of it. */
const mappingOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

function apply(recipe: unknown, option: string, value: unknown, where: string): void {
  const path = option.split('.')
  const last = path.pop() ?? ''
  let at: unknown = recipe
  for (const key of path) at = step(at, key, where)
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
