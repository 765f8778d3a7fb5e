// The names of a model's classes, where its file states them among its metadata.
import type { Model } from '../onnx/graph.ts'

/** The entry that Condense writes: a JSON list of names. */
export const classNamesKey = 'condense.classes'

/** Entries that other exporters write, by number or in order. */
const keys = [classNamesKey, 'classes', 'class_names', 'labels', 'names', 'id2label'] as const

/** Longer texts are something else. */
const longestText = 1 << 22

/** Gives the names that a model states for its classes, in the order of its outputs; undefined where it states none. */
export function statedClasses({ metadata }: Pick<Model, 'metadata'>): string[] | undefined {
  for (const key of keys) {
    const text = metadata.get(key)
    const names = text === undefined || text.length > longestText ? undefined : namesIn(text)
    // What has one name, or a name twice, tells no classes apart.
    if (names && names.length > 1 && new Set(names).size === names.length) return names
  }
  return undefined
}

/** The same model, stating the names of its classes; the graph is shared. */
export const withClasses = (model: Model, names: readonly string[]): Model => ({
  ...model,
  metadata: new Map([...model.metadata, [classNamesKey, JSON.stringify(names)]]),
})

/** Names in a JSON list, a JSON object by number, or either as Python prints them. */
function namesIn(text: string): string[] | undefined {
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    content = pythonLiteral(text.trim())
  }
  if (Array.isArray(content)) return content.every(isName) ? content.map(String) : undefined
  if (typeof content !== 'object' || content === null) return undefined
  const names = Object.values(content)
  const isNumbered = names.every((_, number) => Object.hasOwn(content, String(number)))
  // Keys that are numbers come in their order.
  return isNumbered && names.every(isName) ? names.map(String) : undefined
}

const isName = (name: unknown): name is string | number =>
  typeof name === 'string' || typeof name === 'number'

const quoted = `'((?:[^'\\\\]|\\\\.)*)'|"((?:[^"\\\\]|\\\\.)*)"`

/** `{0: 'cat', 1: "dog"}` or `['cat', 'dog']`; undefined for anything else. */
function pythonLiteral(text: string): unknown {
  const isList = text.startsWith('[') && text.endsWith(']')
  if (!isList && !(text.startsWith('{') && text.endsWith('}'))) return undefined
  const item = new RegExp(`\\s*${isList ? '()' : '(\\d{1,9})\\s*:\\s*'}(?:${quoted})\\s*(,|$)`, 'y')
  const inside = text.slice(1, -1)
  const entries: [string, string][] = []
  while (item.lastIndex < inside.length) {
    const found = item.exec(inside)
    if (!found) return undefined
    const [, number, single, double] = found
    entries.push([number!, (single ?? double)!.replace(/\\(.)/g, '$1')])
  }
  return isList ? entries.map(([, name]) => name) : Object.fromEntries(entries)
}
