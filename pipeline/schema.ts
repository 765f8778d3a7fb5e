// The JSON Schema of recipes: what stands in it several times stands under `$defs` once.
import { z } from 'zod'
import { recipeOptions } from './recipe.ts'

type Json = Readonly<Record<string, unknown>>

/** Parts shorter than this are not worth a name, in characters. */
const shortest = 400

/** The JSON Schema of recipes, for editors and other programs. */
export function recipeSchema(): Record<string, unknown> {
  const whole: Json = z.toJSONSchema(recipeOptions, { io: 'input' })
  const counts = new Map<string, number>()
  count(whole, counts)
  const names = new Map<string, string>()
  const definitions: Record<string, unknown> = {}
  const written = (part: unknown, key: string): unknown => {
    if (Array.isArray(part)) return part.map((item) => written(item, key))
    if (!isObject(part)) return part
    const text = JSON.stringify(part)
    if (text.length < shortest || counts.get(text) === 1) return inside(part, key)
    const known = names.get(text)
    if (known !== undefined) return { $ref: `#/$defs/${known}` }
    const name = freeName(nameOf(part, key), definitions)
    names.set(text, name)
    definitions[name] = undefined
    definitions[name] = inside(part, key)
    return { $ref: `#/$defs/${name}` }
  }
  const inside = (part: Json, key: string): Json =>
    Object.fromEntries(
      Object.entries(part).map(([name, item]) => {
        if (name === 'default') return [name, item]
        if (name !== 'properties' || !isObject(item)) return [name, written(item, key)]
        // Names of options tell what they are, words of the schema do not.
        const options = Object.entries(item).map(([option, schema]) => [
          option,
          written(schema, option),
        ])
        return [name, Object.fromEntries(options)]
      }),
    )
  const schema = inside(whole, 'recipe')
  return { title: 'Condense recipe', ...schema, $defs: definitions }
}

/** How often each part is there, by its text. */
function count(part: unknown, counts: Map<string, number>): void {
  if (Array.isArray(part)) for (const item of part) count(item, counts)
  if (!isObject(part)) return
  const text = JSON.stringify(part)
  counts.set(text, (counts.get(text) ?? 0) + 1)
  for (const item of Object.values(part)) count(item, counts)
}

/** What a part is called: the option that it is for, and which of several forms it is. */
function nameOf({ properties }: Json, key: string): string {
  const [form] = Object.values((properties ?? {}) as Record<string, Json>).flatMap(
    (option) => option.const ?? [],
  )
  return form === undefined ? key : `${key}-${String(form)}`
}

function freeName(key: string, taken: Json): string {
  let name = key
  for (let number = 2; Object.hasOwn(taken, name); number++) name = `${key}${number}`
  return name
}

const isObject = (part: unknown): part is Json =>
  typeof part === 'object' && part !== null && !Array.isArray(part)
