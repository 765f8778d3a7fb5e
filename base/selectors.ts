// Selectors name layers: exact name, glob, `re:` regular expression, or `op:` operator type.
import picomatch from 'picomatch'
import { messageOf, UserError } from './errors.ts'

/** What a selector can be compared with. */
export interface Selectable {
  readonly name: string
  readonly opType: string
}

/**
 * Picks the items that any of the selectors names, in their own order.
 *
 * A selector that matches nothing, or a bad regular expression, is a {@link UserError}; `where` names the option.
 */
export function select<Item extends Selectable>(
  items: readonly Item[],
  selectors: readonly string[],
  where: string,
): Item[] {
  const chosen = new Set<Item>()
  for (const selector of selectors) {
    const matches = matcher(selector, where)
    const found = items.filter(matches)
    if (found.length === 0) {
      const some = items.slice(0, 5).map((item) => `'${item.name}'`)
      const more = items.length > some.length ? ', …' : ''
      throw new UserError(
        `${where}: matches no layer: '${selector}' — use a name, a glob, 're:…' or 'op:…'; layers: ${some.join(', ')}${more}`,
      )
    }
    for (const item of found) chosen.add(item)
  }
  return items.filter((item) => chosen.has(item))
}

function matcher(selector: string, where: string): (item: Selectable) => boolean {
  if (selector.startsWith('op:')) return (item) => item.opType === selector.slice(3)
  if (selector.startsWith('re:')) {
    try {
      const expression = new RegExp(selector.slice(3))
      return (item) => expression.test(item.name)
    } catch (thrown) {
      throw new UserError(
        `${where}: not a regular expression: '${selector}' — ${messageOf(thrown)}`,
      )
    }
  }
  // `bash` lets a star cross slashes: names of nodes are not paths.
  const glob = picomatch(selector, { bash: true, dot: true })
  return (item) => item.name === selector || glob(item.name)
}
