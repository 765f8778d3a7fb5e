// Entities in a row of tags: names of classes as B-person, I-person, E-, S- and O, read as the scorer of CoNLL-2000
// (conlleval) reads them.

/** A stretch of tags of one type; its text form is unique within a row. */
export type Entity = string

/** How a class begins or continues entities. */
interface Tag {
  readonly prefix: 'B' | 'I' | 'E' | 'S' | 'O'
  readonly type: string
}

/** The tags of classes by their number; undefined where the names do not follow the scheme. */
export function tagsOf(classes: readonly string[]): readonly Tag[] | undefined {
  const tags = classes.map((name): Tag | undefined => {
    if (name === 'O') return outside
    const [, prefix, type] = /^([BIES])-(.+)$/su.exec(name) ?? []
    return prefix ? { prefix: prefix as Tag['prefix'], type: type! } : undefined
  })
  const all = tags.filter((tag) => tag !== undefined)
  const named = all.some(({ prefix }) => prefix === 'B' || prefix === 'I')
  return named && all.length === classes.length ? all : undefined
}

const outside: Tag = { prefix: 'O', type: '' }

/**
 * The entities of a row of classes; -1 stands for no answer and is outside of any.
 *
 * An entity begins at B and S, after E and S, where an I or E follows O, and where the type changes; what begins wrongly
 * is an entity all the same.
 */
export function entitiesOf(labels: readonly number[], tags: readonly Tag[]): Set<Entity> {
  const found = new Set<Entity>()
  let before = outside
  let start = 0
  for (let at = 0; at <= labels.length; at++) {
    const tag = tags[labels[at] ?? -1] ?? outside
    const inside = before.prefix !== 'O'
    const ends =
      inside &&
      (before.prefix === 'E' ||
        before.prefix === 'S' ||
        tag.prefix === 'O' ||
        tag.prefix === 'B' ||
        tag.prefix === 'S' ||
        tag.type !== before.type)
    if (ends) found.add(`${start}-${at}-${before.type}`)
    if (tag.prefix !== 'O' && (ends || !inside)) start = at
    before = tag
  }
  return found
}
