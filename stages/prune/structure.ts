// What a structure is called: a word, or a pattern with its numbers in it.

/** Structures that a word names. */
export const structureWords = [
  'channels',
  'filters',
  'heads',
  'layers',
  'weights',
  'banded',
  'block-diagonal',
] as const

/** A structure as its name says it. */
export type Structure =
  | { readonly kind: (typeof structureWords)[number] }
  /** At most `kept` of every `group` weights along the inputs of a layer. */
  | { readonly kind: 'n:m'; readonly kept: number; readonly group: number }
  /** Blocks of neighbouring weights of the matrix [outputs, inputs * kernel]. */
  | { readonly kind: 'block'; readonly rows: number; readonly columns: number }

/** What decides which options and criteria a structure goes with. */
export type StructureKind = Structure['kind']

/** The form of every name of a structure. */
export const structurePattern = new RegExp(
  `^(?:${structureWords.join('|')}|\\d{1,4}:\\d{1,4}|block-\\d{1,4}x\\d{1,4})$`,
)

/** Reads the name of a structure, which has passed its schema. */
export function structureOf(name: string): Structure {
  const word = structureWords.find((known) => known === name)
  if (word) return { kind: word }
  const [first = 0, second = 0] = (name.match(/\d+/g) ?? []).map(Number)
  return name.includes(':')
    ? { kind: 'n:m', kept: first, group: second }
    : { kind: 'block', rows: first, columns: second }
}

/** What is wrong with the numbers of a structure's name; undefined where nothing is. */
export function structureProblem(name: string): string | undefined {
  const structure = structureOf(name)
  if (structure.kind === 'block')
    return structure.rows * structure.columns < 2
      ? `a block has two weights or more: '${name}' — use 'block-4x1', say, or 'weights'`
      : undefined
  if (structure.kind !== 'n:m') return undefined
  const { kept, group } = structure
  if (kept > 0 && kept < group) return undefined
  const better = kept > group && group > 0 ? `${group}:${kept}` : '2:4'
  return `n:m keeps n of every m weights, at least one and fewer than m: '${name}' — use '${better}', say`
}
